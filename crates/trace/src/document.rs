//! `trace.json`: the description of a trace, a JSON document that people can read, too.
//!
//! Versions: a reader refuses a document with a higher major version than its own. A minor version
//! only adds fields; an older reader ignores them, and a newer reader uses a default where an older
//! document lacks them. The document is always replaced as a whole: the new one is written to
//! another file, made durable and renamed.

use crate::error::Error;
pub use crate::format::version::{MAJOR, MINOR};
use crate::storage::{Storage, open_file_at};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The name of the document.
pub(crate) const NAME: &str = "trace.json";
/// The files with events: those in the order of time, and late ones.
pub(crate) const EVENTS: [&str; 2] = ["events.parquet", "events-late.parquet"];
/// The longest document, in bytes, that is read.
const MAX_BYTES: u64 = 64 << 20;

/// What is known about a recording when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingInfo {
    /// The recorded command, or empty if the recorder attached to running processes.
    #[serde(with = "crate::format::text::os_strings")]
    pub command: Vec<OsString>,
    /// The processes that the recorder attached to.
    pub joined: Vec<u32>,
    /// The working directory of the recorder.
    #[serde(with = "crate::format::text::bytes")]
    pub directory: Vec<u8>,
    /// `ptrace`, `ebpf`, or the name of the format that was imported.
    pub engine: String,
    /// The filter expression as the user wrote it, or empty if all calls are recorded.
    pub filter: String,
    /// How much data was recorded: `all`, `writes`, `none`, or the number of bytes of each buffer.
    pub data: String,
    /// Whether the files that the program opened, and left in place, are copied into the trace when
    /// recording ends.
    pub snapshot: bool,
    /// The version of the program that recorded the trace.
    pub version: String,
    /// When recording began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub began: u64,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC` when recording began, in nanoseconds. Added to a
    /// time in the trace, it gives the time of day.
    pub clock_offset: i64,
    /// The host name.
    pub host: String,
    /// The kernel release.
    pub kernel: String,
    /// The machine's architecture, such as `x86_64`.
    pub machine: String,
    /// The number of CPUs that were online.
    pub cpus: u32,
    /// The size of a page in bytes.
    pub page_size: u32,
    /// The user that the recorder ran as.
    pub uid: u32,
    /// The mounts in the recorder's mount namespace.
    pub mounts: Vec<Mount>,
}

/// A mounted file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The path of the mount point.
    #[serde(with = "crate::format::text::bytes")]
    pub point: Vec<u8>,
    /// The file system type.
    pub fs: String,
}

/// What is known about a recording when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingEnd {
    /// Whether the engine stopped in order: each process that it followed has ended or was detached
    /// from on request.
    pub finished: bool,
    /// The sum of the times that calls were delayed by so that no record was lost, in nanoseconds.
    pub held_ns: u64,
    /// Whether sealing examines the files now, to record their final state.
    pub final_state: bool,
    /// Messages for the user.
    pub notes: Vec<String>,
    /// What the recorder or importer knows to be missing, one sentence each. Each is a reason why
    /// the trace is incomplete.
    pub missing: Vec<String>,
}

/// Whether a trace is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The trace holds every call of the recorded processes that the filter selects, with all of
    /// its bytes, from the beginning of the recording to its end.
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

/// Counts and statements about a sealed trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Whether the trace is complete.
    pub verdict: Verdict,
    /// What is missing, one sentence each.
    pub reasons: Vec<String>,
    /// Other messages for the user.
    pub notes: Vec<String>,
    /// The number of calls.
    pub calls: u64,
    /// The number of events.
    pub events: u64,
    /// The number of records known to be missing.
    pub lost: u64,
    /// The sum of the times that calls were delayed by because the trace could not be written as
    /// fast, in nanoseconds.
    pub held_ns: u64,
    /// The number of payloads of which some memory could not be read.
    pub unreadable: u64,
    /// The number of payloads that were shortened, because the user limited the data or because
    /// they were too long for a row.
    pub cut: u64,
    /// The number of calls that did not return while they were recorded.
    pub unreturned: u64,
    /// The number of processes.
    pub processes: u64,
    /// The number of threads.
    pub threads: u64,
    /// The number of payload bytes captured.
    pub bytes_captured: u64,
    /// The total size of the trace's files in bytes.
    pub bytes_on_disk: u64,
    /// The number of bytes of the journal that could not be used.
    pub damaged_bytes: u64,
    /// The time of the first entry, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first: Option<u64>,
    /// The time of the last entry or return, in nanoseconds of `CLOCK_MONOTONIC`.
    pub last: Option<u64>,
    /// The number of files in the manifest.
    pub files: u64,
    /// The number of files that were changed by processes that were not recorded.
    pub outside: u64,
    /// The size of the snapshot in bytes, or `None` if the trace has none.
    pub snapshot_bytes: Option<u64>,
    /// The time (`CLOCK_MONOTONIC`, in nanoseconds) up to which no record is missing, if the
    /// recorder was killed. A later call may depend on calls that were not written. `None`: the
    /// recorder was not killed, or it wrote all records in one order.
    pub complete_until: Option<u64>,
    /// Whether the trace was sealed after its recorder had died.
    pub recovered: bool,
}

