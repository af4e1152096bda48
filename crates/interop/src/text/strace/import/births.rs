//! Finds the call that started each thread.
//!
//! strace prints thread ids of its own pid namespace, and results as the program saw them. Where
//! the two differ, a child is found by the order of ids: a later child has a higher one. Ambiguous
//! cases are counted.

use ::import::Fork;
use ahash::{HashMap, HashSet};
use linux_raw_sys::general::CLONE_NEWPID;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

const NEVER: u64 = u64::MAX;

/// A call that starts a thread or process.
#[derive(Debug)]
struct ForkCall {
    parent: u32,
    /// The index of its caller in `lives`.
    life: usize,
    flags: u64,
    time: u64,
    /// The lines in which it begins and ends.
    begins: u64,
    ends: u64,
    /// The result, and the id of that thread in strace's namespace, if strace prints it.
    result: i64,
    translated: Option<u32>,
    /// Whether its child is in another pid namespace than strace.
    elsewhere: bool,
    used: bool,
}

/// A thread, from its first line to its last one. Ids are used again.
#[derive(Debug)]
struct ThreadLife {
    tid: u32,
    first: u64,
    /// Whether it is in another pid namespace than strace.
    elsewhere: bool,
    /// Whether its later children will be.
    children_elsewhere: bool,
}

/// The threads and the calls that start threads, from a first pass.
#[derive(Default)]
pub(crate) struct Births {
    lives: Vec<ThreadLife>,
    living: HashMap<u32, usize>,
    fork_calls: Vec<ForkCall>,
    /// Unfinished calls, by thread.
    begun: HashMap<u32, usize>,
    steps: Cell<u64>,
}

/// The parents of threads.
#[derive(Default, Debug)]
pub(crate) struct Parents {
    /// The children of each call, by the line in which the call begins.
    pub at: HashMap<u64, Vec<(u32, Fork)>>,
    /// The first lines of threads whose parent is unknown, except the first thread of the log.
    pub orphans: HashSet<u64>,
    /// Threads that more than one call may have started.
    pub ambiguous: u64,
    /// Threads and calls looked at.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count them"))]
    pub steps: u64,
}

impl Births {
    /// Notes a line about thread `tid`. Returns the index of the thread.
    pub fn observe_line(&mut self, tid: u32, line: u64) -> usize {
        *self.living.entry(tid).or_insert_with(|| {
            self.lives.push(ThreadLife {
                tid,
                first: line,
                elsewhere: false,
                children_elsewhere: false,
            });
            self.lives.len() - 1
        })
    }

    /// Notes that the thread ended, so that its id may be used again.
    pub fn thread_ended(&mut self, tid: u32) {
        self.living.remove(&tid);
        self.begun.remove(&tid);
    }

    /// Notes that the thread called execve(2) and has taken the id of its process's first thread.
    pub fn superseded(&mut self, tid: u32, by: u32) {
        self.begun.remove(&tid);
        if let Some(life) = self.living.remove(&by) {
            self.living.insert(tid, life);
        }
    }

    /// Notes that the thread called unshare(2) or setns(2) with these flags, so that later children
    /// may be in a new pid namespace.
    pub fn add_namespace(&mut self, tid: u32, flags: u64) {
        if let Some(life) = self.living.get(&tid).filter(|_| flags & u64::from(CLONE_NEWPID) != 0) {
            self.lives[*life].children_elsewhere = true;
        }
    }

