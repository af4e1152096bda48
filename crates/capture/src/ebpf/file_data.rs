//! Data that the kernel moved from file to file by itself: the kernel's program cannot read files,
//! so it asks, and a thread here does.
//!
//! The call does not return until its request is served, but for no longer than some milliseconds;
//! the thread's next calls do not begin before, but for no longer than a second in all. After that,
//! and where we share the program's only CPU, the program goes on meanwhile. Has it closed the
//! descriptor, the file is found by the name that it had (if it has none any more, the data are
//! marked as unreadable); has it changed the file, the trace has what is there now. That it is the
//! same file is checked. Nothing runs on a CPU whose call waits, so there are two threads, on
//! different CPUs, and they run before others if they may.

use super::libbpf_error::refused;
use super::load::Probe;
use super::mapped::Mapped;
use super::skel::types::{common_state, request};
use crate::Error;
use crate::inspect::moved_data::FileRange;
use crate::records::{PayloadSink, PayloadSpec, RecordWriter};
use crate::threads::scheduling::{run_as_others, run_before_others};
use libbpf_rs::{MapHandle, RingBufferBuilder};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::thread::CpuSet;
use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use trace::journal::Journal;
use trace::record::{AT_EXIT, FROM_FILE, Header, PayloadKind, RecordKind};

/// Bits of a request's `how` (bpf/record.h).
const TO_THE_END: u32 = 1;
const WRITTEN_THERE: u32 = 2;

/// After so long, in nanoseconds, a thread that waits for its turn comes before one that has had a
/// CPU all the time;
const NORMAL_WAIT_NS: u64 = 8_000_000;
/// and one that is first of all comes at once. Two threads that wait for each other's CPU lose this
/// time.
const REALTIME_WAIT_NS: u64 = 2_000_000;
/// A thread that could not write, as the other one was writing, tries again after this.
const RETRY_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// So many bytes take their time to read: others come first then, when it is their turn.
const LONG_READ: u64 = 1 << 20;

/// The threads, each with a journal of its own.
pub(super) struct FileReaders {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Option<trace::Error>>>,
}

/// What they share.
struct Shared {
    stop: AtomicBool,
    stopped: OwnedFd,
    /// The words of `struct common_state`.
    common: Arc<Mapped>,
    /// One at a time takes requests.
    order: Mutex<RequestOrder>,
    /// One at a time waits for the disk.
    disk: Mutex<()>,
}

/// Requests are taken in the order in which they were made.
#[derive(Default)]
struct RequestOrder {
    /// How many were.
    taken: u64,
    /// The first one whose answer each thread has not written.
    unwritten: [Option<u64>; FileReaders::JOURNALS],
}

impl RequestOrder {
    /// A thread has taken the next ones, so many.
    fn took(&mut self, thread: usize, count: u64) {
        if count > 0 {
            self.unwritten[thread].get_or_insert(self.taken);
            self.taken += count;
        }
    }
    /// A thread has written all its answers. How many of the first requests have theirs in the
    /// journals.
    fn wrote(&mut self, thread: usize) -> u64 {
        self.unwritten[thread] = None;
        self.unwritten.iter().flatten().copied().min().unwrap_or(self.taken)
    }
}

impl FileReaders {
    /// How many journals they write.
    pub const JOURNALS: usize = 2;

    /// Starts them; `common` is the map of that name.
    pub fn start(
        probe: &Probe<'_>,
        common: &Arc<Mapped>,
        journals: Vec<Journal>,
    ) -> Result<Self, Error> {
        let stopped = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            stopped,
            common: Arc::clone(common),
            order: Mutex::default(),
            disk: Mutex::new(()),
        });
        let cpus = rustix::thread::sched_getaffinity(None)
            .map(|set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect::<Vec<_>>())
            .unwrap_or_default();
        let file_wait_ns = if cpus.len() == 1 { 0 } else { NORMAL_WAIT_NS };
        common.word(offset_of!(common_state, file_wait_ns)).store(file_wait_ns, Ordering::Release);
        let mut threads = Vec::new();
        for (index, journal) in journals.into_iter().enumerate() {
            let requests = MapHandle::try_from(&probe.skel.maps.requests)
                .map_err(refused("duplicate a descriptor"))?;
            let shared = Arc::clone(&shared);
            let mut mine = CpuSet::new();
            cpus.iter().skip(index).step_by(Self::JOURNALS).for_each(|cpu| mine.set(*cpu));
            let serve = move || {
                // Of one CPU both have the same.
                let _ = rustix::thread::sched_setaffinity(None, &mine);
                if run_before_others() {
                    shared
                        .common
                        .word(offset_of!(common_state, file_wait_ns))
                        .fetch_min(REALTIME_WAIT_NS, Ordering::Release);
                }
                let mut out = RecordWriter::new(journal);
                serve(&requests, &shared, index, &mut out);
                out.finish()
            };
            threads.push(
                std::thread::Builder::new()
                    .name("files".to_owned())
                    .spawn(serve)
                    .map_err(Error::refused("start a thread"))?,
            );
        }
        Ok(Self { shared, threads })
    }
    /// Ends them when all that was asked for is read; the error that a journal had, if any.
    pub fn finish(self) -> Option<trace::Error> {
        self.shared.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.stopped, &1u64.to_ne_bytes());
        let ends = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ends.collect::<Vec<_>>().into_iter().flatten().next()
    }
}

