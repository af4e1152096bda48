//! The threads that empty rings: one for each CPU, so that what one hands on to its journal's
//! writer is in the order in which it happened there.
//!
//! A consumer sleeps until its ring has much, or for a moment; if nothing has come for a while,
//! until there is something. The kernel's program wakes it (`wake_at`).

use super::ring::{Ring, View};
use super::writer::{MemoryBudget, Writer};
use super::written_until::{Mark, WrittenUntil};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::load::Probe;
use crate::ebpf::mapped::Mapped;
use crate::ebpf::skel::types::cpu_state;
use libbpf_rs::MapHandle;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use std::fs::File;
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trace::journal::Journal;

/// A frame of the journal holds about so many bytes.
const SPAN_BYTES: u64 = 1 << 20;
/// Sleeps no longer than this while records come,
const SLEEP: Duration = Duration::from_millis(5);
/// and after this long without one until there is one.
const QUIET: Duration = Duration::from_millis(500);

/// After a call that is longer than the ring, the next ones may be, too.
const MEMORY_FOR: Duration = Duration::from_secs(1);

/// What the kernel's program and we tell each other of a CPU.
pub(in crate::ebpf) struct Cpus(Mapped);

impl Cpus {
    fn new(probe: &Probe<'_>) -> Result<Self, Error> {
        let bytes =
            (probe.cpus * size_of::<cpu_state>()).next_multiple_of(rustix::param::page_size());
        Mapped::new(&probe.skel.maps.cpus, 0, bytes, true).map(Self)
    }
    /// A CPU's word, by its offset in `cpu_state`.
    pub fn word(&self, cpu: usize, offset: usize) -> &AtomicU64 {
        self.0.word(cpu * size_of::<cpu_state>() + offset)
    }
}

/// What is shared with the consumers.
struct Shared {
    stop: AtomicBool,
    stopped: OwnedFd,
}

/// All of them.
pub(in crate::ebpf) struct Consumers {
    shared: Arc<Shared>,
    pub cpus: Arc<Cpus>,
    pub written: Arc<WrittenUntil>,
    threads: Vec<JoinHandle<Result<Taken, trace::Error>>>,
}

/// What one consumer took.
struct Taken {
    cpu: u32,
    next: u64,
}

/// Records that found no room at the end of a stream, where no later number shows the gap.
pub(in crate::ebpf) struct Gap {
    pub cpu: u32,
    pub first: u64,
    pub records: u64,
}

/// What came of it.
pub(in crate::ebpf) struct Outcome {
    pub error: Option<trace::Error>,
    pub gaps: Vec<Gap>,
    /// Nanoseconds that calls were delayed, all together.
    pub held: u64,
}

fn io(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |e| Error::refused(doing)(e.into())
}

impl Consumers {
    /// Starts them, one for each journal.
    pub fn start(
        probe: &Probe<'_>,
        journals: Vec<Journal>,
        complete: &File,
        rate: Option<u64>,
    ) -> Result<Self, Error> {
        let cpus = Arc::new(Cpus::new(probe)?);
        let stopped = eventfd(0, EventfdFlags::CLOEXEC).map_err(io("create an eventfd"))?;
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), stopped });
        let budget = Arc::new(MemoryBudget::new(probe.cpus));
        let rings = probe.rings.iter().map(Ring::new).collect::<Result<_, Error>>()?;
        let written = Arc::new(WrittenUntil::new(rings, Arc::clone(&budget), complete)?);
        let mut threads = Vec::new();
        let (prepared, all_prepared) = std::sync::mpsc::channel();
        for (cpu, journal) in journals.into_iter().enumerate() {
            let map = MapHandle::try_from(&probe.rings[cpu])
                .map_err(refused("duplicate a descriptor"))?;
            let sleep =
                epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io("create an epoll"))?;
            // Edges only: what lies in the ring is no reason to wake, that the kernel's program
            // wants it is.
            epoll::add(
                &sleep,
                &map,
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN | epoll::EventFlags::ET,
            )
            .map_err(io("poll a ring buffer"))?;
            epoll::add(
                &sleep,
                shared.stopped.as_fd(),
                epoll::EventData::new_u64(1),
                epoll::EventFlags::IN,
            )
            .map_err(io("poll an eventfd"))?;
            let writer = Writer::start(cpu, journal, Arc::clone(&budget))?;
            let consumer = Consumer {
                cpu,
                mark: written.mark(cpu),
                written: Arc::clone(&written),
                writer,
                sleep,
                view: View::new(map, probe.room_bytes)?,
                unmapped: None,
                shared: Arc::clone(&shared),
                cpus: Arc::clone(&cpus),
                rate,
                wake_at_bytes: probe.ring_bytes as u64 / 16,
                next: 0,
                long_calls: 0,
                memory_until: Instant::now(),
            };
            let prepared = prepared.clone();
            let run = move || {
                prepare_thread(cpu);
                let _ignored = prepared.send(());
                consumer.run()
            };
            threads.push(
                std::thread::Builder::new()
                    .name(format!("ring {cpu}"))
                    .spawn(run)
                    .map_err(Error::refused("start a thread"))?,
            );
        }
        // A thread that begins takes locks on our memory map, and the command that is started soon
        // may keep it from its CPU meanwhile.
        for _ in &threads {
            let _ended = all_prepared.recv();
        }
        Ok(Self { shared, cpus, written, threads })
    }

    /// Ends them when everything is written. Nothing may come any more.
    pub fn finish(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.stopped, &1u64.to_ne_bytes());
        let mut outcome = Outcome { error: None, gaps: Vec::new(), held: 0 };
        for thread in self.threads {
            match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(Taken { cpu, next }) => {
                    let made = self
                        .cpus
                        .word(cpu as usize, offset_of!(cpu_state, seq))
                        .load(Ordering::Acquire);
                    outcome.held += self
                        .cpus
                        .word(cpu as usize, offset_of!(cpu_state, held))
                        .load(Ordering::Acquire);
                    if made > next {
                        outcome.gaps.push(Gap { cpu, first: next, records: made - next });
                    }
                }
                Err(e) => outcome.error = Some(e),
            }
        }
        outcome
    }
}

