//! Finds the call that started each thread.
//!
//! strace prints thread ids of its own pid namespace, but results of calls as the program saw them.
//! Where the two differ, a child is found by the order of ids: a later child has a higher one.
//! Ambiguous cases are counted.

use ::import::Fork;
use ahash::{HashMap, HashSet};
use linux_raw_sys::general::CLONE_NEWPID;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

/// The line at which an unfinished call returns.
const NEVER: u64 = u64::MAX;

/// A call that starts a thread or process.
#[derive(Debug)]
struct ForkCall {
    /// The id of the thread that called.
    parent: u32,
    /// The index of that thread in [`ThreadStarts::threads`].
    parent_index: usize,
    /// The flags of clone(2).
    flags: u64,
    time: u64,
    /// The number of the line in which the call begins.
    first_line: u64,
    /// The number of the line in which it returns; [`NEVER`] if it does not.
    last_line: u64,
    result: i64,
    /// The id of the new thread in strace's pid namespace, if strace prints it.
    translated: Option<u32>,
    /// Whether the new thread is in another pid namespace than strace.
    child_in_other_namespace: bool,
    /// Whether its new thread was found, or there is none since the call failed.
    matched: bool,
}

impl ForkCall {
    /// Returns the id of the new thread that the log shows: in strace's pid namespace if strace
    /// prints that, else in the caller's. `None` if the call failed.
    fn child_id(&self) -> Option<u32> {
        self.translated.or(u32::try_from(self.result).ok())
    }
}

/// A thread, from its first line to its last one. A later thread may have the same id.
#[derive(Debug)]
struct Thread {
    tid: u32,
    /// The number of the first line about it.
    first_line: u64,
    /// Whether it is in another pid namespace than strace.
    in_other_namespace: bool,
    /// Whether the threads that it starts from now on will be.
    children_in_other_namespace: bool,
}

/// The threads of a log, and the calls that start threads, as a first pass finds them.
#[derive(Default)]
pub(crate) struct ThreadStarts {
    threads: Vec<Thread>,
    /// The threads that have not ended: their indices in `threads`, by thread id.
    living: HashMap<u32, usize>,
    fork_calls: Vec<ForkCall>,
    /// Calls that have not returned: their indices in `fork_calls`, by the caller's thread id.
    pending_calls: HashMap<u32, usize>,
    steps: Cell<u64>,
}

/// The parents of threads.
#[derive(Default, Debug)]
pub(crate) struct Parents {
    /// The new threads of each call, by the number of the line in which the call begins.
    pub children_by_line: HashMap<u64, Vec<(u32, Fork)>>,
    /// The numbers of the first lines of threads whose parent is unknown, except the first thread
    /// of the log.
    pub orphans: HashSet<u64>,
    /// How many threads more than one call may have started.
    pub ambiguous: u64,
    /// How many threads and calls were looked at.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count them"))]
    pub steps: u64,
}

impl ThreadStarts {
    /// Notes a line about thread `tid`, whose first one this may be. Returns the index of the
    /// thread in `threads`.
    pub fn observe_line(&mut self, tid: u32, line: u64) -> usize {
        *self.living.entry(tid).or_insert_with(|| {
            self.threads.push(Thread {
                tid,
                first_line: line,
                in_other_namespace: false,
                children_in_other_namespace: false,
            });
            self.threads.len() - 1
        })
    }

    /// Notes that the thread ended, so that its id may be used again.
    pub fn thread_ended(&mut self, tid: u32) {
        self.living.remove(&tid);
        self.pending_calls.remove(&tid);
    }

    /// Notes that thread `by` called execve(2), and from now on has the id `tid` of the first
    /// thread of its process.
    pub fn superseded(&mut self, tid: u32, by: u32) {
        self.pending_calls.remove(&tid);
        if let Some(index) = self.living.remove(&by) {
            self.living.insert(tid, index);
        }
    }

    /// Notes that the thread called unshare(2) or setns(2) with these flags, so that later children
    /// may be in a new pid namespace.
    pub fn add_namespace(&mut self, tid: u32, flags: u64) {
        let new_namespace = flags & u64::from(CLONE_NEWPID) != 0;
        if let Some(index) = self.living.get(&tid).filter(|_| new_namespace) {
            self.threads[*index].children_in_other_namespace = true;
        }
    }

