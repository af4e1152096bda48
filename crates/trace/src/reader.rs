//! A sealed trace, opened for reading.
//!
//! Everything is opened through one descriptor of the trace's directory, held from the beginning:
//! replay changes its root, and the trace stays where it was.

mod chunk_reader;
mod cursor;
mod decode_ahead;
mod guard;
mod items;
mod thrift;

pub use cursor::Want;
pub use guard::catch_panics;
pub use items::Reader;

use crate::call::{Event, Item};
use crate::document::{About, Document, Sealed, Segment, State, Summary};
use crate::error::Error;
use crate::storage::{directory, file_at};
use chunk_reader::TraceFile;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A sealed trace.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    dir: OwnedFd,
    document: Document,
    /// The files need no checking: they were made here.
    checked: bool,
}

impl Trace {
    /// Opens the sealed trace `path`; nothing is written. One that is not sealed must be recovered
    /// first ([`crate::recover`]).
    pub fn open(path: &Path) -> Result<Self, Error> {
        let dir = directory(path).map_err(Error::io("open", path))?;
        let document = Document::load(dir.as_fd(), path)?;
        if document.state != State::Sealed {
            return Err(Error::Unfinished(path.to_owned()));
        }
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), dir, document, checked: false }) })
    }

    /// A trace whose segments this process has just written.
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

    /// Where it was opened; of no use after a change of root.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
    /// Its directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.inner.dir.as_fd()
    }
    /// What was known when recording began.
    pub fn about(&self) -> &About {
        &self.inner.document.about
    }
    /// What it holds.
    pub fn summary(&self) -> &Summary {
        &self.inner.document.summary
    }
    /// Its files with calls.
    pub fn segments(&self) -> &[Segment] {
        &self.inner.document.segments
    }
    /// All its files but `trace.json`.
    pub fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let Document { segments, tables, .. } = &self.inner.document;
        segments.iter().map(|s| &s.sealed).chain(tables)
    }
    /// The table `name` (`files.parquet`, ...), checked: it is what was sealed, and decoding it
    /// takes no more memory than a table of ours.
    pub fn table(&self, name: &'static str) -> Result<std::fs::File, Error> {
        let sealed = self.inner.document.tables.iter().find(|t| t.file == name);
        let sealed = sealed.ok_or_else(|| Error::damaged(name, "the trace has no such table"))?;
        let open = || file_at(self.dir(), name).map_err(Error::io("open", name));
        guard::check_hash(&open()?, sealed)?;
        let source = TraceFile::new(open()?).map_err(Error::io("read", name))?;
        guard::check(name, source, &|_| true)?;
        open()
    }
    /// Whether there is such a table.
    pub fn has_table(&self, name: &str) -> bool {
        self.inner.document.tables.iter().any(|t| t.file == name)
    }
    /// All calls and events in the order of entry, in bounded memory.
    pub fn read(&self, want: Want) -> Reader {
        Reader::new(self.clone(), want)
    }
    /// All events in their order; no call is read.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, Error>> + use<> {
        Reader::of_events(self.clone()).filter_map(|item| match item {
            Ok(Item::Event(event)) => Some(Ok(event)),
            Ok(Item::Call(_)) => None,
            Err(e) => Some(Err(e)),
        })
    }
}
