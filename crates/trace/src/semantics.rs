//! The interface between sealing and the crate that interprets calls.
//!
//! This crate stores calls. What they mean (which file a descriptor refers to, what existed before
//! the first call) depends on processes, descriptors and file systems. The caller of sealing passes
//! an implementation of [`Semantics`] that keeps track of these.

use crate::call::Item;
use crate::document::{RecordingEnd, Summary};
use crate::error::Error;
use crate::reader::Trace;
use crate::storage::Storage;
use std::borrow::Cow;

/// A callback for progress: the amount of work done so far and the total, in the same unit.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Interprets calls while a trace is sealed.
pub trait Semantics: Send + Sync {
    /// Returns the state of a new sealing, before any call or event.
    fn new_inference(&self) -> Box<dyn Inference>;
}

/// Follows the calls of one recording while it is sealed.
pub trait Inference: Send {
    /// Derives columns for the calls of one window. `items` are the calls and events of the window
    /// in the order of time; windows come in order, too. A call's `seq` is its index among the
    /// calls of the window. `emit` is called with that index and the derived columns; it is not
    /// called for a call without any.
    fn derive_columns(
        &mut self,
        items: &mut dyn Iterator<Item = Item>,
        emit: &mut dyn FnMut(u64, Columns<'_>),
    );

    /// Writes the tables about files, makes each of them durable, adds what there is to report to
    /// `summary`, and returns the names of the tables. Nothing that an earlier, failed attempt
    /// wrote is reused. An error leaves `summary` as it was.
    fn write_tables(
        self: Box<Self>,
        sealing: &SealingContext<'_>,
        summary: &mut Summary,
        progress: Progress<'_>,
    ) -> Result<Vec<&'static str>, Error>;
}

/// The columns of a call that depend on earlier calls.
#[derive(Debug, Default)]
pub struct Columns<'a> {
    /// The path of the file that its descriptor refers to.
    pub file: Option<&'a [u8]>,
    /// The absolute forms of its first two path arguments.
    pub paths: [Option<Cow<'a, [u8]>>; 2],
    /// The byte of the file at which it reads or writes.
    pub offset: Option<u64>,
}

/// A trace whose segments are written and whose tables about files are not.
pub struct SealingContext<'a> {
    /// Writes files in the trace's directory.
    pub storage: &'a dyn Storage,
    /// The trace, whose calls and events can be read.
    pub trace: &'a Trace,
    /// How the recording ended, or `None` if its recorder died.
    pub end: Option<&'a RecordingEnd>,
}