    /// Notes that the thread enters a call that starts another one.
    pub fn begin_fork(&mut self, tid: u32, line: u64, time: u64, flags: u64) {
        let parent_index = self.observe_line(tid, line);
        let child_in_other_namespace = flags & u64::from(CLONE_NEWPID) != 0
            || self.threads[parent_index].children_in_other_namespace;
        self.pending_calls.insert(tid, self.fork_calls.len());
        self.fork_calls.push(ForkCall {
            parent: tid,
            parent_index,
            flags,
            time,
            first_line: line,
            last_line: NEVER,
            result: 0,
            translated: None,
            child_in_other_namespace,
            matched: false,
        });
    }

    /// Notes that this call returns. `translated` is the child's id in strace's pid namespace, if
    /// the line shows it.
    pub fn end_fork(
        &mut self,
        tid: u32,
        line: u64,
        result: i64,
        translated: Option<u32>,
        flags: u64,
    ) {
        let Some(index) = self.pending_calls.remove(&tid) else { return };
        let call = &mut self.fork_calls[index];
        call.flags |= flags;
        (call.last_line, call.result, call.translated) = (line, result, translated);
        // A call that failed has started no thread.
        call.matched = result < 0;
        // If an older thread has the new one's id, the log lacks the older thread's end.
        let child = u32::try_from(result).ok().filter(|c| *c > 0 && translated.is_none());
        let same_id = child.and_then(|c| self.living.get(&c)).copied();
        if let (Some(child), Some(other_index)) = (child, same_id)
            && self.threads[other_index].first_line < call.first_line
            && !self.threads[call.parent_index].in_other_namespace
        {
            self.living.remove(&child);
        }
    }

    /// Returns the id of the first thread of the log, or `None` if the log is about none.
    pub fn first_thread(&self) -> Option<u32> {
        self.threads.first().map(|thread| thread.tid)
    }

    /// Sets the id of the thread that lines without a thread id are about.
    pub fn set_main_thread(&mut self, main: u32) {
        let replace_zero = |tid: &mut u32| {
            if *tid == 0 {
                *tid = main;
            }
        };
        self.threads.iter_mut().for_each(|thread| replace_zero(&mut thread.tid));
        self.fork_calls.iter_mut().for_each(|call| replace_zero(&mut call.parent));
    }

    /// Finds the call that started each thread.
    pub fn find_parents(mut self) -> Parents {
        // For each thread, the index of the call that started it.
        let mut started_by = vec![None; self.threads.len()];
        self.match_by_id(&mut started_by);
        let (orphans, ambiguous) = self.match_by_order(&mut started_by);
        let mut parents = Parents { ambiguous, steps: self.steps.get(), ..Parents::default() };
        for (thread, call) in self.threads.iter().zip(started_by) {
            let Some(call) = call.map(|index: usize| &self.fork_calls[index]) else { continue };
            let ForkCall { parent, flags, time, first_line, .. } = *call;
            let children = parents.children_by_line.entry(first_line).or_default();
            children.push((thread.tid, Fork { parent, flags, time }));
        }
        parents.orphans = orphans.into_iter().map(|index| self.threads[index].first_line).collect();
        parents
    }

    /// Counts a thread or call that was looked at.
    fn count_step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// Returns whether the id that a call returned is one of strace's pid namespace.
    fn has_usable_id(&self, call: &ForkCall) -> bool {
        call.translated.is_some() || !self.threads[call.parent_index].in_other_namespace
    }

