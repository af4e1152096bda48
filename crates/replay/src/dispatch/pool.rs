//! The executors: a thread for each traced thread that has calls to issue. Threads of the dead serve the living; beyond a number they are shared, which the order of
//! their queues allows.

use crate::Error;
use crate::executor::Executor;
use crate::job::Job;
use crate::shared::Shared;
use ahash::HashMap;
use crossbeam_channel::{Sender, unbounded};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The most threads.
const THREADS: usize = 256;
const STACK: usize = 512 << 10;

pub(super) struct Pool {
    shared: Arc<Shared>,
    executors: Vec<(Sender<Job>, JoinHandle<()>)>,
    /// Executors whose traced thread has ended.
    free: Vec<usize>,
    serving: HashMap<u32, usize>,
    /// Real descriptors of open files that were there at the start.
    present: HashMap<u64, i32>,
}

impl Pool {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, executors: Vec::new(), free: Vec::new(), serving: HashMap::default(), present: HashMap::default() }
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
        // An executor that is gone has said why; the dispatcher looks when it waits.
        let _ = self.executors[place].0.send(job);
        Ok(())
    }

    fn start(&mut self) -> Result<usize, Error> {
        let (sender, jobs) = unbounded();
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new()
            .name("executor".into())
            .stack_size(STACK)
            .spawn(move || Executor::run(&shared, &jobs))
            .map_err(|e| Error::Sandbox("a thread is refused", e))?;
        self.executors.push((sender, thread));
        Ok(self.executors.len() - 1)
    }

    /// Wakes executors that wait for the gate.
    pub fn wake(&self) {
        self.executors.iter().for_each(|(_, thread)| thread.thread().unpark());
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
        for (sender, thread) in self.executors.drain(..) {
            drop(sender);
            let _ = thread.join();
        }
        self.serving.clear();
        self.free.clear();
    }
}
