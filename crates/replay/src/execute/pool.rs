//! The executors: a thread for each traced thread that has calls to issue. Threads of the dead
//! serve the living; beyond a number they are shared, which the order of their queues allows.

use super::executor::Executor;
use super::frontier::LANES;
use super::job::{Job, Work};
use super::shared::Shared;
use crate::Error;
use crate::issue::thread::Place;
use crate::issue::{Real, raw, real};
use ahash::HashMap;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use model::world::{Bound, Credentials, Descriptor};
use std::sync::Arc;
use std::thread::JoinHandle;

const STACK: usize = 512 << 10;
/// So many jobs are handed over at once, to all executors together.
const HANDFUL: usize = 64;
/// So many empty queues are kept.
const SPARE: usize = 256;

struct Served {
    jobs: Sender<Vec<Job>>,
    /// Not handed over yet.
    waiting: Vec<Job>,
    /// The descriptor of the last of these, if it has no handler.
    meant: Option<Arc<Descriptor<Real>>>,
    /// Where it was told that its thread is; `None`: to be told again.
    place: Option<Place>,
    /// Who it was told that its thread is.
    who: Option<Arc<Credentials>>,
    thread: JoinHandle<()>,
}

pub(crate) struct Pool {
    shared: Arc<Shared>,
    executors: Vec<Served>,
    /// What they have done comes back.
    back: Sender<Vec<Job>>,
    done: Receiver<Vec<Job>>,
    /// Queues that came back, to be filled again.
    empty: Vec<Vec<Job>>,
    /// Executors for which jobs wait, and how many jobs.
    behind: Vec<usize>,
    waiting: usize,
    /// Jobs are handed over at once: their time is what counts.
    exact: bool,
    /// Executors whose traced thread has ended.
    free: Vec<usize>,
    serving: HashMap<u32, usize>,
    /// What was looked up last.
    latest: Option<(u32, usize)>,
    /// Real descriptors of open files that were there at the start.
    present: HashMap<u64, i32>,
    /// All that were opened here.
    opened: Vec<i32>,
}

impl Pool {
    pub fn new(shared: Arc<Shared>) -> Self {
        let exact = shared.options.is_paced();
        let (back, done) = unbounded();
        Self {
            shared,
            back,
            done,
            empty: Vec::new(),
            behind: Vec::new(),
            waiting: 0,
            exact,
            executors: Vec::new(),
            free: Vec::new(),
            serving: HashMap::default(),
            latest: None,
            present: HashMap::default(),
            opened: Vec::new(),
        }
    }

    /// The dispatcher, not an executor, has opened a descriptor.
    pub fn opened(&mut self, real: &Real, fd: i64) {
        if let Ok(fd @ 0..) = i32::try_from(fd) {
            real.set(fd);
            if real.get() == fd {
                self.opened.push(fd);
            }
        }
    }

    /// The descriptor that was first opened for this open file.
    pub fn present(&self, file: u64) -> Option<i32> {
        self.present.get(&file).copied()
    }

    pub fn remember(&mut self, file: u64, fd: i32) {
        self.present.insert(file, fd);
    }

    /// The executor of thread `tid`.
    pub fn lane(&mut self, tid: u32) -> Result<usize, Error> {
        if let Some((known, lane)) = self.latest
            && known == tid
        {
            return Ok(lane);
        }
        let lane = match self.serving.get(&tid) {
            Some(lane) => *lane,
            None => {
                let lane = match self.free.pop() {
                    Some(lane) => lane,
                    None if self.shared.alone && !self.executors.is_empty() => 0,
                    None if self.executors.len() >= LANES => tid as usize % LANES,
                    None => self.start()?,
                };
                self.serving.insert(tid, lane);
                lane
            }
        };
        self.latest = Some((tid, lane));
        Ok(lane)
    }

