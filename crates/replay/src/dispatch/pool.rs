//! The executors: a thread for each traced thread that has calls to issue. Threads of the dead serve the living; beyond a number they are shared, which the order of
//! their queues allows.

use crate::executor::Executor;
use crate::job::Job;
use crate::shared::Shared;
use crate::{Error, Pace};
use ahash::HashMap;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The most threads.
const THREADS: usize = 256;
const STACK: usize = 512 << 10;
/// So many jobs are handed over at once, to all executors together.
const HANDFUL: usize = 64;

struct Served {
    jobs: Sender<Vec<Job>>,
    /// Not handed over yet.
    waiting: Vec<Job>,
    thread: JoinHandle<()>,
}

pub(super) struct Pool {
    shared: Arc<Shared>,
    executors: Vec<Served>,
    /// What they have done comes back.
    back: Sender<Vec<Job>>,
    done: Receiver<Vec<Job>>,
    /// Executors for which jobs wait, and how many jobs.
    behind: Vec<usize>,
    waiting: usize,
    /// Jobs are handed over at once: their time is what counts.
    exact: bool,
    /// Executors whose traced thread has ended.
    free: Vec<usize>,
    serving: HashMap<u32, usize>,
    /// Real descriptors of open files that were there at the start.
    present: HashMap<u64, i32>,
}

impl Pool {
    pub fn new(shared: Arc<Shared>) -> Self {
        let exact = shared.options.pace != Pace::Asap;
        let (back, done) = unbounded();
        Self {
            shared,
            back,
            done,
            behind: Vec::new(),
            waiting: 0,
            exact,
            executors: Vec::new(),
            free: Vec::new(),
            serving: HashMap::default(),
            present: HashMap::default(),
        }
    }

    /// The descriptor that was first opened for this open file.
    pub fn present(&self, file: u64) -> Option<i32> {
        self.present.get(&file).copied()
    }

    pub fn remember(&mut self, file: u64, fd: i32) {
        self.present.insert(file, fd);
    }

    /// Hands a job to the executor of thread `tid`.
    pub fn send(&mut self, tid: u32, job: Job) -> Result<(), Error> {
        let place = match self.serving.get(&tid) {
            Some(place) => *place,
            None => {
                let place = match self.free.pop() {
                    Some(place) => place,
                    None if self.executors.len() >= THREADS => tid as usize % THREADS,
                    None => self.start()?,
                };
                self.serving.insert(tid, place);
                place
            }
        };
        let served = &mut self.executors[place];
        if served.waiting.is_empty() {
            self.behind.push(place);
        }
        served.waiting.push(job);
        self.waiting += 1;
        if self.exact || self.waiting >= HANDFUL {
            self.hand_over();
        }
        Ok(())
    }

    /// Hands over what waits. To be done before the dispatcher waits for anything.
    pub fn hand_over(&mut self) {
        for place in self.behind.drain(..) {
            let served = &mut self.executors[place];
            // An executor that is gone has said why; the dispatcher looks when it waits.
            let _ = served.jobs.send(std::mem::take(&mut served.waiting));
        }
        self.waiting = 0;
        self.done.try_iter().for_each(drop);
    }

    fn start(&mut self) -> Result<usize, Error> {
        let (sender, jobs) = unbounded();
        let (shared, back) = (self.shared.clone(), self.back.clone());
        let thread = std::thread::Builder::new()
            .name("executor".into())
            .stack_size(STACK)
            .spawn(move || Executor::run(&shared, &jobs, &back))
            .map_err(|e| Error::Sandbox("a thread is refused", e))?;
        self.executors.push(Served { jobs: sender, waiting: Vec::new(), thread });
        Ok(self.executors.len() - 1)
    }

    /// Wakes executors that wait for the gate.
    pub fn wake(&self) {
        self.executors.iter().for_each(|served| served.thread.thread().unpark());
    }

    /// Thread `tid` has ended.
    pub fn leave(&mut self, tid: u32) {
        if let Some(place) = self.serving.remove(&tid)
            && !self.serving.values().any(|p| *p == place)
        {
            self.free.push(place);
        }
    }

    /// Waits for all executors to end: their queues are empty.
    pub fn finish(&mut self) {
        self.hand_over();
        for Served { jobs, thread, .. } in self.executors.drain(..) {
            drop(jobs);
            let _ = thread.join();
        }
        self.serving.clear();
        self.free.clear();
    }
}
