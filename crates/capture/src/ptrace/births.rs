//! Births that are half told.
//!
//! Two stops tell of a new thread: one of the thread that made it, which knows how, and its own
//! first one. They come in any order and any time apart, so a thread that shows itself first is
//! held until its parent speaks. A thread is born once: either its parent tells of it, or no thread
//! is left that could. The latter follows from facts and never from a clock: a thread that was in a
//! call that makes threads when the child appeared, and has not told of one, may be its parent. A
//! parent that is killed in that call never tells; what it asked for is kept for the child that it
//! leaves.

use super::clone::CloneCall;

/// A thread that showed itself, or ended, before its parent told of it.
#[derive(Debug)]
pub(super) struct UnreportedChild<H> {
    pub tid: i32,
    /// Its stop, while it is held.
    pub held: Option<H>,
    /// It ended, with this wait status.
    pub ended: Option<i32>,
    /// When it showed itself.
    since: u64,
}

/// A thread in a call that makes threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub pid: i32,
    pub tid: i32,
    pub clone_call: CloneCall,
}

/// Where a child came from whose parent cannot tell any more.
#[derive(Debug)]
pub(super) enum Origin {
    /// One dead parent asked for it; or several of one process did, in the same way.
    Parent(Parent),
    /// There is no such parent, or there are several that asked for different things.
    Unknown,
}

/// Threads that wait to be born.
#[derive(Debug)]
pub(super) struct Births<H> {
    early: Vec<UnreportedChild<H>>,
    dead: Vec<Parent>,
}

impl<H> Births<H> {
    pub fn new() -> Self {
        Self { early: Vec::new(), dead: Vec::new() }
    }

    fn early(&mut self, tid: i32, now: u64) -> &mut UnreportedChild<H> {
        let at = self.early.iter().position(|e| e.tid == tid).unwrap_or_else(|| {
            self.early.push(UnreportedChild { tid, held: None, ended: None, since: now });
            self.early.len() - 1
        });
        &mut self.early[at]
    }

    /// A thread that was not reported yet stopped. A later stop replaces the one that is held: it
    /// was killed meanwhile.
    pub fn stopped(&mut self, tid: i32, held: H, now: u64) {
        self.early(tid, now).held = Some(held);
    }

    /// A thread that was not reported yet ended. It is born all the same, when its parent speaks.
    pub fn ended(&mut self, tid: i32, status: i32, now: u64) {
        let early = self.early(tid, now);
        (early.held, early.ended) = (None, Some(status));
    }

    /// Its parent has told of it: what came of it before.
    pub fn reported(&mut self, tid: i32) -> Option<UnreportedChild<H>> {
        let at = self.early.iter().position(|e| e.tid == tid)?;
        Some(self.early.swap_remove(at))
    }

    /// A thread ended in a call that makes threads, and has not told of one.
    pub fn parent_died(&mut self, parent: Parent) {
        self.dead.push(parent);
    }

    /// Whether a child waits to be reported.
    pub fn is_any_pending(&self) -> bool {
        !self.early.is_empty()
    }

    /// The next child that no thread can tell of any more. `may_tell(time)`: whether some living
    /// thread entered a call that makes threads before then, and has not told of one.
    /// `process(tid)`: the process of a thread, if that can be found out.
    pub fn orphan(
        &mut self,
        may_tell: impl Fn(u64) -> bool,
        process: impl Fn(i32) -> Option<i32>,
    ) -> Option<(UnreportedChild<H>, Origin)> {
        let at = self.early.iter().position(|e| !may_tell(e.since))?;
        let child = self.early.swap_remove(at);
        let origin = self.origin(&child, process(child.tid));
        if self.early.is_empty() && !may_tell(u64::MAX) {
            // No child is left that they could have made.
            self.dead.clear();
        }
        Some((child, origin))
    }

    fn origin(&mut self, child: &UnreportedChild<H>, process: Option<i32>) -> Origin {
        let fits = |parent: &Parent| {
            parent.clone_call.entered <= child.since
                && match process {
                    _ if parent.clone_call.is_thread() => process.is_none_or(|p| p == parent.pid),
                    Some(process) => process == child.tid,
                    None => true,
                }
        };
        let fitting: Vec<usize> = (0..self.dead.len()).filter(|at| fits(&self.dead[*at])).collect();
        let Some(first) = fitting.first() else { return Origin::Unknown };
        let how = |at: usize| (self.dead[at].pid, self.dead[at].clone_call.flags);
        if fitting.iter().any(|at| how(*at) != how(*first)) {
            return Origin::Unknown;
        }
        Origin::Parent(self.dead.remove(*first))
    }

    /// All that is held: we leave.
    pub fn drain(&mut self) -> impl Iterator<Item = H> + '_ {
        self.early.drain(..).filter_map(|e| e.held)
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
    fn a_child_waits_as_long_as_somebody_may_tell() {
        let mut births = Births::new();
        births.stopped(7, "first", 10);
        assert!(births.orphan(|_| true, own).is_none(), "whatever the time");
        let early = births.reported(7).expect("it is held");
        assert_eq!((early.held, early.ended), (Some("first"), None));
        assert!(!births.is_any_pending() && births.reported(7).is_none(), "born once");
    }

    #[test]
    fn who_entered_later_is_not_the_maker() {
        let mut births = Births::new();
        births.stopped(7, (), 10);
        // Another thread is in such a call since 11.
        let (child, origin) = births.orphan(|before| before > 10, own).expect("an orphan");
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
    fn the_dead_maker_is_found() {
        let mut births = Births::new();
        births.stopped(7, (), 10);
        births.parent_died(parent(3, FORK, 9));
        births.parent_died(parent(4, FORK, 12));
        births.parent_died(parent(5, THREAD, 8));
        let (_, origin) = births.orphan(|_| false, own).expect("an orphan");
        assert!(matches!(origin, Origin::Parent(Parent { tid: 3, .. })), "{origin:?}");
        births.stopped(8, (), 13);
        let (_, origin) = births.orphan(|_| false, |_| Some(1)).expect("another");
        assert!(matches!(origin, Origin::Unknown), "dead parents of before made none: {origin:?}");
    }

    #[test]
    fn makers_that_asked_for_different_things() {
        let mut births = Births::new();
        births.stopped(7, (), 10);
        births.stopped(8, (), 11);
        births.parent_died(parent(3, FORK, 9));
        births.parent_died(parent(4, FORK | libc::CLONE_FILES as u64, 9));
        for _ in 0..2 {
            let (_, origin) = births.orphan(|_| false, own).expect("an orphan");
            assert!(matches!(origin, Origin::Unknown), "{origin:?}");
        }
    }
}
