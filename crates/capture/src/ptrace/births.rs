//! New threads whose creation is not reported completely.
//!
//! Two stops report a new thread: one of the thread that made it, which has the clone flags, and
//! the first stop of the new thread. They come in any order and any time apart, so a new thread
//! that stops first is kept stopped until its creator's stop is reported. A new thread is recorded
//! once: either its creator reports it, or no thread is left that could have made it. The latter
//! follows from facts, never from a timeout: a thread that was in a call that makes threads when
//! the new thread appeared, and has not reported one, may be its creator. A creator that is killed
//! in that call never reports; its clone flags are kept for the child that it leaves.

use super::clone::CloneCall;

/// A thread that stopped or ended before its creator's stop was reported.
#[derive(Debug)]
pub(super) struct UnreportedChild<H> {
    pub tid: i32,
    /// Its stop, while it is kept stopped.
    pub held: Option<H>,
    /// Its wait status, if it has ended.
    pub ended: Option<i32>,
    /// When it was first seen, in nanoseconds.
    since: u64,
}

/// A thread in a call that makes a thread or a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub pid: i32,
    pub tid: i32,
    pub clone_call: CloneCall,
}

/// How a thread was made whose creator cannot report it any more.
#[derive(Debug)]
pub(super) enum Origin {
    /// A thread that has ended made it. If several threads of one process could have, they used the
    /// same flags.
    Parent(Parent),
    /// No thread that has ended could have made it, or several could have, with different flags.
    Unknown,
}

/// New threads that are not reported, and threads that ended without reporting one. `H` is what is
/// kept of a stopped thread.
#[derive(Debug)]
pub(super) struct Births<H> {
    unreported: Vec<UnreportedChild<H>>,
    dead_parents: Vec<Parent>,
}

impl<H> Births<H> {
    /// Starts without threads.
    pub fn new() -> Self {
        Self { unreported: Vec::new(), dead_parents: Vec::new() }
    }

    /// Returns the entry of an unreported thread, and adds it if there is none.
    fn entry_of(&mut self, tid: i32, now: u64) -> &mut UnreportedChild<H> {
        let at = self.unreported.iter().position(|e| e.tid == tid).unwrap_or_else(|| {
            self.unreported.push(UnreportedChild { tid, held: None, ended: None, since: now });
            self.unreported.len() - 1
        });
        &mut self.unreported[at]
    }

    /// Keeps the stop of a thread that has not been reported. It replaces an earlier one, since a
    /// thread that was killed moves on to another stop.
    pub fn stopped(&mut self, tid: i32, held: H, now: u64) {
        self.entry_of(tid, now).held = Some(held);
    }

    /// Notes that a thread has ended before it was reported. It is recorded all the same once it is
    /// reported.
    pub fn ended(&mut self, tid: i32, status: i32, now: u64) {
        let early = self.entry_of(tid, now);
        (early.held, early.ended) = (None, Some(status));
    }

    /// Removes and returns the entry of a thread that has been reported, or `None` if it has
    /// neither stopped nor ended before.
    pub fn reported(&mut self, tid: i32) -> Option<UnreportedChild<H>> {
        let at = self.unreported.iter().position(|e| e.tid == tid)?;
        Some(self.unreported.swap_remove(at))
    }

    /// Notes that a thread has ended in a call that makes threads, without having reported one.
    pub fn parent_died(&mut self, parent: Parent) {
        self.dead_parents.push(parent);
    }

    /// Returns whether a thread waits to be reported.
    pub fn has_unreported(&self) -> bool {
        !self.unreported.is_empty()
    }

    /// Removes and returns an unreported thread that no thread can report any more, with its
    /// origin; `None` if there is none. `may_report(time)` returns whether some live thread entered
    /// a call that makes threads before then and has not reported one. `process(tid)` returns the
    /// process of a thread, if it is known.
    pub fn take_orphan(
        &mut self,
        may_report: impl Fn(u64) -> bool,
        process: impl Fn(i32) -> Option<i32>,
    ) -> Option<(UnreportedChild<H>, Origin)> {
        let at = self.unreported.iter().position(|e| !may_report(e.since))?;
        let child = self.unreported.swap_remove(at);
        let origin = self.origin(&child, process(child.tid));
        if self.unreported.is_empty() && !may_report(u64::MAX) {
            // No thread is left that they could have made.
            self.dead_parents.clear();
        }
        Some((child, origin))
    }

