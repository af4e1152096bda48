//! What sealing asks of the crate that knows what calls mean.
//!
//! This crate knows how calls are kept. What they mean (which file is behind a descriptor, what was
//! there before the first call) follows from processes, descriptors and file systems: the caller of
//! sealing passes in something that follows them.

use crate::call::Item;
use crate::document::{End, Summary};
use crate::error::Error;
use crate::reader::Trace;
use crate::storage::Storage;
use std::borrow::Cow;

/// How sealing reports: bytes of journal done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Gives calls their meaning while a trace is sealed.
pub trait Semantics: Send + Sync {
    /// Begins a sealing: nothing has happened yet.
    fn begin(&self) -> Box<dyn Inference>;
}

/// Follows the calls of one recording.
pub trait Inference: Send {
    /// Derives the columns of a window of calls and events, which come in the order of time and
    /// after those of the window before. A call's `seq` is its place among the window's calls;
    /// `found` is given that and what was derived. A call that nothing was found for is left out.
    fn columns(
        &mut self,
        items: &mut dyn Iterator<Item = Item>,
        found: &mut dyn FnMut(u64, Columns<'_>),
    );

    /// Writes the tables about files, each durable and none of them the last time this was tried,
    /// and adds what is to be said of them to `summary`. Gives the names of the tables. After an
    /// error, `summary` is as it was.
    fn tables(
        self: Box<Self>,
        sealing: &Sealing<'_>,
        summary: &mut Summary,
        progress: Progress<'_>,
    ) -> Result<Vec<&'static str>, Error>;
}

/// Columns of a call that follow from what happened before it.
#[derive(Debug, Default)]
pub struct Columns<'a> {
    /// The path of the file behind its descriptor.
    pub file: Option<&'a [u8]>,
    /// The absolute paths among its arguments.
    pub paths: [Option<Cow<'a, [u8]>>; 2],
    /// Where in the file it acts.
    pub offset: Option<u64>,
}

/// A trace whose calls are written, and whose tables about files are not.
pub struct Sealing<'a> {
    /// Where tables are written, in the trace's directory.
    pub storage: &'a dyn Storage,
    /// Its calls and events can be read.
    pub trace: &'a Trace,
    /// How the recording ended; `None`: its recorder has died.
    pub end: Option<&'a End>,
}
