//! Calls decoded ahead, by a thread of their own: who performs or looks at them does not wait for the decoder, as long as there is a CPU for both.
//!
//! Invariants: one batch of a [`Cursor`] waits while another one is taken. The thread ends before its reader does: replay takes a user namespace, which only a process of one
//! thread may. Rows become items on the reader's side: what is allocated for them is then freed where it was allocated.

use super::cursor::{Batch, Cursor, Table};
use super::{Trace, Want};
use crate::call::Item;
use crate::document::Segment;
use crate::error::Error;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The calls of all segments that are not late.
pub(super) struct Ahead {
    from: Option<Receiver<Result<Batch, Error>>>,
    thread: Option<JoinHandle<()>>,
    batch: Option<Batch>,
    row: usize,
}

impl Ahead {
    /// Begins to decode.
    pub fn start(trace: Trace, segments: Vec<Segment>, want: Want) -> Result<Self, Error> {
        let (to, from) = sync_channel(0);
        let run = move || {
            if let Err(e) = decode(&trace, &segments, want, &to) {
                let _nobody_reads = to.send(Err(e));
            }
        };
        let thread = std::thread::Builder::new().name("decode".to_owned()).spawn(run).map_err(Error::io("start a thread for", crate::document::NAME))?;
        Ok(Self { from: Some(from), thread: Some(thread), batch: None, row: 0 })
    }

    /// Time of the next item.
    pub fn peek(&mut self) -> Result<Option<u64>, Error> {
        loop {
            if let Some(time) = self.batch.as_ref().and_then(|b| b.time(self.row)) {
                return Ok(Some(time));
            }
            // The old batch goes before the next one comes.
            self.batch = None;
            let Some(batch) = self.from.as_ref().and_then(|from| from.recv().ok()) else { return Ok(None) };
            (self.batch, self.row) = (Some(batch?), 0);
        }
    }

    /// The item that [`Ahead::peek`] told of.
    pub fn take(&mut self) -> Result<Item, Error> {
        let batch = self.batch.as_ref().expect("peek has seen a row");
        self.row += 1;
        batch.item(self.row - 1)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.from = None;
        if let Some(thread) = self.thread.take() {
            // It sends what went wrong; and nothing that it runs panics past `guarded`.
            let _ = thread.join();
        }
    }
}

fn decode(trace: &Trace, segments: &[Segment], want: Want, to: &SyncSender<Result<Batch, Error>>) -> Result<(), Error> {
    for segment in segments {
        let mut cursor = Cursor::open(trace, &segment.sealed, Table::Calls, want)?;
        while let Some(batch) = cursor.batch()? {
            if to.send(Ok(batch)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
