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
    pub stop: Option<H>,
    /// Its wait status, if it has ended.
    pub exit_status: Option<i32>,
    /// When it was first seen, in nanoseconds.
    first_seen: u64,
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
pub(super) struct NewThreads<H> {
    /// Threads that stopped or ended before they were reported.
    unreported: Vec<UnreportedChild<H>>,
    /// Threads that ended in a call that makes threads, without having reported one.
    dead_parents: Vec<Parent>,
}

impl<H> NewThreads<H> {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self { unreported: Vec::new(), dead_parents: Vec::new() }
    }

    /// Returns the entry of an unreported thread, and adds it if there is none.
    fn entry_of(&mut self, tid: i32, now: u64) -> &mut UnreportedChild<H> {
        let index = self.unreported.iter().position(|e| e.tid == tid).unwrap_or_else(|| {
            self.unreported.push(UnreportedChild {
                tid,
                stop: None,
                exit_status: None,
                first_seen: now,
            });
            self.unreported.len() - 1
        });
        &mut self.unreported[index]
    }

    /// Keeps a thread stopped that has not been reported: stores its stop. It replaces an earlier
    /// one, since a thread that was killed moves on to another stop.
    pub fn stopped(&mut self, tid: i32, stop: H, now: u64) {
        self.entry_of(tid, now).stop = Some(stop);
    }

    /// Notes that a thread has ended before it was reported. It is recorded all the same once it is
    /// reported.
    pub fn ended(&mut self, tid: i32, status: i32, now: u64) {
        let child = self.entry_of(tid, now);
        (child.stop, child.exit_status) = (None, Some(status));
    }

    /// Removes and returns the entry of a thread that has been reported, or `None` if it has
    /// neither stopped nor ended before.
    pub fn reported(&mut self, tid: i32) -> Option<UnreportedChild<H>> {
        let index = self.unreported.iter().position(|e| e.tid == tid)?;
        Some(self.unreported.swap_remove(index))
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
        let index = self.unreported.iter().position(|e| !may_report(e.first_seen))?;
        let child = self.unreported.swap_remove(index);
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
            parent.clone_call.entered <= child.first_seen
                && match process {
                    _ if parent.clone_call.is_thread() => process.is_none_or(|p| p == parent.pid),
                    Some(process) => process == child.tid,
                    None => true,
                }
        };
        let fitting: Vec<usize> =
            (0..self.dead_parents.len()).filter(|index| fits(&self.dead_parents[*index])).collect();
        let Some(first) = fitting.first() else { return Origin::Unknown };
        let flags_of = |index: usize| {
            (self.dead_parents[index].pid, self.dead_parents[index].clone_call.flags)
        };
        if fitting.iter().any(|index| flags_of(*index) != flags_of(*first)) {
            return Origin::Unknown;
        }
        Origin::Parent(self.dead_parents.remove(*first))
    }

    /// Removes all entries, and returns the stops that were kept.
    pub fn drain(&mut self) -> impl Iterator<Item = H> + '_ {
        self.unreported.drain(..).filter_map(|e| e.stop)
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
        let mut new_threads = NewThreads::new();
        new_threads.stopped(7, "first", 10);
        assert!(new_threads.take_orphan(|_| true, own).is_none(), "whatever the time");
        let child = new_threads.reported(7).expect("it is held");
        assert_eq!((child.stop, child.exit_status), (Some("first"), None));
        assert!(!new_threads.has_unreported() && new_threads.reported(7).is_none(), "born once");
    }

    #[test]
    fn a_thread_that_entered_later_is_not_the_creator() {
        let mut new_threads = NewThreads::new();
        new_threads.stopped(7, (), 10);
        // Another thread is in such a call since 11.
        let (child, origin) =
            new_threads.take_orphan(|before| before > 10, own).expect("an orphan");
        assert_eq!(child.tid, 7);
        assert!(matches!(origin, Origin::Unknown));
    }

    #[test]
    fn killed_while_it_was_held() {
        let mut new_threads = NewThreads::new();
        new_threads.stopped(7, "first", 10);
        new_threads.stopped(7, "ending", 11);
        assert_eq!(
            new_threads.reported(7).and_then(|e| e.stop),
            Some("ending"),
            "one stop, the last"
        );
        new_threads.stopped(8, "first", 12);
        new_threads.ended(8, 9, 13);
        let child = new_threads.reported(8).expect("it is remembered");
        assert_eq!((child.stop, child.exit_status), (None, Some(9)));
        new_threads.ended(9, 9, 14);
        assert_eq!(
            new_threads.reported(9).and_then(|e| e.exit_status),
            Some(9),
            "it never stopped"
        );
    }

    #[test]
    fn the_dead_creator_is_found() {
        let mut new_threads = NewThreads::new();
        new_threads.stopped(7, (), 10);
        new_threads.parent_died(parent(3, FORK, 9));
        new_threads.parent_died(parent(4, FORK, 12));
        new_threads.parent_died(parent(5, THREAD, 8));
        let (_, origin) = new_threads.take_orphan(|_| false, own).expect("an orphan");
        assert!(matches!(origin, Origin::Parent(Parent { tid: 3, .. })), "{origin:?}");
        new_threads.stopped(8, (), 13);
        let (_, origin) = new_threads.take_orphan(|_| false, |_| Some(1)).expect("another");
        assert!(matches!(origin, Origin::Unknown), "dead parents of before made none: {origin:?}");
    }

    #[test]
    fn creators_with_different_flags() {
        let mut new_threads = NewThreads::new();
        new_threads.stopped(7, (), 10);
        new_threads.stopped(8, (), 11);
        new_threads.parent_died(parent(3, FORK, 9));
        new_threads.parent_died(parent(4, FORK | libc::CLONE_FILES as u64, 9));
        for _ in 0..2 {
            let (_, origin) = new_threads.take_orphan(|_| false, own).expect("an orphan");
            assert!(matches!(origin, Origin::Unknown), "{origin:?}");
        }
    }
}
