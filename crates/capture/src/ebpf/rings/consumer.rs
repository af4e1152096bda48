//! The threads that empty the rings: one for each CPU, so that the records of a CPU reach its
//! journal in order.
//!
//! A consumer sleeps until its ring has many records, or for a few milliseconds; if there was no
//! record for a while, until there is one. The probe wakes it (`wake_at`).

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

/// About how many bytes of records are taken from a ring and written to the journal at once.
const SPAN_BYTES: u64 = 1 << 20;
/// How long a consumer sleeps at most while records arrive.
const SLEEP: Duration = Duration::from_millis(5);
/// After this long without a record a consumer sleeps until there is one.
const QUIET: Duration = Duration::from_millis(500);

/// For how long after a call that was longer than the ring records go to memory instead of the
/// disk, since the next calls may be as long.
const MEMORY_FOR: Duration = Duration::from_secs(1);

/// The state of each CPU (`struct cpu_state`), which the probe and the recorder share.
pub(in crate::ebpf) struct Cpus(Mapped);

impl Cpus {
    /// Maps the states.
    fn new(probe: &Probe<'_>) -> Result<Self, Error> {
        let bytes =
            (probe.cpus * size_of::<cpu_state>()).next_multiple_of(rustix::param::page_size());
        Mapped::new(&probe.skel.maps.cpus, 0, bytes, true).map(Self)
    }
    /// Returns a word of a CPU's state, by its offset in `cpu_state`.
    pub fn word(&self, cpu: usize, offset: usize) -> &AtomicU64 {
        self.0.word(cpu * size_of::<cpu_state>() + offset)
    }
}

/// What all consumers share.
struct Shared {
    /// Whether the consumers are to end when their rings are empty.
    stop: AtomicBool,
    /// An eventfd that is readable then.
    stopped: OwnedFd,
}

/// All consumers.
pub(in crate::ebpf) struct Consumers {
    shared: Arc<Shared>,
    pub cpus: Arc<Cpus>,
    pub written: Arc<WrittenUntil>,
    threads: Vec<JoinHandle<Result<ConsumedUntil, trace::Error>>>,
}

/// Up to where a consumer has taken records from its ring: all below the sequence number `next`.
struct ConsumedUntil {
    cpu: u32,
    next: u64,
}

/// Records that were dropped at the end of a stream, where no later sequence number shows the gap.
pub(in crate::ebpf) struct Gap {
    pub cpu: u32,
    /// The sequence number of the first one.
    pub first: u64,
    /// How many records were dropped.
    pub records: u64,
}

/// What [`Consumers::finish`] returns.
pub(in crate::ebpf) struct Outcome {
    /// The error of a journal, if there was one.
    pub error: Option<trace::Error>,
    pub gaps: Vec<Gap>,
    /// For how many nanoseconds calls were delayed in total.
    pub delay_ns: u64,
}

/// Returns a function that makes an error of an errno, for `map_err`.
fn refused_by_errno(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |e| Error::refused(doing)(e.into())
}

impl Consumers {
    /// Starts the consumers, one for each journal, and waits until all are ready. `complete` is the
    /// file for [`WrittenUntil`]; `rate` limits how many bytes per second are written.
    pub fn start(
        probe: &Probe<'_>,
        journals: Vec<Journal>,
        complete: &File,
        rate: Option<u64>,
    ) -> Result<Self, Error> {
        let cpus = Arc::new(Cpus::new(probe)?);
        let stopped =
            eventfd(0, EventfdFlags::CLOEXEC).map_err(refused_by_errno("create an eventfd"))?;
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), stopped });
        let budget = Arc::new(MemoryBudget::new(probe.cpus));
        let rings = probe.rings.iter().map(Ring::new).collect::<Result<_, Error>>()?;
        let written = Arc::new(WrittenUntil::new(rings, Arc::clone(&budget), complete)?);
        let mut threads = Vec::new();
        let (prepared, all_prepared) = std::sync::mpsc::channel();
        for (cpu, journal) in journals.into_iter().enumerate() {
            let map = MapHandle::try_from(&probe.rings[cpu])
                .map_err(refused("duplicate a descriptor"))?;
            let sleep = epoll::create(epoll::CreateFlags::CLOEXEC)
                .map_err(refused_by_errno("create an epoll"))?;
            // Edge-triggered: records in the ring are no reason to wake, only a wake-up by the
            // probe is.
            epoll::add(
                &sleep,
                &map,
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN | epoll::EventFlags::ET,
            )
            .map_err(refused_by_errno("poll a ring buffer"))?;
            epoll::add(
                &sleep,
                shared.stopped.as_fd(),
                epoll::EventData::new_u64(1),
                epoll::EventFlags::IN,
            )
            .map_err(refused_by_errno("poll an eventfd"))?;
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
        // A new thread takes locks on the recorder's memory map, and the command that is started
        // soon may keep it from its CPU meanwhile.
        for _ in &threads {
            let _ended = all_prepared.recv();
        }
        Ok(Self { shared, cpus, written, threads })
    }

    /// Ends the consumers when everything is written. The probe must have been detached.
    pub fn finish(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.stopped, &1u64.to_ne_bytes());
        let mut outcome = Outcome { error: None, gaps: Vec::new(), delay_ns: 0 };
        for thread in self.threads {
            match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(ConsumedUntil { cpu, next }) => {
                    let emitted = self
                        .cpus
                        .word(cpu as usize, offset_of!(cpu_state, seq))
                        .load(Ordering::Acquire);
                    outcome.delay_ns += self
                        .cpus
                        .word(cpu as usize, offset_of!(cpu_state, held))
                        .load(Ordering::Acquire);
                    if emitted > next {
                        outcome.gaps.push(Gap { cpu, first: next, records: emitted - next });
                    }
                }
                Err(e) => outcome.error = Some(e),
            }
        }
        outcome
    }
}

