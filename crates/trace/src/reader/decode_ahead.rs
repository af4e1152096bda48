//! Calls decoded ahead, by a thread of their own: their user does not wait for the decoder, as long
//! as there is a CPU for both.
//!
//! Invariants: one batch waits while another one is taken. The thread ends before its reader does:
//! replay takes a user namespace, which only a process of one thread may. Rows become items on the
//! reader's side: what is allocated for them is then freed where it was allocated.

use super::Trace;
use super::cursor::{Batch, Batches, Decoder, Table, Want};
use crate::document::Segment;
use crate::error::Error;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The calls of segments that follow each other.
struct DecodeThread {
    from: Option<Receiver<Result<Batch, Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl DecodeThread {
    /// Begins to decode.
    fn start(trace: Trace, segments: Vec<Segment>, want: Want) -> Result<Self, Error> {
        let (to, from) = sync_channel(0);
        let run = move || {
            if let Err(e) = decode(&trace, &segments, want, &to) {
                let _ignored = to.send(Err(e));
            }
        };
        let thread = std::thread::Builder::new()
            .name("decode".to_owned())
            .spawn(run)
            .map_err(Error::io("start a thread for", crate::document::NAME))?;
        Ok(Self { from: Some(from), thread: Some(thread) })
    }
}

impl Batches for DecodeThread {
    fn next(&mut self) -> Result<Option<Batch>, Error> {
        self.from.as_ref().and_then(|from| from.recv().ok()).transpose()
    }
}

/// The same on the reader's own thread.
pub(super) struct DecodeInline {
    trace: Trace,
    segments: std::vec::IntoIter<Segment>,
    want: Want,
    open: Option<Decoder>,
}

/// The calls of these segments: so few bytes are decoded before another thread has started.
pub(super) fn calls(
    trace: Trace,
    segments: Vec<Segment>,
    want: Want,
) -> Result<Box<dyn Batches>, Error> {
    const INLINE_BYTES: u64 = 256 << 10;
    let bytes: u64 = segments.iter().map(|s| s.sealed.bytes.max(s.data_bytes)).sum();
    if bytes > INLINE_BYTES {
        return Ok(Box::new(DecodeThread::start(trace, segments, want)?));
    }
    Ok(Box::new(DecodeInline { trace, segments: segments.into_iter(), want, open: None }))
}

impl Batches for DecodeInline {
    fn next(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            if let Some(decoder) = &mut self.open
                && let Some(batch) = decoder.next()?
            {
                return Ok(Some(batch));
            }
            let Some(segment) = self.segments.next() else { return Ok(None) };
            let sealed = &segment.sealed;
            self.open = Some(Decoder::open(&self.trace, sealed, Table::Calls, self.want)?);
        }
    }
}

impl Drop for DecodeThread {
    fn drop(&mut self) {
        self.from = None;
        if let Some(thread) = self.thread.take() {
            // It sends what went wrong; and nothing that it runs panics past `catch_panics`.
            let _ = thread.join();
        }
    }
}

fn decode(
    trace: &Trace,
    segments: &[Segment],
    want: Want,
    to: &SyncSender<Result<Batch, Error>>,
) -> Result<(), Error> {
    for segment in segments {
        let mut decoder = Decoder::open(trace, &segment.sealed, Table::Calls, want)?;
        while let Some(batch) = decoder.next()? {
            if to.send(Ok(batch)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
