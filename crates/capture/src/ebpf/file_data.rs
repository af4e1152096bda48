//! Data that the kernel moved between files by itself. The probe cannot read files, so it sends a
//! request to a thread of the recorder, which reads the data.
//!
//! The call does not return until its request is served, but waits for some milliseconds at most;
//! the thread's next calls do not begin before, but wait for a second in total at most. After that,
//! and if recorder and program share the only CPU, the program goes on meanwhile. If it has closed
//! the descriptor, the file is opened by its name (if it has none any more, the data are marked as
//! unreadable); if it has changed the file, the trace has the present content. The inode number is
//! checked. Nothing else runs on a CPU whose call waits, so there are two threads on different
//! CPUs, with a real-time policy if that is permitted.

mod mapped_requests;

use super::libbpf_error::refused;
use super::load::Probe;
use super::mapped::Mapped;
use super::skel::types::{common_state, request};
use crate::inspect::moved_data::FileRange;
use crate::records::{PayloadSink, PayloadSpec, RecordSize, RecordWriter};
use crate::threads::scheduling::{OwnCpus, stay_on, use_normal_policy, use_realtime_policy};
use crate::{Error, Options};
use libbpf_rs::{MapHandle, RingBufferBuilder};
use mapped_requests::MappedByScope;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
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

/// A bit of a request's `how` (bpf/record.h): read up to the end of the file.
const TO_THE_END: u32 = 1;
/// A bit of a request's `how`: the data were moved into the file of the descriptor, which may be
/// open for writing only.
const IS_DESTINATION: u32 = 2;

/// For how many nanoseconds a call waits if the threads have the normal policy: after this time a
/// thread that waits for a CPU is scheduled before one that has run all the time.
const NORMAL_WAIT_NS: u64 = 8_000_000;
/// For how many nanoseconds a call waits if the threads have a real-time policy and are scheduled
/// at once. Two threads that wait for each other's CPU lose this time.
const REALTIME_WAIT_NS: u64 = 2_000_000;
/// After this time a thread that could not write, since the other one was writing, tries again.
const RETRY_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// From this many bytes on a thread reads with the normal policy, so that others run meanwhile.
const LONG_READ: u64 = 1 << 20;

/// The threads that read files, each with its own journal.
pub(super) struct FileReaders {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Option<trace::Error>>>,
}

/// What the threads share.
struct Shared {
    /// Whether the threads are to end.
    stop: AtomicBool,
    /// An eventfd that is readable then.
    stopped: OwnedFd,
    /// `struct common_state`, shared with the probe.
    common: Arc<Mapped>,
    /// Held while requests are taken.
    order: Mutex<RequestOrder>,
    /// Held while a journal is written.
    disk: Mutex<()>,
    /// The files that recorded processes have mapped.
    mapped: Mutex<MappedByScope>,
}

/// Which requests have been answered. Requests are taken in the order in which they were made.
#[derive(Default)]
struct RequestOrder {
    /// How many requests were taken.
    requests_taken: u64,
    /// For each thread, the first request whose answer it has not written.
    unwritten: [Option<u64>; FileReaders::JOURNALS],
}

impl RequestOrder {
    /// Notes that a thread has taken the next `count` requests.
    fn note_taken(&mut self, thread: usize, count: u64) {
        if count > 0 {
            self.unwritten[thread].get_or_insert(self.requests_taken);
            self.requests_taken += count;
        }
    }
    /// Notes that a thread has written all its answers. Returns up to which number all requests
    /// have their answers in the journals.
    fn note_written(&mut self, thread: usize) -> u64 {
        self.unwritten[thread] = None;
        self.unwritten.iter().flatten().copied().min().unwrap_or(self.requests_taken)
    }
}

impl FileReaders {
    /// How many journals (and threads) there are.
    pub const JOURNALS: usize = 2;