/// Writes nothing while it takes requests, nor while the other one writes: the disk may let them
/// wait, or want a CPU that a waiting call keeps, and one of them can answer meanwhile.
fn serve(requests: &MapHandle, shared: &Shared, index: usize, out: &mut RecordWriter) {
    let order = || shared.order.lock().unwrap_or_else(PoisonError::into_inner);
    let (out, answered) = (RefCell::new(out), Cell::new(0));
    let read = |bytes: &[u8]| {
        if bytes.len() >= size_of::<request>() {
            // SAFETY: as many bytes of a struct of numbers.
            let request = unsafe { bytes.as_ptr().cast::<request>().read_unaligned() };
            let name = Path::new(OsStr::from_bytes(&bytes[size_of::<request>()..]));
            serve_request(&request, name, &mut out.borrow_mut());
        }
        shared.common.word(offset_of!(common_state, served)).fetch_add(1, Ordering::Release);
        answered.set(answered.get() + 1);
        0
    };
    let mut rings = RingBufferBuilder::new();
    if rings.add(requests, read).is_err() {
        return;
    }
    let Ok(ring) = rings.build() else { return };
    loop {
        let last = shared.stop.load(Ordering::Acquire);
        {
            let mut order = order();
            let _ = ring.consume();
            order.took(index, answered.take());
        }
        let disk = if last {
            Some(shared.disk.lock().unwrap_or_else(PoisonError::into_inner))
        } else {
            shared.disk.try_lock().ok()
        };
        if disk.is_some() {
            out.borrow_mut().flush();
            let mut order = order();
            shared
                .common
                .word(offset_of!(common_state, kept))
                .store(order.wrote(index), Ordering::Release);
        }
        let waits = disk.is_none();
        drop(disk);
        if last {
            return;
        }
        let mut fds = [
            PollFd::from_borrowed_fd(requests.as_fd(), PollFlags::IN),
            PollFd::new(&shared.stopped, PollFlags::IN),
        ];
        let _ = poll(&mut fds, waits.then_some(&RETRY_AFTER));
    }
}

fn serve_request(r: &request, name: &Path, out: &mut RecordWriter) {
    let (pid, tid) = (r.pid as i32, r.tid as i32);
    let header = Header {
        kind: RecordKind::Call as u8,
        pid: r.pid,
        tid: r.tid,
        nr: r.nr,
        entered: r.entered,
        left: r.entered,
        ..Header::default()
    };
    let source =
        FileRange::of_inode(tid, pid, r.fd, r.from, r.ino, r.how & WRITTEN_THERE != 0, name);
    let wanted = match &source {
        Some(source) if r.how & TO_THE_END != 0 => source.rest(),
        Some(source) => r.wanted.min(source.rest()),
        None => r.wanted.max(1),
    };
    if wanted == 0 {
        return;
    }
    let long = wanted.min(r.limit) > LONG_READ;
    if long {
        run_as_others();
    }
    let due = PayloadSpec {
        arg: r.arg as u8,
        kind: PayloadKind::Data,
        flags: AT_EXIT | FROM_FILE,
        wanted,
        limit: r.limit,
    };
    out.begin(header, true);
    match source {
        Some(mut source) => out.put_with(due, &mut |at, local| source.read(at, local)),
        None => out.put_with(due, &mut |_, _| 0),
    }
    out.end_parts();
    if long {
        run_before_others();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_counts_up_to_the_first_that_is_not() {
        let mut order = RequestOrder::default();
        order.took(0, 5);
        order.took(1, 3);
        assert_eq!(order.wrote(1), 0, "the first five are not there");
        order.took(1, 4);
        order.took(0, 0);
        assert_eq!(order.wrote(0), 8, "the last four are not there");
        order.took(0, 1);
        assert_eq!(order.wrote(1), 12);
        assert_eq!(order.wrote(0), 13);
    }
}