    /// Finds the ended thread that made `child`, whose process is `process`, and removes it.
    fn origin(&mut self, child: &UnreportedChild<H>, process: Option<i32>) -> Origin {
        let fits = |parent: &Parent| {
            parent.clone_call.entered <= child.since
                && match process {
                    _ if parent.clone_call.is_thread() => process.is_none_or(|p| p == parent.pid),
                    Some(process) => process == child.tid,
                    None => true,
                }
        };
        let fitting: Vec<usize> =
            (0..self.dead_parents.len()).filter(|at| fits(&self.dead_parents[*at])).collect();
        let Some(first) = fitting.first() else { return Origin::Unknown };
        let flags_of =
            |at: usize| (self.dead_parents[at].pid, self.dead_parents[at].clone_call.flags);
        if fitting.iter().any(|at| flags_of(*at) != flags_of(*first)) {
            return Origin::Unknown;
        }
        Origin::Parent(self.dead_parents.remove(*first))
    }

    /// Removes all entries, and returns the stops that were kept.
    pub fn drain(&mut self) -> impl Iterator<Item = H> + '_ {
        self.unreported.drain(..).filter_map(|e| e.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREAD: u64 = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;
    const FORK: u64 = libc::SIGCHLD as u64;

    fn parent(tid: i32, flags: u64, entered: u64) -> Parent {
        Parent { pid: 1, tid, clone_call: CloneCall::new(flags, entered) }
    }

    fn own(tid: i32) -> Option<i32> {
        Some(tid)
    }

    #[test]
    fn a_child_waits_while_a_thread_may_report_it() {
        let mut births = Births::new();
        births.stopped(7, "first", 10);
        assert!(births.take_orphan(|_| true, own).is_none(), "whatever the time");
        let early = births.reported(7).expect("it is held");
        assert_eq!((early.held, early.ended), (Some("first"), None));
        assert!(!births.has_unreported() && births.reported(7).is_none(), "born once");
    }

    #[test]
    fn a_thread_that_entered_later_is_not_the_creator() {
        let mut births = Births::new();
        births.stopped(7, (), 10);
        // Another thread is in such a call since 11.
        let (child, origin) = births.take_orphan(|before| before > 10, own).expect("an orphan");
        assert_eq!(child.tid, 7);
        assert!(matches!(origin, Origin::Unknown));
    }

    #[test]
    fn killed_while_it_was_held() {
        let mut births = Births::new();
        births.stopped(7, "first", 10);
        births.stopped(7, "ending", 11);
        assert_eq!(births.reported(7).and_then(|e| e.held), Some("ending"), "one stop, the last");
        births.stopped(8, "first", 12);
        births.ended(8, 9, 13);
        let early = births.reported(8).expect("it is remembered");
        assert_eq!((early.held, early.ended), (None, Some(9)));
        births.ended(9, 9, 14);
        assert_eq!(births.reported(9).and_then(|e| e.ended), Some(9), "it never stopped");
    }

    #[test]
    fn the_dead_creator_is_found() {
        let mut births = Births::new();
        births.stopped(7, (), 10);
        births.parent_died(parent(3, FORK, 9));
        births.parent_died(parent(4, FORK, 12));
        births.parent_died(parent(5, THREAD, 8));
        let (_, origin) = births.take_orphan(|_| false, own).expect("an orphan");
        assert!(matches!(origin, Origin::Parent(Parent { tid: 3, .. })), "{origin:?}");
        births.stopped(8, (), 13);
        let (_, origin) = births.take_orphan(|_| false, |_| Some(1)).expect("another");
        assert!(matches!(origin, Origin::Unknown), "dead parents of before made none: {origin:?}");
    }

    #[test]
    fn creators_with_different_flags() {
        let mut births = Births::new();
        births.stopped(7, (), 10);
        births.stopped(8, (), 11);
        births.parent_died(parent(3, FORK, 9));
        births.parent_died(parent(4, FORK | libc::CLONE_FILES as u64, 9));
        for _ in 0..2 {
            let (_, origin) = births.take_orphan(|_| false, own).expect("an orphan");
            assert!(matches!(origin, Origin::Unknown), "{origin:?}");
        }
    }
}