    /// Where the executor is to go before a call, unless it was told so before another one.
    pub fn place(&mut self, lane: usize, bound: &Bound<Real>) -> Option<Place> {
        let told = &mut self.executors[lane].place;
        if told.as_ref().is_some_and(|told| told.is_of(bound)) {
            return None;
        }
        *told = Some(Place::of(bound));
        told.clone()
    }

    /// Hands a job to an executor. `who`: the one that its thread acts as; `becomes` is told of one
    /// that its executor has to become.
    pub fn send(
        &mut self,
        lane: usize,
        mut job: Job,
        who: Option<&Arc<Credentials>>,
        becomes: impl FnOnce(&Credentials),
    ) {
        let served = &mut self.executors[lane];
        if let Some(who) = who
            && !served.who.as_ref().is_some_and(|told| Arc::ptr_eq(told, who))
        {
            if self.shared.powers.any_user {
                becomes(who);
            }
            job.rare.get_or_insert_default().who = Some(who.clone());
            served.who = Some(who.clone());
        }
        if served.waiting.is_empty() {
            self.behind.push(lane);
        }
        // The executor holds a descriptor from the first call in a row that means it to the last.
        match &mut job.work {
            Work::Call(call) if !call.is_handled() => {
                let meant = call.meant.as_ref().map(Arc::as_ptr);
                call.same = meant.is_some() && meant == served.meant.as_ref().map(Arc::as_ptr);
                if call.same {
                    call.meant = None;
                } else {
                    served.meant.clone_from(&call.meant);
                }
            }
            _ => (served.meant, served.place) = (None, None),
        }
        served.waiting.push(job);
        self.waiting += 1;
        if self.exact || self.waiting >= HANDFUL {
            self.hand_over();
        }
    }

    /// How many jobs are not handed over yet: the last ones.
    pub fn waiting(&self) -> u64 {
        self.waiting as u64
    }

    /// Hands over what waits. To be done before the dispatcher waits for anything.
    pub fn hand_over(&mut self) {
        for lane in &self.behind {
            let served = &mut self.executors[*lane];
            // Who closes a descriptor asks whether anybody else holds it.
            served.meant = None;
            if let Some(last) = served.waiting.last() {
                self.shared.frontier.send(*lane, last.number);
            }
        }
        for mut done in self.done.try_iter() {
            done.clear();
            self.empty.push(done);
        }
        for lane in self.behind.drain(..) {
            let served = &mut self.executors[lane];
            // An executor that is gone has said why; the dispatcher looks when it waits.
            let _ = served
                .jobs
                .send(std::mem::replace(&mut served.waiting, self.empty.pop().unwrap_or_default()));
        }
        self.empty.truncate(SPARE);
        self.waiting = 0;
    }

    fn start(&mut self) -> Result<usize, Error> {
        let lane = self.executors.len();
        self.shared.frontier.open(lane);
        let (sender, jobs) = unbounded();
        let (shared, back) = (self.shared.clone(), self.back.clone());
        let (own, owns) = bounded(1);
        let own = self.shared.alone.then_some(own);
        let thread = std::thread::Builder::new()
            .name("executor".into())
            .stack_size(STACK)
            .spawn(move || Executor::run(&shared, lane, &jobs, &back, own))
            .map_err(|e| Error::Sandbox("cannot start a thread", e))?;
        if owns.recv().is_ok() {
            // What was opened here is there now, and would stay open here.
            for fd in self.opened.drain(..) {
                raw::close(fd);
            }
            real::are_elsewhere();
        }
        self.executors.push(Served {
            jobs: sender,
            waiting: Vec::new(),
            meant: None,
            place: None,
            who: None,
            thread,
        });
        Ok(lane)
    }

    /// Wakes executors that wait for the gate.
    pub fn wake(&self) {
        self.executors.iter().for_each(|served| served.thread.thread().unpark());
    }

    /// Thread `tid` has ended.
    pub fn leave(&mut self, tid: u32) {
        self.latest = None;
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
