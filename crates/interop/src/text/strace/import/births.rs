//! Which call made which thread.
//!
//! strace tells a thread's number as it is in its own pid namespace, and what a call returned as
//! the program saw it. Where the two differ, a child is found by the order in which numbers are
//! given out: a later child has a higher one. What that leaves open is counted.

use ::import::Fork;
use ahash::{HashMap, HashSet};
use linux_raw_sys::general::CLONE_NEWPID;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

const NEVER: u64 = u64::MAX;

/// A call that makes a thread or process.
#[derive(Debug)]
struct Making {
    parent: u32,
    /// Which of the lives is its caller's.
    life: usize,
    flags: u64,
    time: u64,
    /// The lines in which it begins and ends.
    begins: u64,
    ends: u64,
    /// What it returned, and the number of that thread in strace's own namespace, if strace says
    /// so.
    result: i64,
    translated: Option<u32>,
    /// Its child is in another pid namespace than strace.
    elsewhere: bool,
    used: bool,
}

/// A thread, from its first line to its last one: numbers are used again.
#[derive(Debug)]
struct Life {
    tid: u32,
    first: u64,
    /// It is in another pid namespace than strace.
    elsewhere: bool,
    /// Its children will be.
    children_elsewhere: bool,
}

/// What a first reading has found out.
#[derive(Default)]
pub(crate) struct Births {
    lives: Vec<Life>,
    living: HashMap<u32, usize>,
    makings: Vec<Making>,
    /// Calls under way, by their thread.
    begun: HashMap<u32, usize>,
    steps: Cell<u64>,
}

/// What follows from it.
#[derive(Default, Debug)]
pub(crate) struct Made {
    /// By the line in which the call begins: the children.
    pub at: HashMap<u64, Vec<(u32, Fork)>>,
    /// Threads of which no line says who made them: by their first line. The first thread of all is
    /// none.
    pub orphans: HashSet<u64>,
    /// Threads that more than one call may have made.
    pub unsure: u64,
    /// Threads and calls looked at.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count them"))]
    pub steps: u64,
}

impl Births {
    /// A line is about thread `tid`.
    pub fn line(&mut self, tid: u32, line: u64) -> usize {
        *self.living.entry(tid).or_insert_with(|| {
            self.lives.push(Life { tid, first: line, elsewhere: false, children_elsewhere: false });
            self.lives.len() - 1
        })
    }

    /// The thread is gone.
    pub fn gone(&mut self, tid: u32) {
        self.living.remove(&tid);
        self.begun.remove(&tid);
    }

    /// The thread that called execve has taken the number of its process's first one.
    pub fn superseded(&mut self, tid: u32, by: u32) {
        self.begun.remove(&tid);
        if let Some(life) = self.living.remove(&by) {
            self.living.insert(tid, life);
        }
    }

    /// The thread's later children are in a new pid namespace.
    pub fn namespace(&mut self, tid: u32, flags: u64) {
        if let Some(life) = self.living.get(&tid).filter(|_| flags & u64::from(CLONE_NEWPID) != 0) {
            self.lives[*life].children_elsewhere = true;
        }
    }

