//! Opens a sealed trace for reading.
//!
//! All files are opened through one descriptor of the trace's directory, so that reading still
//! works after replay has changed its root directory.

mod chunk_reader;
mod columns;
mod cursor;
mod decode_ahead;
mod guard;
mod items;
mod thrift;

pub use columns::ColumnBatches;
pub use cursor::ReadOptions;
pub use guard::catch_panics;
pub use items::Reader;

use crate::call::{Event, Item};
use crate::document::{Document, RecordingInfo, Sealed, Segment, State, Summary};
use crate::error::Error;
use crate::storage::{open_directory, open_file_at};
use chunk_reader::TraceFile;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A sealed trace that is open for reading. Cloning it is cheap.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    dir: OwnedFd,
    document: Document,
    /// Whether the files need no check, because this process has just written them.
    checked: bool,
}

impl Trace {
    /// Opens the sealed trace `path` without changing it. Fails with [`Error::Unfinished`] if the
    /// trace is not sealed; [`crate::recover`] seals it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let dir = open_directory(path).map_err(Error::io("open", path))?;
        let document = Document::load(dir.as_fd(), path)?;
        if document.state != State::Sealed {
            return Err(Error::Unfinished(path.to_owned()));
        }
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), dir, document, checked: false }) })
    }

    /// Opens a trace whose segments this process has just written, and whose document is not
    /// written yet.
    pub(crate) fn being_sealed(
        dir: BorrowedFd<'_>,
        path: &Path,
        document: &Document,
    ) -> Result<Self, Error> {
        let dir = dir.try_clone_to_owned().map_err(Error::io("open", path))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                dir,
                document: document.clone(),
                checked: true,
            }),
        })
    }

    /// Returns the path that the trace was opened with. It is not usable after a change of the root
    /// directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
    /// Returns a descriptor of the trace's directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.inner.dir.as_fd()
    }
    /// Returns what was known about the recording when it began.
    pub fn recording_info(&self) -> &RecordingInfo {
        &self.inner.document.info
    }
    /// Returns the counts and the verdict of the trace.
    pub fn summary(&self) -> &Summary {
        &self.inner.document.summary
    }
    /// Returns the files with calls.
    pub fn segments(&self) -> &[Segment] {
        &self.inner.document.segments
    }
    /// Returns all files of the trace except `trace.json`.
    pub fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let Document { segments, tables, .. } = &self.inner.document;
        segments.iter().map(|s| &s.sealed).chain(tables)
    }
    /// Opens the table `name`, such as `files.parquet`. Fails if its hash is not the recorded one,
    /// or if decoding it could take more memory than a valid table needs.
    pub fn table(&self, name: &'static str) -> Result<std::fs::File, Error> {
        let sealed = self.inner.document.tables.iter().find(|t| t.file == name);
        let sealed = sealed.ok_or_else(|| Error::damaged(name, "the trace has no such table"))?;
        let open = || open_file_at(self.dir(), name).map_err(Error::io("open", name));
        guard::check_hash(&open()?, sealed)?;
        let source = TraceFile::new(open()?).map_err(Error::io("read", name))?;
        guard::check(name, source, &|_| true)?;
        open()
    }
    /// Fails if a file of the trace is missing, or its length or hash is not the recorded one.
    pub fn check_file(&self, sealed: &Sealed) -> Result<(), Error> {
        let file = open_file_at(self.dir(), &sealed.file).map_err(Error::io("open", &sealed.file));
        guard::check_hash(&file?, sealed)
    }
    /// Returns whether the trace has the table `name`.
    pub fn has_table(&self, name: &str) -> bool {
        self.inner.document.tables.iter().any(|t| t.file == name)
    }
    /// Reads all calls and events in the order of entry, in bounded memory.
    pub fn read(&self, options: ReadOptions) -> Reader {
        Reader::new(self.clone(), options)
    }
    /// Reads all events in the order of time, without reading calls.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, Error>> + use<> {
        Reader::of_events(self.clone()).filter_map(|item| match item {
            Ok(Item::Event(event)) => Some(Ok(event)),
            Ok(Item::Call(_)) => None,
            Err(e) => Some(Err(e)),
        })
    }
}
