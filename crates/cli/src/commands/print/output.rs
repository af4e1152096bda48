//! Where `print -o` writes: a file that gets its name when all is written, or what is no file.

use crate::messages::failure::Advise;
use anyhow::{Context, Result};
use interop::export::Sink;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The output of `-o`.
pub enum Output {
    /// A file, private, as it holds the program's data. What had its name stays until it is whole.
    Whole(BufWriter<Sink>),
    /// A device or a pipe.
    Straight(BufWriter<File>),
}

impl Output {
    /// Opens a file for output. A regular file is replaced only when [`Output::finish`] succeeds; a
    /// device or pipe is written to directly.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        // A link stays one: the file that it leads to is replaced.
        let there = path.canonicalize();
        let target = there.as_deref().unwrap_or(path);
        if target.metadata().is_ok_and(|meta| !meta.is_file()) {
            let file = OpenOptions::new().write(true).open(target).with_context(cannot)?;
            return Ok(Self::Straight(BufWriter::new(file)));
        }
        let sink = Sink::new(target).with_context(cannot);
        let sink = if path.to_string_lossy().starts_with(['|', '!']) {
            sink.advise("print starts no program: use `reanimator print | COMMAND`")
        } else {
            sink
        };
        Ok(Self::Whole(BufWriter::with_capacity(1 << 16, sink?)))
    }

    /// Writes what is buffered, and gives the file its name. Without this call the old file stays.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Whole(out) => {
                Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.finish_over()?)
            }
            Self::Straight(mut out) => Ok(out.flush()?),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Whole(out) => out.write(bytes),
            Self::Straight(out) => out.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Whole(out) => out.flush(),
            Self::Straight(out) => out.flush(),
        }
    }
}
