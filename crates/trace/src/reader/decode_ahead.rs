//! Decodes calls in a separate thread, so that the caller need not wait for the decoder if a CPU is
//! free.
//!
//! Invariants: at most one decoded batch waits. The thread ends before its reader is dropped,
//! because replay creates a user namespace, which requires a process with a single thread. Rows
//! become items on the reader's thread, so that memory is allocated and freed in the same thread.

use super::Trace;
use super::cursor::{Batch, Batches, Decoder, ReadOptions, Table};
use crate::document::Segment;
use crate::error::Error;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Decodes the calls of consecutive segments in a thread of its own.
struct DecodeThread {
    from: Option<Receiver<Result<Batch, Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl DecodeThread {
    /// Starts the thread. Fails if the thread cannot be created.
    fn start(trace: Trace, segments: Vec<Segment>, options: ReadOptions) -> Result<Self, Error> {
        let (to, from) = sync_channel(0);
        let run = move || {
            if let Err(e) = decode(&trace, &segments, options, &to) {
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

/// Decodes the calls of consecutive segments in the reader's thread.
pub(super) struct DecodeInline {
    trace: Trace,
    segments: std::vec::IntoIter<Segment>,
    options: ReadOptions,
    open: Option<Decoder>,
}

/// Returns a decoder for the calls of these segments. A short trace is decoded inline, since
/// starting a thread would take longer.
pub(super) fn calls(
    trace: Trace,
    segments: Vec<Segment>,
    options: ReadOptions,
) -> Result<Box<dyn Batches>, Error> {
    const INLINE_BYTES: u64 = 256 << 10;
    let bytes: u64 = segments.iter().map(|s| s.sealed.bytes.max(s.data_bytes)).sum();
    if bytes > INLINE_BYTES {
        return Ok(Box::new(DecodeThread::start(trace, segments, options)?));
    }
    Ok(Box::new(DecodeInline { trace, segments: segments.into_iter(), options, open: None }))
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
            self.open = Some(Decoder::open(&self.trace, sealed, Table::Calls, self.options)?);
        }
    }
}

impl Drop for DecodeThread {
    fn drop(&mut self) {
        self.from = None;
        if let Some(thread) = self.thread.take() {
            // The thread sends its errors, and `catch_panics` turns panics into errors, so that
            // there is nothing to report here.
            let _ = thread.join();
        }
    }
}

/// Sends all batches of the segments. Ends early, without an error, when the receiver is gone.
fn decode(
    trace: &Trace,
    segments: &[Segment],
    options: ReadOptions,
    to: &SyncSender<Result<Batch, Error>>,
) -> Result<(), Error> {
    for segment in segments {
        let mut decoder = Decoder::open(trace, &segment.sealed, Table::Calls, options)?;
        while let Some(batch) = decoder.next()? {
            if to.send(Ok(batch)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