/// A file of a sealed trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The name of the file.
    pub file: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The BLAKE3 hash of the file, in hexadecimal.
    pub blake3: String,
}

/// A segment: a file with calls in the order of their entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The file.
    #[serde(flatten)]
    pub sealed: Sealed,
    /// The number of calls.
    pub rows: u64,
    /// Whether the segment holds calls that were entered before the last call of an earlier
    /// segment. A reader merges such a segment with the others.
    #[serde(default)]
    pub late: bool,
    /// The number of the first row.
    pub seq: u64,
    /// The time of the first entry.
    pub first: u64,
    /// The time of the last entry.
    pub last: u64,
    /// The uncompressed size of the column `data` in bytes.
    pub data_bytes: u64,
}

/// The state of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The trace is being recorded, or its recorder has died.
    #[default]
    Recording,
    /// The recording has ended (`end` says how), and sealing has begun.
    Sealing,
    /// The trace has segments and no journal.
    Sealed,
}

/// The name and the version of the format.
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
    /// The recording's random id in hexadecimal, which is in each frame of its journals.
    pub recording: String,
    #[serde(rename = "about")]
    pub info: RecordingInfo,
    #[serde(default)]
    pub end: Option<RecordingEnd>,
    #[serde(default)]
    pub summary: Summary,
    /// The files with calls.
    #[serde(default)]
    pub segments: Vec<Segment>,
    /// All other files.
    #[serde(default)]
    pub tables: Vec<Sealed>,
}

/// What a write of the document guarantees about a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The new document survives a crash as soon as the write returns.
    Immediate,
    /// The new document survives once the directory is synced; until then the old one does.
    WithDirectory,
    /// The new document survives once its file and the directory are synced.
    None,
}

impl Document {
    /// Reads and parses the document of the trace in `dir`. `path` is the path of the trace in
    /// error messages. Fails if there is no valid document or if its major version is higher than
    /// [`MAJOR`].
    pub fn load(dir: BorrowedFd<'_>, path: &Path) -> Result<Self, Error> {
        let not_a_trace = |why: String| Error::NotATrace { path: path.to_owned(), why };
        let file = match open_file_at(dir, NAME) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(not_a_trace("it has no trace.json".into()));
            }
            other => other.map_err(Error::io("open", path.join(NAME)))?,
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(Error::io("read", path.join(NAME)))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(not_a_trace("its trace.json is too long".into()));
        }
        // Only the version is parsed at first, since a newer document may differ in the rest.
        #[derive(Deserialize)]
        struct FormatOnly {
            format: Format,
        }
        let only: FormatOnly = serde_json::from_slice(&text)
            .map_err(|e| not_a_trace(format!("its trace.json has no format: {e}")))?;
        if only.format.name != Format::default().name {
            return Err(not_a_trace(format!("its format is {:?}", only.format.name)));
        }
        if only.format.major > MAJOR {
            return Err(Error::Newer {
                path: path.to_owned(),
                major: only.format.major,
                minor: only.format.minor,
            });
        }
        let document: Self = serde_json::from_slice(&text)
            .map_err(|e| not_a_trace(format!("its trace.json cannot be parsed: {e}")))?;
        match document.duplicate_file_name() {
            Some(file) => Err(not_a_trace(format!("its trace.json names {file:?} more than once"))),
            None => Ok(document),
        }
    }

    /// Returns the name of a file that the document lists more than once, which is an error: each
    /// file is read once, and some are open at the same time.
    fn duplicate_file_name(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        let files = self.segments.iter().map(|segment| &segment.sealed).chain(&self.tables);
        files.map(|sealed| &*sealed.file).find(|file| !seen.insert(*file))
    }

    /// Replaces the document. It survives a crash of the machine when this returns.
    pub fn write_durably(
        &self,
        storage: &dyn Storage,
        dir: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), Error> {
        self.write(storage, dir, path, Durability::Immediate)
    }

    /// Replaces the document; `durability` says what is guaranteed about a crash of the machine.
    pub fn write(
        &self,
        storage: &dyn Storage,
        dir: BorrowedFd<'_>,
        path: &Path,
        durability: Durability,
    ) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        text.push(b'\n');
        let store = || {
            let mut sink = storage.create(dir, "trace.json.new")?;
            sink.write_all(&text)?;
            if durability != Durability::None {
                sink.sync()?;
            }
            drop(sink);
            if durability == Durability::Immediate {
                storage.rename(dir, "trace.json.new", NAME)
            } else {
                storage.replace(dir, "trace.json.new", NAME)
            }
        };
        store().map_err(Error::io("write", path.join(NAME)))
    }

    /// Returns the recording's random id, or 0 if the document has none.
    pub fn recording_id(&self) -> u64 {
        u64::from_str_radix(&self.recording, 16).unwrap_or(0)
    }
}