struct Consumer {
    cpu: usize,
    written: Arc<WrittenUntil>,
    mark: Mark,
    writer: Writer,
    sleep: OwnedFd,
    view: View,
    /// Why what lies in the ring could not be looked at.
    unmapped: Option<Error>,
    shared: Arc<Shared>,
    cpus: Arc<Cpus>,
    /// Wake us at so many bytes.
    wake_at_bytes: u64,
    /// Bytes a second, for tests.
    rate: Option<u64>,
    /// The sequence number that comes next.
    next: u64,
    /// So many long calls were announced.
    long_calls: u64,
    memory_until: Instant,
}

impl Consumer {
    fn run(mut self) -> Result<Taken, trace::Error> {
        let mut last = Instant::now();
        loop {
            // Asked before the ring is looked at: what comes after the last look is nothing.
            let stop = self.shared.stop.load(Ordering::Acquire);
            let took = self.drain();
            if took > 0 {
                last = Instant::now();
            }
            if stop && took == 0 {
                break;
            }
            if !stop && took < SPAN_BYTES {
                self.sleep_until_woken(last.elapsed() > QUIET);
            }
        }
        self.writer.finish()?;
        match self.unmapped {
            Some(error) => Err(std::io::Error::other(error).into()),
            None => Ok(Taken { cpu: self.cpu as u32, next: self.next }),
        }
    }

    /// Whether the ring must be emptied whatever the disk does: a call may be waiting in it, or
    /// come to wait.
    fn memory_only(&mut self) -> bool {
        let long_calls =
            self.cpus.word(self.cpu, offset_of!(cpu_state, long_calls)).load(Ordering::Acquire);
        if long_calls != self.long_calls {
            self.long_calls = long_calls;
            self.memory_until = Instant::now() + MEMORY_FOR;
        }
        Instant::now() < self.memory_until
    }

    /// Takes what is there; how many bytes.
    fn drain(&mut self) -> u64 {
        let written = Arc::clone(&self.written);
        let ring = &written.rings[self.cpu];
        let mut took = 0;
        loop {
            let memory_only = self.memory_only();
            if self.written.has_passed(self.cpu, &self.mark) {
                self.mark = self.written.mark(self.cpu);
            }
            let span = match self.view.span(ring, SPAN_BYTES) {
                Ok(Some(span)) => span,
                Ok(None) => return took,
                Err(error) => {
                    // No call is to wait for room because of that.
                    ring.taken(ring.produced());
                    written.fail();
                    self.unmapped = Some(error);
                    return took;
                }
            };
            took += span.bytes.len() as u64;
            let (first, next) = span.seqs;
            if next > first {
                self.writer.take(span.bytes, first, next, memory_only);
                self.next = next;
            }
            let len = span.bytes.len() as u64;
            ring.taken(span.end());
            if let Some(rate) = self.rate {
                std::thread::sleep(Duration::from_nanos(len * 1_000_000_000 / rate.max(1)));
            }
        }
    }

    fn sleep_until_woken(&mut self, quiet: bool) {
        if quiet {
            self.writer.rest();
        }
        self.cpus
            .word(self.cpu, offset_of!(cpu_state, wake_at))
            .store(if quiet { 0 } else { self.wake_at_bytes }, Ordering::SeqCst);
        // Something may have come while the kernel's program did not know that we want to be woken.
        let ring = &self.written.rings[self.cpu];
        if quiet && !matches!(self.view.span(ring, 1), Ok(None)) {
            return;
        }
        let nap = Timespec { tv_sec: 0, tv_nsec: SLEEP.as_nanos() as i64 };
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        let _ = epoll::wait(&self.sleep, &mut events[..], (!quiet).then_some(&nap));
    }
}

/// What a thread does before it empties a CPU's ring: it leaves that CPU, and touches the memory
/// that it will use.
fn prepare_thread(cpu: usize) {
    leave_cpu(cpu);
    std::hint::black_box([0u8; 64 << 10]);
}

/// Keeps our thread off a CPU if it may run on others: while a call there waits for room in the
/// ring, nothing else runs on that CPU.
fn leave_cpu(cpu: usize) {
    use rustix::thread::{sched_getaffinity, sched_setaffinity};
    if let Ok(mut allowed) = sched_getaffinity(None)
        && allowed.count() > 1
        && cpu < rustix::thread::CpuSet::MAX_CPU
    {
        allowed.unset(cpu);
        let _ = sched_setaffinity(None, &allowed);
    }
}
