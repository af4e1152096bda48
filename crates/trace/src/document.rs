//! `trace.json`: what a trace is, in one document that people can read too.
//!
//! Rules of versions: a reader refuses a major version above its own; a minor version only adds
//! fields, which an older reader ignores and an older document lacks (each new field has a
//! default). It is replaced as a whole (written beside, made durable, renamed), so it is never half
//! of one and half of another.

use crate::error::Error;
pub use crate::format::version::{MAJOR, MINOR};
use crate::storage::{Storage, file_at};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The document's name.
pub(crate) const NAME: &str = "trace.json";
/// The files with what happened that is no call: in order, and late.
pub(crate) const EVENTS: [&str; 2] = ["events.parquet", "events-late.parquet"];
/// A longer one is not read.
const MOST_BYTES: u64 = 64 << 20;

/// What is known when a recording begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The command, or empty if processes were joined.
    #[serde(with = "crate::format::text::os_strings")]
    pub command: Vec<OsString>,
    /// Processes that were joined.
    pub joined: Vec<u32>,
    /// The working directory.
    #[serde(with = "crate::format::text::bytes")]
    pub directory: Vec<u8>,
    /// `ptrace`, `ebpf`.
    pub engine: String,
    /// The filter expression as the user gave it; empty: all calls.
    pub filter: String,
    /// Which data were kept: `all`, `writes`, `none`, or a number of bytes of each buffer.
    pub data: String,
    /// When it ends, what the program opened and did not move is copied into the trace.
    pub snapshot: bool,
    /// Version of the program that recorded.
    pub version: String,
    /// When it began: nanoseconds of `CLOCK_MONOTONIC`.
    pub began: u64,
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC` when it began, in nanoseconds: added to a time of
    /// the trace it gives the time of day.
    pub clock_offset: i64,
    /// Host name.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// `x86_64`.
    pub machine: String,
    /// CPUs online.
    pub cpus: u32,
    /// Bytes per page.
    pub page_size: u32,
    /// Whose recorder it was.
    pub uid: u32,
    /// Mounts of the recorder's mount namespace.
    pub mounts: Vec<Mount>,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where.
    #[serde(with = "crate::format::text::bytes")]
    pub point: Vec<u8>,
    /// File system type.
    pub fs: String,
}

/// What is known when a recording ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// The engine ended in order: every process that it followed has ended or was let go on
    /// purpose.
    pub finished: bool,
    /// Nanoseconds that calls were delayed, all together, so that nothing was lost.
    pub held_ns: u64,
    /// Look at the touched files now, for their final state.
    pub final_state: bool,
    /// What the user should know.
    pub notes: Vec<String>,
    /// What is missing as the recorder or importer knows, a sentence each: reasons why the trace is
    /// incomplete.
    pub missing: Vec<String>,
}

/// Whether everything is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every call of the recorded processes that the filter selects, each with all its bytes, from
    /// the beginning of the recording to its end.
    Complete,
    /// Something is missing; [`Summary::reasons`] says what.
    #[default]
    Incomplete,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Complete { "complete" } else { "incomplete" })
    }
}

/// What a sealed trace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Whether everything is there.
    pub verdict: Verdict,
    /// What is missing, one sentence each.
    pub reasons: Vec<String>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Rows of calls.
    pub calls: u64,
    /// Events that are no calls.
    pub events: u64,
    /// Calls known to be missing.
    pub lost: u64,
    /// Nanoseconds that calls were delayed, all together, as the trace could not be written as
    /// fast.
    pub held_ns: u64,
    /// Payloads of memory that could not be read.
    pub unreadable: u64,
    /// Payloads that were cut because the user asked for less data, or because they were too long
    /// for a row.
    pub cut: u64,
    /// Calls that did not return while they were watched.
    pub unreturned: u64,
    /// Processes seen.
    pub processes: u64,
    /// Threads seen.
    pub threads: u64,
    /// Bytes of memory captured.
    pub bytes_captured: u64,
    /// Bytes of the trace's files.
    pub bytes_on_disk: u64,
    /// Bytes of the journal that were of no use.
    pub damaged_bytes: u64,
    /// First entry, nanoseconds of `CLOCK_MONOTONIC`.
    pub first: Option<u64>,
    /// Last entry or return.
    pub last: Option<u64>,
    /// Files in the manifest.
    pub files: u64,
    /// Files that were changed by processes that were not recorded.
    pub outside: u64,
    /// Bytes that the snapshot holds; `None`: none was taken.
    pub snapshot_bytes: Option<u64>,
    /// The recorder was killed: what was recorded of later times (`CLOCK_MONOTONIC`) may follow
    /// from what was not. `None`: it was not, or wrote everything in one order.
    pub complete_until: Option<u64>,
    /// Sealed after the recorder had died.
    pub recovered: bool,
}

/// A file of a sealed trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3.
    pub blake3: String,
}

/// A segment: a file with calls in the order of their entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The file.
    #[serde(flatten)]
    pub sealed: Sealed,
    /// Calls.
    pub rows: u64,
    /// It holds calls that began before an earlier segment ended: a reader merges it.
    #[serde(default)]
    pub late: bool,
    /// Number of the first row.
    pub seq: u64,
    /// First entry.
    pub first: u64,
    /// Last entry.
    pub last: u64,
    /// Bytes in the column `data` before compression.
    pub data_bytes: u64,
}

/// How far a trace is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The journal is growing, or its recorder has died.
    #[default]
    Recording,
    /// The recording has ended (`end` tells how), and sealing has begun.
    Sealing,
    /// There are segments and no journal.
    Sealed,
}

/// The format's name and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Format {
    pub name: String,
    pub major: u32,
    #[serde(default)]
    pub minor: u32,
}

impl Default for Format {
    fn default() -> Self {
        Self { name: "reanimator trace".into(), major: MAJOR, minor: MINOR }
    }
}

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub format: Format,
    pub state: State,
    /// The recording's random number, in hexadecimal: frames of the journal bear it.
    pub recording: String,
    pub about: About,
    #[serde(default)]
    pub end: Option<End>,
    #[serde(default)]
    pub summary: Summary,
    /// Files with calls.
    #[serde(default)]
    pub segments: Vec<Segment>,
    /// All other files.
    #[serde(default)]
    pub tables: Vec<Sealed>,
}

/// When a document outlives a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// When it is written.
    Now,
    /// When the directory is made durable; until then the one from before does.
    Whole,
    /// When its file and the directory are made durable.
    Later,
}

impl Document {
    /// Reads it from the trace in `dir`; `path` is for messages.
    pub fn load(dir: BorrowedFd<'_>, path: &Path) -> Result<Self, Error> {
        let bad = |why: String| Error::NotATrace { path: path.to_owned(), why };
        let file = match file_at(dir, NAME) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(bad("it has no trace.json".into()));
            }
            other => other.map_err(Error::io("open", path.join(NAME)))?,
        };
        let mut text = Vec::new();
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(Error::io("read", path.join(NAME)))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(bad("its trace.json is too long".into()));
        }
        // The version first: a newer document may not fit the rest.
        #[derive(Deserialize)]
        struct Only {
            format: Format,
        }
        let only: Only = serde_json::from_slice(&text)
            .map_err(|e| bad(format!("its trace.json has no format: {e}")))?;
        if only.format.name != Format::default().name {
            return Err(bad(format!("its format is {:?}", only.format.name)));
        }
        if only.format.major > MAJOR {
            return Err(Error::Newer {
                path: path.to_owned(),
                major: only.format.major,
                minor: only.format.minor,
            });
        }
        let document: Self = serde_json::from_slice(&text)
            .map_err(|e| bad(format!("its trace.json cannot be parsed: {e}")))?;
        match document.file_named_twice() {
            Some(file) => Err(bad(format!("its trace.json names {file:?} more than once"))),
            None => Ok(document),
        }
    }

    /// A file that is named more than once: each is read once, and some of them at the same time.
    fn file_named_twice(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        let files = self.segments.iter().map(|segment| &segment.sealed).chain(&self.tables);
        files.map(|sealed| &*sealed.file).find(|file| !seen.insert(*file))
    }

    /// Writes it, durably and at once.
    pub fn store(
        &self,
        storage: &dyn Storage,
        dir: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), Error> {
        self.write(storage, dir, path, Durable::Now)
    }

    /// Writes it at once; after a crash of the machine it may be the one from before.
    pub fn write(
        &self,
        storage: &dyn Storage,
        dir: BorrowedFd<'_>,
        path: &Path,
        durable: Durable,
    ) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        text.push(b'\n');
        let store = || {
            let mut sink = storage.create(dir, "trace.json.new")?;
            sink.write_all(&text)?;
            if durable != Durable::Later {
                sink.sync()?;
            }
            drop(sink);
            if durable == Durable::Now {
                storage.rename(dir, "trace.json.new", NAME)
            } else {
                storage.replace(dir, "trace.json.new", NAME)
            }
        };
        store().map_err(Error::io("write", path.join(NAME)))
    }

    /// The recording's random number.
    pub fn recording(&self) -> u64 {
        u64::from_str_radix(&self.recording, 16).unwrap_or(0)
    }
}