/// One consumer.
struct Consumer {
    cpu: usize,
    written: Arc<WrittenUntil>,
    /// A position of the ring that was noted and may not be consumed yet; see [`WrittenUntil`].
    mark: Mark,
    writer: Writer,
    sleep: OwnedFd,
    view: View,
    /// Why the contents of the ring could not be mapped.
    unmapped: Option<Error>,
    shared: Arc<Shared>,
    cpus: Arc<Cpus>,
    /// The probe wakes the consumer when this many bytes are in the ring.
    wake_at_bytes: u64,
    /// How many bytes per second are written at most, for tests.
    rate: Option<u64>,
    /// The sequence number that comes next.
    next: u64,
    /// How many calls that are longer than the ring the probe has announced.
    long_calls: u64,
    /// Until when records go to memory instead of the disk.
    memory_until: Instant,
}

impl Consumer {
    /// Takes records until the recorder stops it and the ring is empty. Returns up to where it has
    /// taken them. Fails with the error of the journal, if there was one.
    fn run(mut self) -> Result<ConsumedUntil, trace::Error> {
        let mut last_record = Instant::now();
        loop {
            // Read before the ring is checked, so that no record arrives after the last check.
            let stop = self.shared.stop.load(Ordering::Acquire);
            let taken_bytes = self.drain();
            if taken_bytes > 0 {
                last_record = Instant::now();
            }
            if stop && taken_bytes == 0 {
                break;
            }
            if !stop && taken_bytes < SPAN_BYTES {
                self.sleep_until_woken(last_record.elapsed() > QUIET);
            }
        }
        self.writer.finish()?;
        match self.unmapped {
            Some(error) => Err(std::io::Error::other(error).into()),
            None => Ok(ConsumedUntil { cpu: self.cpu as u32, next: self.next }),
        }
    }

    /// Returns whether the ring must be emptied without waiting for the disk, since a call that is
    /// longer than the ring waits for room in it, or soon may.
    fn must_avoid_disk(&mut self) -> bool {
        let long_calls =
            self.cpus.word(self.cpu, offset_of!(cpu_state, long_calls)).load(Ordering::Acquire);
        if long_calls != self.long_calls {
            self.long_calls = long_calls;
            self.memory_until = Instant::now() + MEMORY_FOR;
        }
        Instant::now() < self.memory_until
    }

    /// Takes all records that are in the ring, and gives them to the writer. Returns how many bytes
    /// they have.
    fn drain(&mut self) -> u64 {
        let written = Arc::clone(&self.written);
        let ring = &written.rings[self.cpu];
        let mut taken_bytes = 0;
        loop {
            let memory_only = self.must_avoid_disk();
            if self.written.advance_past(self.cpu, &self.mark) {
                self.mark = self.written.mark(self.cpu);
            }
            let span = match self.view.span(ring, SPAN_BYTES) {
                Ok(Some(span)) => span,
                Ok(None) => return taken_bytes,
                Err(error) => {
                    // The ring is emptied, so that no call waits for room.
                    ring.set_consumed(ring.produced());
                    written.note_discarded();
                    self.unmapped = Some(error);
                    return taken_bytes;
                }
            };
            taken_bytes += span.bytes.len() as u64;
            let (first, next) = span.seqs;
            if next > first {
                self.writer.accept(span.bytes, first, next, memory_only);
                self.next = next;
            }
            let len = span.bytes.len() as u64;
            ring.set_consumed(span.end());
            if let Some(rate) = self.rate {
                std::thread::sleep(Duration::from_nanos(len * 1_000_000_000 / rate.max(1)));
            }
        }
    }

    /// Sleeps until the probe wakes the consumer: when there is a record if `quiet`, else when
    /// there are many, or after [`SLEEP`].
    fn sleep_until_woken(&mut self, quiet: bool) {
        if quiet {
            self.writer.free_memory();
        }
        self.cpus
            .word(self.cpu, offset_of!(cpu_state, wake_at))
            .store(if quiet { 0 } else { self.wake_at_bytes }, Ordering::SeqCst);
        // A record may have arrived before the probe saw the new value.
        let ring = &self.written.rings[self.cpu];
        if quiet && !matches!(self.view.span(ring, 1), Ok(None)) {
            return;
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: SLEEP.as_nanos() as i64 };
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        let _ = epoll::wait(&self.sleep, &mut events[..], (!quiet).then_some(&timeout));
    }
}

/// Prepares the calling thread for emptying a CPU's ring: keeps it off that CPU, and touches the
/// stack that it will use.
fn prepare_thread(cpu: usize) {
    leave_cpu(cpu);
    std::hint::black_box([0u8; 64 << 10]);
}

/// Keeps the calling thread off a CPU if it may run on others: while a call there waits for room in
/// the ring, nothing else runs on that CPU.
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
