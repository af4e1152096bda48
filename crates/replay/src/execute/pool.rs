//! The executors: a thread for each traced thread that has calls to issue. An executor whose traced
//! thread has ended serves the next one. Beyond a number, traced threads share executors, which the
//! order of the queues allows.

mod rings;

use super::completion::MAX_EXECUTORS;
use super::executor::Executor;
use super::job::{Job, Work};
use super::shared::Shared;
use crate::Error;
use crate::issue::thread::FsContext;
use crate::issue::{RealFd, raw, real_fd};
use ahash::HashMap;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use model::processes::{Credentials, Descriptor, Operands};
use std::sync::Arc;
use std::thread::JoinHandle;

pub(super) const STACK_SIZE: usize = 512 << 10;
/// Jobs that are handed over at once, to all executors together.
const BATCH: usize = 64;
/// Empty queues that are kept for reuse.
const MAX_EMPTY_QUEUES: usize = 256;

struct ExecutorHandle {
    jobs: Sender<Vec<Job>>,
    /// Not handed over yet.
    queued: Vec<Job>,
    /// The descriptor of the last queued call, if it has no handler.
    descriptor: Option<Arc<Descriptor<RealFd>>>,
    /// The working directory and umask sent last; `None`: to be sent again.
    context: Option<FsContext>,
    /// The user sent last.
    credentials: Option<Arc<Credentials>>,
    /// It performs the operations of a ring.
    is_ring: bool,
    /// `None`: another executor starts it and waits for it.
    thread: Option<JoinHandle<()>>,
}

impl ExecutorHandle {
    fn new(jobs: Sender<Vec<Job>>, is_ring: bool, thread: Option<JoinHandle<()>>) -> Self {
        Self {
            jobs,
            queued: Vec::new(),
            descriptor: None,
            context: None,
            credentials: None,
            is_ring,
            thread,
        }
    }
}

fn no_thread(why: std::io::Error) -> Error {
    Error::Sandbox(sandbox::Error("cannot start a thread", why))
}

pub(crate) struct Pool {
    shared: Arc<Shared>,
    executors: Vec<ExecutorHandle>,
    /// Where executors return completed jobs.
    returned_sender: Sender<Vec<Job>>,
    returned: Receiver<Vec<Job>>,
    /// Returned queues, to be filled again.
    empty_queues: Vec<Vec<Job>>,
    /// Executors with queued jobs, and the number of queued jobs.
    with_queued: Vec<usize>,
    queued: usize,
    /// Each job is handed over at once, as it is due at some time.
    hands_over_at_once: bool,
    /// Executors whose traced thread has ended.
    idle: Vec<usize>,
    by_thread: HashMap<u32, usize>,
    /// The executors of rings.
    rings: Vec<usize>,
    /// The thread looked up last, and its executor.
    latest: Option<(u32, usize)>,
    /// Real descriptors of files that were open when the recording began, by open file.
    inherited: HashMap<u64, i32>,
    /// All descriptors that the dispatcher opened.
    opened: Vec<i32>,
}

impl Pool {
    /// Creates the pool without executors. They start with the first job of their thread.
    pub fn new(shared: Arc<Shared>) -> Self {
        let hands_over_at_once = shared.options.is_paced();
        let (returned_sender, returned) = unbounded();
        Self {
            shared,
            returned_sender,
            returned,
            empty_queues: Vec::new(),
            with_queued: Vec::new(),
            queued: 0,
            hands_over_at_once,
            executors: Vec::new(),
            idle: Vec::new(),
            by_thread: HashMap::default(),
            rings: Vec::new(),
            latest: None,
            inherited: HashMap::default(),
            opened: Vec::new(),
        }
    }

    /// Stores a descriptor that the dispatcher, not an executor, has opened.
    pub fn adopt(&mut self, real: &RealFd, fd: i64) {
        if let Ok(fd @ 0..) = i32::try_from(fd) {
            real.set(fd);
            if real.get() == fd {
                self.opened.push(fd);
            }
        }
    }

    /// Returns the descriptor that was opened first for this inherited open file.
    pub fn inherited_fd(&self, file: u64) -> Option<i32> {
        self.inherited.get(&file).copied()
    }

    /// Remembers the descriptor that was opened first for this inherited open file.
    pub fn remember_inherited(&mut self, file: u64, fd: i32) {
        self.inherited.insert(file, fd);
    }

    /// Returns the number of the executor that performs the calls of thread `tid`. Starts one, or
    /// reuses that of a thread that has ended.
    pub fn executor_of(&mut self, tid: u32) -> Result<usize, Error> {
        if let Some((known, executor)) = self.latest
            && known == tid
        {
            return Ok(executor);
        }
        let executor = match self.by_thread.get(&tid) {
            Some(executor) => *executor,
            None => {
                let executor = match self.idle.pop() {
                    Some(executor) => executor,
                    None if self.shared.single_executor && !self.executors.is_empty() => 0,
                    None if self.executors.len() >= MAX_EXECUTORS => self.shared_executor(tid),
                    None => self.start()?,
                };
                self.by_thread.insert(tid, executor);
                executor
            }
        };
        self.latest = Some((tid, executor));
        Ok(executor)
    }

