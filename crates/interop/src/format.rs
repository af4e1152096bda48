//! Finds the format of a file by its content.

use crate::text::{blktrace, kdump, perf, strace};
use crate::{Error, Importer, ctf, dataseries};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A trace of our own.
    Trace,
    /// DataSeries, of RA-Strace and RA-LTTng.
    DataSeries,
    /// Common Trace Format 1.8, of LTTng.
    Ctf,
    /// Text that strace wrote.
    Strace,
    /// Text of `perf trace` or `perf script`.
    Perf,
    /// Text of FreeBSD's kdump.
    Kdump,
    /// Text of blkparse.
    Blktrace,
}

impl Format {
    /// Returns the importer for this format, or `None` for our own traces.
    pub fn importer(self) -> Option<Importer> {
        match self {
            Self::Trace => None,
            Self::DataSeries => Some(dataseries::import),
            Self::Ctf => Some(ctf::import),
            Self::Strace => Some(strace::import),
            Self::Perf => Some(perf::import),
            Self::Kdump => Some(kdump::import),
            Self::Blktrace => Some(blktrace::import),
        }
    }
}

/// The formats that can be read, for messages.
pub const READABLE: &str = "a trace (NAME.ra), a DataSeries file, a directory with an LTTng kernel \
    trace (CTF 1.8), text of strace, of perf trace, of perf script, of FreeBSD's kdump or of \
    blkparse";

/// Detects the format of a file or directory from its content. Returns `None` if it is none of
/// these. Fails if `path` cannot be read.
pub fn sniff(path: &Path) -> Result<Option<Format>, Error> {
    let meta = std::fs::metadata(path).map_err(Error::io("read", path))?;
    if meta.is_dir() {
        let ours = path.join("trace.json").is_file().then_some(Format::Trace);
        return Ok(ours.or_else(|| ctf::is_ctf(path).then_some(Format::Ctf)));
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|f| f.take(64 << 10).read_to_end(&mut start))
        .map_err(Error::io("read", path))?;
    Ok(match &start {
        start if dataseries::is_dataseries(start) => Some(Format::DataSeries),
        start if strace::is_strace(start) => Some(Format::Strace),
        start if perf::is_perf(start) => Some(Format::Perf),
        start if kdump::is_kdump(start) => Some(Format::Kdump),
        start if blktrace::is_blktrace(start) => Some(Format::Blktrace),
        _ => None,
    })
}