    /// It makes another.
    pub fn begins(&mut self, tid: u32, line: u64, time: u64, flags: u64) {
        let life = self.line(tid, line);
        let elsewhere = flags & u64::from(CLONE_NEWPID) != 0 || self.lives[life].children_elsewhere;
        self.begun.insert(tid, self.makings.len());
        self.makings.push(Making {
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

    /// It has made this one.
    pub fn ends(&mut self, tid: u32, line: u64, result: i64, translated: Option<u32>, flags: u64) {
        let Some(making) = self.begun.remove(&tid) else { return };
        let making = &mut self.makings[making];
        making.flags |= flags;
        (making.ends, making.result, making.translated) = (line, result, translated);
        // A call that failed has made nobody.
        making.used = result < 0;
        // A number that is used again, of a thread whose end is not told.
        let child = u32::try_from(result).ok().filter(|c| *c > 0 && translated.is_none());
        let stale = child.and_then(|c| self.living.get(&c)).copied();
        if let (Some(child), Some(life)) = (child, stale)
            && self.lives[life].first < making.begins
            && !self.lives[making.life].elsewhere
        {
            self.living.remove(&child);
        }
    }

    /// The first thread of all.
    pub fn first(&self) -> Option<u32> {
        self.lives.first().map(|l| l.tid)
    }

    /// Lines that name no thread were about this one.
    pub fn is(&mut self, main: u32) {
        let unnamed = |tid: &mut u32| {
            if *tid == 0 {
                *tid = main;
            }
        };
        self.lives.iter_mut().for_each(|l| unnamed(&mut l.tid));
        self.makings.iter_mut().for_each(|m| unnamed(&mut m.parent));
    }

    /// Finds a call for each thread.
    pub fn made(mut self) -> Made {
        let mut found = vec![None; self.lives.len()];
        self.by_number(&mut found);
        let (orphans, unsure) = self.by_order(&mut found);
        let mut made = Made { unsure, steps: self.steps.get(), ..Made::default() };
        for (life, making) in self.lives.iter().zip(found) {
            let Some(making) = making.map(|m: usize| &self.makings[m]) else { continue };
            let Making { parent, flags, time, begins, .. } = *making;
            made.at.entry(begins).or_default().push((life.tid, Fork { parent, flags, time }));
        }
        made.orphans = orphans.into_iter().map(|life| self.lives[life].first).collect();
        made
    }

    fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// Those whose number a call returned.
    fn by_number(&mut self, found: &mut [Option<usize>]) {
        let mut calls: HashMap<u32, VecDeque<usize>> = HashMap::default();
        for (i, m) in self.makings.iter().enumerate().filter(|(_, m)| !m.used) {
            let number = m.translated.or(u32::try_from(m.result).ok());
            if let Some(number) = number.filter(|n| *n > 0) {
                calls.entry(number).or_default().push_back(i);
            }
        }
        let tids: HashSet<u32> = self.lives.iter().map(|l| l.tid).collect();
        // Calls so far whose number is no thread's of this log.
        let (mut seen, mut strays) = (0, 0u64);
        for (life, made_by) in found.iter_mut().enumerate() {
            let Life { tid, first, .. } = self.lives[life];
            self.step();
            while let Some(m) = self.makings.get(seen).filter(|m| m.begins < first) {
                let number = m.translated.or(u32::try_from(m.result).ok());
                let known = number.is_some_and(|n| tids.contains(&n))
                    && (m.translated.is_some() || !self.lives[m.life].elsewhere);
                strays += u64::from(!m.used && !known);
                seen += 1;
                self.step();
            }
            let mut last = None;
            if let Some(calls) = calls.get_mut(&tid) {
                while calls.front().is_some_and(|c| self.makings[*c].begins < first) {
                    self.step();
                    // Of another namespace, the number means another thread.
                    last = calls
                        .pop_front()
                        .filter(|c| {
                            let m = &self.makings[*c];
                            m.translated.is_some() || !self.lives[m.life].elsewhere
                        })
                        .or(last);
                }
            }
            let Some(call) = last else {
                // Some call made it that returned another number; or nobody says who did.
                self.lives[life].elsewhere = life > 0 && strays > 0;
                strays -= u64::from(self.lives[life].elsewhere);
                continue;
            };
            let making = &mut self.makings[call];
            making.used = true;
            let elsewhere = making.elsewhere || self.lives[making.life].elsewhere;
            self.lives[life].elsewhere = elsewhere;
            *made_by = Some(call);
        }
    }

    /// The others, by the order of their numbers. Those that nobody made, and how many may have
    /// been made by another call.
    fn by_order(&self, found: &mut [Option<usize>]) -> (Vec<usize>, u64) {
        let mut calls: Vec<usize> =
            (0..self.makings.len()).filter(|m| !self.makings[*m].used).collect();
        let mut lives: Vec<usize> = (1..found.len()).filter(|l| found[*l].is_none()).collect();
        if calls.len() == lives.len() {
            calls.sort_by_key(|c| (self.makings[*c].ends, self.makings[*c].begins));
            let mut numbers = lives.clone();
            numbers.sort_by_key(|l| self.lives[*l].tid);
            let pairs = || calls.iter().zip(&numbers).inspect(|_| self.step());
            if pairs().all(|(c, l)| self.makings[*c].begins < self.lives[*l].first) {
                let open = calls.windows(2).filter(|pair| {
                    let (a, b) = (&self.makings[pair[0]], &self.makings[pair[1]]);
                    a.parent != b.parent && a.ends >= b.begins
                });
                let unsure = open.count() as u64;
                for (call, life) in pairs() {
                    found[*life] = Some(*call);
                }
                return (Vec::new(), unsure);
            }
        }
        // In the order of time, each by the first call that is left.
        calls.sort_by_key(|c| self.makings[*c].begins);
        let (mut calls, mut waiting) = (VecDeque::from(calls), VecDeque::new());
        let mut parents: BTreeMap<u32, u64> = BTreeMap::new();
        let mut unsure = 0;
        lives.retain(|life| {
            while calls.front().is_some_and(|c| self.makings[*c].begins < self.lives[*life].first) {
                if let Some(call) = calls.pop_front() {
                    *parents.entry(self.makings[call].parent).or_default() += 1;
                    waiting.push_back(call);
                }
            }
            self.step();
            let Some(call) = waiting.pop_front() else { return true };
            unsure += u64::from(parents.len() > 1);
            if let Some(n) = parents.get_mut(&self.makings[call].parent) {
                *n -= 1;
                if *n == 0 {
                    parents.remove(&self.makings[call].parent);
                }
            }
            found[*life] = Some(call);
            false
        });
        (lives, unsure)
    }
}