    /// Starts the threads. `common` is the map of that name.
    pub fn start(
        probe: &Probe<'_>,
        common: &Arc<Mapped>,
        journals: Vec<Journal>,
        options: &Options,
    ) -> Result<Self, Error> {
        let stopped = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            stopped,
            common: Arc::clone(common),
            order: Mutex::default(),
            disk: Mutex::new(()),
            mapped: Mutex::new(MappedByScope::new(probe, options)?),
        });
        let cpus = OwnCpus::of_thread();
        let file_wait_ns = if cpus.is_single() { 0 } else { NORMAL_WAIT_NS };
        common.word(offset_of!(common_state, file_wait_ns)).store(file_wait_ns, Ordering::Release);
        let mut threads = Vec::new();
        for (index, (journal, half)) in journals.into_iter().zip(cpus.halves()).enumerate() {
            let requests = MapHandle::try_from(&probe.skel.maps.requests)
                .map_err(refused("duplicate a descriptor"))?;
            let shared = Arc::clone(&shared);
            let run = move || {
                stay_on(&half);
                if use_realtime_policy() {
                    shared
                        .common
                        .word(offset_of!(common_state, file_wait_ns))
                        .fetch_min(REALTIME_WAIT_NS, Ordering::Release);
                }
                let mut out = RecordWriter::new(journal);
                serve_requests(&requests, &shared, index, &mut out);
                out.finish()
            };
            threads.push(
                std::thread::Builder::new()
                    .name("files".to_owned())
                    .spawn(run)
                    .map_err(Error::refused("start a thread"))?,
            );
        }
        Ok(Self { shared, threads })
    }
    /// Ends the threads when all requests are served. Returns the error of a journal, if there was
    /// one.
    pub fn finish(self) -> Option<trace::Error> {
        self.shared.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.stopped, &1u64.to_ne_bytes());
        let errors = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        errors.collect::<Vec<_>>().into_iter().flatten().next()
    }
}

/// Runs a thread's loop: takes requests, reads their data, and writes its journal. It neither
/// writes while it takes requests, nor while the other thread writes: the disk may block it or need
/// a CPU that a waiting call keeps, and one of the two can serve requests meanwhile.
fn serve_requests(requests: &MapHandle, shared: &Shared, index: usize, out: &mut RecordWriter) {
    let order = || shared.order.lock().unwrap_or_else(PoisonError::into_inner);
    let (out, answered) = (RefCell::new(out), Cell::new(0));
    let read = |bytes: &[u8]| {
        if bytes.len() >= size_of::<request>() {
            // SAFETY: as many bytes of a struct of numbers.
            let request = unsafe { bytes.as_ptr().cast::<request>().read_unaligned() };
            let name = Path::new(OsStr::from_bytes(&bytes[size_of::<request>()..]));
            if request.how & mapped_requests::ANY == 0 {
                serve_request(&request, name, &mut out.borrow_mut());
            } else {
                let mut files = shared.mapped.lock().unwrap_or_else(PoisonError::into_inner);
                mapped_requests::serve(&request, name, &mut files, &mut out.borrow_mut());
            }
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
        let is_last = shared.stop.load(Ordering::Acquire);
        {
            let mut order = order();
            let _ = ring.consume();
            if is_last {
                let mut files = shared.mapped.lock().unwrap_or_else(PoisonError::into_inner);
                files.files.finish(&mut out.borrow_mut());
            }
            order.note_taken(index, answered.take());
        }
        let disk = if is_last {
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
                .store(order.note_written(index), Ordering::Release);
        }
        let must_retry = disk.is_none();
        drop(disk);
        if is_last {
            return;
        }
        let mut fds = [
            PollFd::from_borrowed_fd(requests.as_fd(), PollFlags::IN),
            PollFd::new(&shared.stopped, PollFlags::IN),
        ];
        let _ = poll(&mut fds, must_retry.then_some(&RETRY_AFTER));
    }
}

/// Reads the data of one request from the file, and writes them as `Part` records. Data that cannot
/// be read are marked as unreadable. `name` is the path that the file had when the call was made.
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
        FileRange::open_by_inode(tid, pid, r.fd, r.from, r.ino, r.how & IS_DESTINATION != 0, name);
    let wanted = match &source {
        Some(source) if r.how & TO_THE_END != 0 => source.remaining(),
        Some(source) => r.wanted.min(source.remaining()),
        None => r.wanted.max(1),
    };
    if wanted == 0 {
        return;
    }
    let is_long = wanted.min(r.limit) > LONG_READ;
    if is_long {
        use_normal_policy();
    }
    let spec = PayloadSpec {
        arg: r.arg as u8,
        kind: PayloadKind::Data,
        flags: AT_EXIT | FROM_FILE,
        wanted,
        limit: r.limit,
    };
    out.begin(header, RecordSize::Large);
    match source {
        Some(mut source) => out.put_with(spec, &mut |at, local| source.read(at, local)),
        None => out.put_with(spec, &mut |_, _| 0),
    }
    out.end_parts();
    if is_long {
        use_realtime_policy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_counts_up_to_the_first_that_is_not() {
        let mut order = RequestOrder::default();
        order.note_taken(0, 5);
        order.note_taken(1, 3);
        assert_eq!(order.note_written(1), 0, "the first five are not there");
        order.note_taken(1, 4);
        order.note_taken(0, 0);
        assert_eq!(order.note_written(0), 8, "the last four are not there");
        order.note_taken(0, 1);
        assert_eq!(order.note_written(1), 12);
        assert_eq!(order.note_written(0), 13);
    }
}