    /// Returns the executor that thread `tid` shares with others.
    fn shared_executor(&self, tid: u32) -> usize {
        let first = tid as usize % self.executors.len();
        let all = (first..self.executors.len()).chain(0..first);
        all.into_iter().find(|executor| !self.executors[*executor].is_ring).unwrap_or(first)
    }

    /// Returns the working directory and umask of a call, or `None` if the executor has them
    /// already.
    pub fn changed_context(
        &mut self,
        executor: usize,
        operands: &Operands<RealFd>,
    ) -> Option<FsContext> {
        if self.is_ring(executor) {
            return Some(FsContext::of(operands));
        }
        let known = &mut self.executors[executor].context;
        if known.as_ref().is_some_and(|known| known.applies_to(operands)) {
            return None;
        }
        *known = Some(FsContext::of(operands));
        known.clone()
    }

    /// Queues a job for an executor. `credentials` is the user that its thread acts as.
    /// `before_change` runs before the executor becomes another user.
    pub fn send(
        &mut self,
        executor: usize,
        mut job: Job,
        credentials: Option<&Arc<Credentials>>,
        before_change: impl FnOnce(&Credentials),
    ) {
        let handle = &mut self.executors[executor];
        if let Some(credentials) = credentials
            && !handle.credentials.as_ref().is_some_and(|known| Arc::ptr_eq(known, credentials))
        {
            if self.shared.privileges.any_user {
                before_change(credentials);
            }
            job.extras.get_or_insert_default().credentials = Some(credentials.clone());
            handle.credentials = Some(credentials.clone());
        }
        if handle.queued.is_empty() {
            self.with_queued.push(executor);
        }
        // The executor keeps a descriptor over consecutive calls on it.
        match &mut job.work {
            _ if handle.is_ring => {}
            Work::Call(call) if !call.is_handled() => {
                let descriptor = call.descriptor.as_ref().map(Arc::as_ptr);
                call.same_descriptor = descriptor.is_some()
                    && descriptor == handle.descriptor.as_ref().map(Arc::as_ptr);
                if call.same_descriptor {
                    call.descriptor = None;
                } else {
                    handle.descriptor.clone_from(&call.descriptor);
                }
            }
            _ => (handle.descriptor, handle.context) = (None, None),
        }
        handle.queued.push(job);
        self.queued += 1;
        if self.hands_over_at_once || self.queued >= BATCH {
            self.hand_over();
        }
    }

    /// Returns how many jobs are queued here and not handed over yet.
    pub fn queued(&self) -> u64 {
        self.queued as u64
    }

    /// Hands all queued jobs over. Must be called before the dispatcher waits for anything.
    pub fn hand_over(&mut self) {
        for executor in &self.with_queued {
            let handle = &mut self.executors[*executor];
            // A close checks whether the descriptor has another owner.
            handle.descriptor = None;
            if let Some(last) = handle.queued.last() {
                self.shared.completion.hand_over(*executor, last.number);
            }
        }
        for mut returned in self.returned.try_iter() {
            returned.clear();
            self.empty_queues.push(returned);
        }
        for executor in self.with_queued.drain(..) {
            let handle = &mut self.executors[executor];
            // An executor that is gone has stored the reason, which the dispatcher checks when it
            // waits.
            let _ = handle.jobs.send(std::mem::replace(
                &mut handle.queued,
                self.empty_queues.pop().unwrap_or_default(),
            ));
        }
        self.empty_queues.truncate(MAX_EMPTY_QUEUES);
        self.queued = 0;
    }

    /// Starts an executor thread, and returns its number. Fails if the thread cannot be created.
    fn start(&mut self) -> Result<usize, Error> {
        let executor = self.executors.len();
        self.shared.completion.add_executor(executor);
        let (sender, jobs) = unbounded();
        let (shared, returned_sender) = (self.shared.clone(), self.returned_sender.clone());
        let (own_table, own_table_signal) = bounded(1);
        let own_table = self.shared.single_executor.then_some(own_table);
        let thread = std::thread::Builder::new()
            .name("executor".into())
            .stack_size(STACK_SIZE)
            .spawn(move || Executor::run(&shared, executor, &jobs, &returned_sender, own_table))
            .map_err(no_thread)?;
        if own_table_signal.recv().is_ok() {
            // The executor's table has copies of these descriptors now.
            for fd in self.opened.drain(..) {
                raw::close(fd);
            }
            real_fd::close_with_table();
        }
        self.executors.push(ExecutorHandle::new(sender, false, Some(thread)));
        Ok(executor)
    }

    /// Wakes executors that wait for the replay to begin.
    pub fn wake(&self) {
        let threads = self.executors.iter().filter_map(|handle| handle.thread.as_ref());
        threads.for_each(|thread| thread.thread().unpark());
    }

    /// Notes that thread `tid` has ended, so that its executor can serve another one.
    pub fn thread_ended(&mut self, tid: u32) {
        self.latest = None;
        if let Some(executor) = self.by_thread.remove(&tid)
            && !self.by_thread.values().any(|other| *other == executor)
        {
            self.idle.push(executor);
        }
    }

    /// Ends all executors, whose queues must be empty, and waits for them.
    pub fn finish(&mut self) {
        self.hand_over();
        // An executor that has started others waits for them.
        for ExecutorHandle { jobs, thread, .. } in self.executors.drain(..).rev() {
            drop(jobs);
            let _ = thread.map(JoinHandle::join);
        }
        self.by_thread.clear();
        self.idle.clear();
    }
}
