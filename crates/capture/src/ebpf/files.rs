//! Data that the kernel moved from a file by itself: the kernel's program cannot read files, so it asks, and a thread here does.
//!
//! The program does not stand still meanwhile: it may have closed the descriptor (then the data are marked as unreadable), or changed the file (then the trace has
//! what is there now). That the descriptor still leads to the same file is checked.

use super::load::{Probe, refused};
use super::skel::types::request;
use crate::Error;
use crate::out::{Due, Out, Sink};
use crate::source::Source;
use libbpf_rs::{MapCore, MapHandle, RingBufferBuilder};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::journal::Journal;
use trace::record::{AT_EXIT, FROM_FILE, Header, PieceKind, RecordKind};

/// Bits of a request's `how` (bpf/record.h).
const TO_THE_END: u32 = 1;
const WRITTEN_THERE: u32 = 2;

/// The thread.
pub(super) struct Files {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<trace::Error>>,
}

impl Files {
    /// Starts it.
    pub fn start(probe: &Probe<'_>, journal: Journal) -> Result<Self, Error> {
        let id = probe.skel.maps.requests.info().map_err(refused("find a ring"))?.info.id;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("files".to_owned()).spawn(move || serve(id, journal, &asked));
        Ok(Self { stop, thread: thread.map_err(Error::refused("start a thread"))? })
    }
    /// Ends it when all that was asked for is read; the error that the journal had, if any.
    pub fn finish(self) -> Option<trace::Error> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn serve(id: u32, journal: Journal, stop: &AtomicBool) -> Option<trace::Error> {
    let mut out = Out::new(journal);
    let read = |bytes: &[u8]| {
        if bytes.len() >= size_of::<request>() {
            // SAFETY: as many bytes of a struct of numbers.
            answer(&unsafe { bytes.as_ptr().cast::<request>().read_unaligned() }, &mut out);
            out.flush();
        }
        0
    };
    if let Ok(map) = MapHandle::from_map_id(id) {
        let mut rings = RingBufferBuilder::new();
        if rings.add(&map, read).is_ok()
            && let Ok(ring) = rings.build()
        {
            while !stop.load(Ordering::Acquire) {
                let _ = ring.poll(Duration::from_millis(20));
            }
            let _ = ring.consume();
        }
    }
    out.finish()
}

fn answer(r: &request, out: &mut Out) {
    let (pid, tid) = (r.pid as i32, r.tid as i32);
    let header = Header { kind: RecordKind::Call as u8, pid: r.pid, tid: r.tid, nr: r.nr, entered: r.entered, left: r.entered, ..Header::default() };
    let source = Source::of_inode(tid, pid, r.fd, r.from, r.ino, r.how & WRITTEN_THERE != 0);
    let wanted = match &source {
        Some(source) if r.how & TO_THE_END != 0 => source.rest(),
        Some(source) => r.wanted.min(source.rest()),
        None => r.wanted.max(1),
    };
    if wanted == 0 {
        return;
    }
    let due = Due { arg: r.arg as u8, kind: PieceKind::Data, flags: AT_EXIT | FROM_FILE, wanted, limit: r.limit };
    out.begin(header, true);
    match source {
        Some(mut source) => out.filled(due, &mut |at, local| source.read(at, local)),
        None => out.filled(due, &mut |_, _| 0),
    }
    out.end_parts();
}