    /// Finds the calls that returned the ids of threads, and sets them in `started_by`.
    fn match_by_id(&mut self, started_by: &mut [Option<usize>]) {
        let mut calls_by_child: HashMap<u32, VecDeque<usize>> = HashMap::default();
        for (index, call) in self.fork_calls.iter().enumerate().filter(|(_, c)| !c.matched) {
            if let Some(child) = call.child_id().filter(|tid| *tid > 0) {
                calls_by_child.entry(child).or_default().push_back(index);
            }
        }
        let tids: HashSet<u32> = self.threads.iter().map(|thread| thread.tid).collect();
        // How many calls began before the thread, and how many of these returned an id that no
        // thread in this log has.
        let (mut begun_calls, mut foreign_ids) = (0, 0u64);
        for (thread_index, started_by) in started_by.iter_mut().enumerate() {
            let Thread { tid, first_line, .. } = self.threads[thread_index];
            self.count_step();
            while let Some(call) =
                self.fork_calls.get(begun_calls).filter(|call| call.first_line < first_line)
            {
                let has_thread = call.child_id().is_some_and(|child| tids.contains(&child))
                    && self.has_usable_id(call);
                foreign_ids += u64::from(!call.matched && !has_thread);
                begun_calls += 1;
                self.count_step();
            }
            let mut last_call = None;
            if let Some(calls) = calls_by_child.get_mut(&tid) {
                while calls
                    .front()
                    .is_some_and(|index| self.fork_calls[*index].first_line < first_line)
                {
                    self.count_step();
                    // In another namespace, the id means another thread.
                    last_call = calls
                        .pop_front()
                        .filter(|index| self.has_usable_id(&self.fork_calls[*index]))
                        .or(last_call);
                }
            }
            let Some(call_index) = last_call else {
                // A call that returned another id started it, or its parent is not in the log.
                let in_other_namespace = thread_index > 0 && foreign_ids > 0;
                self.threads[thread_index].in_other_namespace = in_other_namespace;
                foreign_ids -= u64::from(in_other_namespace);
                continue;
            };
            let call = &mut self.fork_calls[call_index];
            call.matched = true;
            let in_other_namespace =
                call.child_in_other_namespace || self.threads[call.parent_index].in_other_namespace;
            self.threads[thread_index].in_other_namespace = in_other_namespace;
            *started_by = Some(call_index);
        }
    }

    /// Finds the calls that started the other threads by the order of thread ids, and sets them in
    /// `started_by`. Returns the indices of the threads without a parent, and how many threads may
    /// have another parent than the one that was set.
    fn match_by_order(&self, started_by: &mut [Option<usize>]) -> (Vec<usize>, u64) {
        let mut calls: Vec<usize> =
            (0..self.fork_calls.len()).filter(|index| !self.fork_calls[*index].matched).collect();
        let mut threads: Vec<usize> =
            (1..started_by.len()).filter(|index| started_by[*index].is_none()).collect();
        let begins_before = |call: usize, thread: usize| {
            self.fork_calls[call].first_line < self.threads[thread].first_line
        };
        if calls.len() == threads.len() {
            calls.sort_by_key(|index| {
                let call = &self.fork_calls[*index];
                (call.last_line, call.first_line)
            });
            let mut threads_by_id = threads.clone();
            threads_by_id.sort_by_key(|index| self.threads[*index].tid);
            let pairs = || calls.iter().zip(&threads_by_id).inspect(|_| self.count_step());
            if pairs().all(|(call, thread)| begins_before(*call, *thread)) {
                let overlapping = calls.windows(2).filter(|pair| {
                    let (a, b) = (&self.fork_calls[pair[0]], &self.fork_calls[pair[1]]);
                    a.parent != b.parent && a.last_line >= b.first_line
                });
                let ambiguous = overlapping.count() as u64;
                for (call, thread) in pairs() {
                    started_by[*thread] = Some(*call);
                }
                return (Vec::new(), ambiguous);
            }
        }
        // In the order of time, each thread gets the first call that has no child yet.
        calls.sort_by_key(|index| self.fork_calls[*index].first_line);
        let (mut later_calls, mut childless_calls) = (VecDeque::from(calls), VecDeque::new());
        // How many of `childless_calls` each parent has made.
        let mut calls_by_parent: BTreeMap<u32, u64> = BTreeMap::new();
        let mut ambiguous = 0;
        threads.retain(|thread| {
            while later_calls.front().is_some_and(|call| begins_before(*call, *thread)) {
                if let Some(call) = later_calls.pop_front() {
                    *calls_by_parent.entry(self.fork_calls[call].parent).or_default() += 1;
                    childless_calls.push_back(call);
                }
            }
            self.count_step();
            let Some(call) = childless_calls.pop_front() else { return true };
            ambiguous += u64::from(calls_by_parent.len() > 1);
            if let Some(count) = calls_by_parent.get_mut(&self.fork_calls[call].parent) {
                *count -= 1;
                if *count == 0 {
                    calls_by_parent.remove(&self.fork_calls[call].parent);
                }
            }
            started_by[*thread] = Some(call);
            false
        });
        (threads, ambiguous)
    }
}