    /// Notes that the thread enters a call that starts another one.
    pub fn begin_fork(&mut self, tid: u32, line: u64, time: u64, flags: u64) {
        let life = self.observe_line(tid, line);
        let elsewhere = flags & u64::from(CLONE_NEWPID) != 0 || self.lives[life].children_elsewhere;
        self.begun.insert(tid, self.fork_calls.len());
        self.fork_calls.push(ForkCall {
            parent: tid,
            life,
            flags,
            time,
            begins: line,
            ends: NEVER,
            result: 0,
            translated: None,
            elsewhere,
            used: false,
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
        let Some(fork_call) = self.begun.remove(&tid) else { return };
        let fork_call = &mut self.fork_calls[fork_call];
        fork_call.flags |= flags;
        (fork_call.ends, fork_call.result, fork_call.translated) = (line, result, translated);
        // A call that failed has started no thread.
        fork_call.used = result < 0;
        // An id that is used again, of a thread whose end is not in the log.
        let child = u32::try_from(result).ok().filter(|c| *c > 0 && translated.is_none());
        let stale = child.and_then(|c| self.living.get(&c)).copied();
        if let (Some(child), Some(life)) = (child, stale)
            && self.lives[life].first < fork_call.begins
            && !self.lives[fork_call.life].elsewhere
        {
            self.living.remove(&child);
        }
    }

    /// Returns the first thread of the log.
    pub fn first_thread(&self) -> Option<u32> {
        self.lives.first().map(|l| l.tid)
    }

    /// Sets the thread of lines that have no thread id.
    pub fn set_main_thread(&mut self, main: u32) {
        let unnamed = |tid: &mut u32| {
            if *tid == 0 {
                *tid = main;
            }
        };
        self.lives.iter_mut().for_each(|l| unnamed(&mut l.tid));
        self.fork_calls.iter_mut().for_each(|m| unnamed(&mut m.parent));
    }

    /// Finds the call that started each thread.
    pub fn find_parents(mut self) -> Parents {
        let mut found = vec![None; self.lives.len()];
        self.match_by_id(&mut found);
        let (orphans, ambiguous) = self.match_by_order(&mut found);
        let mut made = Parents { ambiguous, steps: self.steps.get(), ..Parents::default() };
        for (life, fork_call) in self.lives.iter().zip(found) {
            let Some(fork_call) = fork_call.map(|m: usize| &self.fork_calls[m]) else { continue };
            let ForkCall { parent, flags, time, begins, .. } = *fork_call;
            made.at.entry(begins).or_default().push((life.tid, Fork { parent, flags, time }));
        }
        made.orphans = orphans.into_iter().map(|life| self.lives[life].first).collect();
        made
    }

    /// Counts a thread or call that was looked at.
    fn count_step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// Finds the parents of the threads whose id a call returned.
    fn match_by_id(&mut self, found: &mut [Option<usize>]) {
        let mut calls: HashMap<u32, VecDeque<usize>> = HashMap::default();
        for (i, m) in self.fork_calls.iter().enumerate().filter(|(_, m)| !m.used) {
            let number = m.translated.or(u32::try_from(m.result).ok());
            if let Some(number) = number.filter(|n| *n > 0) {
                calls.entry(number).or_default().push_back(i);
            }
        }
        let tids: HashSet<u32> = self.lives.iter().map(|l| l.tid).collect();
        // Calls so far whose result is the id of no thread in this log.
        let (mut seen, mut strays) = (0, 0u64);
        for (life, made_by) in found.iter_mut().enumerate() {
            let ThreadLife { tid, first, .. } = self.lives[life];
            self.count_step();
            while let Some(m) = self.fork_calls.get(seen).filter(|m| m.begins < first) {
                let number = m.translated.or(u32::try_from(m.result).ok());
                let known = number.is_some_and(|n| tids.contains(&n))
                    && (m.translated.is_some() || !self.lives[m.life].elsewhere);
                strays += u64::from(!m.used && !known);
                seen += 1;
                self.count_step();
            }
            let mut last = None;
            if let Some(calls) = calls.get_mut(&tid) {
                while calls.front().is_some_and(|c| self.fork_calls[*c].begins < first) {
                    self.count_step();
                    // In another namespace, the id means another thread.
                    last = calls
                        .pop_front()
                        .filter(|c| {
                            let m = &self.fork_calls[*c];
                            m.translated.is_some() || !self.lives[m.life].elsewhere
                        })
                        .or(last);
                }
            }
            let Some(call) = last else {
                // A call that returned another id started it, or its parent is not in the log.
                self.lives[life].elsewhere = life > 0 && strays > 0;
                strays -= u64::from(self.lives[life].elsewhere);
                continue;
            };
            let fork_call = &mut self.fork_calls[call];
            fork_call.used = true;
            let elsewhere = fork_call.elsewhere || self.lives[fork_call.life].elsewhere;
            self.lives[life].elsewhere = elsewhere;
            *made_by = Some(call);
        }
    }

    /// Finds the parents of the other threads by the order of their ids. Returns the threads
    /// without a parent, and how many may have another parent.
    fn match_by_order(&self, found: &mut [Option<usize>]) -> (Vec<usize>, u64) {
        let mut calls: Vec<usize> =
            (0..self.fork_calls.len()).filter(|m| !self.fork_calls[*m].used).collect();
        let mut lives: Vec<usize> = (1..found.len()).filter(|l| found[*l].is_none()).collect();
        if calls.len() == lives.len() {
            calls.sort_by_key(|c| (self.fork_calls[*c].ends, self.fork_calls[*c].begins));
            let mut numbers = lives.clone();
            numbers.sort_by_key(|l| self.lives[*l].tid);
            let pairs = || calls.iter().zip(&numbers).inspect(|_| self.count_step());
            if pairs().all(|(c, l)| self.fork_calls[*c].begins < self.lives[*l].first) {
                let open = calls.windows(2).filter(|pair| {
                    let (a, b) = (&self.fork_calls[pair[0]], &self.fork_calls[pair[1]]);
                    a.parent != b.parent && a.ends >= b.begins
                });
                let ambiguous = open.count() as u64;
                for (call, life) in pairs() {
                    found[*life] = Some(*call);
                }
                return (Vec::new(), ambiguous);
            }
        }
        // In the order of time, each thread by the first call that has no child yet.
        calls.sort_by_key(|c| self.fork_calls[*c].begins);
        let (mut calls, mut waiting) = (VecDeque::from(calls), VecDeque::new());
        let mut parents: BTreeMap<u32, u64> = BTreeMap::new();
        let mut ambiguous = 0;
        lives.retain(|life| {
            while calls
                .front()
                .is_some_and(|c| self.fork_calls[*c].begins < self.lives[*life].first)
            {
                if let Some(call) = calls.pop_front() {
                    *parents.entry(self.fork_calls[call].parent).or_default() += 1;
                    waiting.push_back(call);
                }
            }
            self.count_step();
            let Some(call) = waiting.pop_front() else { return true };
            ambiguous += u64::from(parents.len() > 1);
            if let Some(n) = parents.get_mut(&self.fork_calls[call].parent) {
                *n -= 1;
                if *n == 0 {
                    parents.remove(&self.fork_calls[call].parent);
                }
            }
            found[*life] = Some(call);
            false
        });
        (lives, ambiguous)
    }
}
