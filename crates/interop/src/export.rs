//! Writes a trace in other tools' formats: timelines for people (Perfetto, Chrome), tables (CSV),
//! and input for fio.
//!
//! Each writer gets the calls as they return, with the files that their arguments led to. It writes
//! those that its format can hold; the others are counted by name.

mod chrome;
mod csv;
mod iolog;
mod perfetto;

use crate::Error;
use abi::Kind;
use abi::print::{Options, arguments, errno_name, unknown};
use ahash::HashMap;
use model::processes::{Operands, Processes, Timeline, TimelineItem, lexical};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use trace::record::PayloadKind;
use trace::{Call, Event, ReadOptions, RecordKind, Trace};

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Perfetto's protobuf.
    Perfetto,
    /// The JSON of Chrome's about:tracing.
    Chrome,
    /// Comma-separated values, a call a line.
    Csv,
    /// fio's iolog, version 3.
    Iolog,
}

/// The result of an export.
#[derive(Debug, Default)]
pub struct Exported {
    /// Calls that were written.
    pub calls: u64,
    /// Calls that were not written, by name.
    pub lost: BTreeMap<String, u64>,
    /// Calls that were written as other calls with the same effect, by name.
    pub changed: BTreeMap<String, u64>,
}

/// A call that returned, and the files that its arguments led to.
pub(crate) struct ResolvedCall<'a> {
    call: &'a Call,
    operands: &'a Operands<()>,
}

impl ResolvedCall<'_> {
    fn name(&self) -> String {
        abi::by_number(self.call.nr)
            .map_or_else(|| format!("syscall_{:#x}", self.call.nr), |row| row.name().to_owned())
    }
    /// The path of the file that the call is about: its first path, or that of its first
    /// descriptor.
    fn path(&self) -> Option<String> {
        let path = self.operands.paths.values().next().map(|p| lexical(p));
        let file = self.operands.fds.iter().flatten().next().map(|d| d.file.path.to_vec());
        path.or(file.filter(|path| !path.is_empty())).map(|p| trace::text::escape(&p))
    }
    /// The arguments as strace prints them.
    fn arguments(&self) -> String {
        let mut text = String::new();
        match self.call.spec() {
            Some(spec) => {
                arguments(spec, &self.call.args, self.call, &Options::default(), &mut text);
            }
            None => unknown(&self.call.args, &mut text),
        }
        text
    }
    fn result(&self) -> String {
        match (self.call.error(), self.call.result()) {
            (Some(errno), _) => errno_name(errno).map_or_else(|| errno.to_string(), str::to_owned),
            (None, Some(ret)) => ret.to_string(),
            (None, None) => "?".to_owned(),
        }
    }
    /// How many bytes the call read or wrote, and whether it read them.
    fn moved(&self) -> Option<(u64, bool)> {
        let spec =
            self.call.spec().filter(|s| s.ret == abi::Ret::Bytes && self.call.succeeded())?;
        Some((self.call.ret.max(0).cast_unsigned(), spec.args.iter().any(|a| brings_data(a.kind))))
    }
}

/// Whether a format could hold a call.
#[derive(Clone, Copy, Debug)]
enum Written {
    /// It was written.
    All,
    /// The format has no such calls; what they are, for the counts.
    Unsupported(&'static str),
}

/// Writes calls and events, in the order in which they returned and happened.
trait Writer {
    /// Writes a call.
    fn call(&mut self, resolved: &ResolvedCall<'_>, out: &mut dyn Write) -> io::Result<Written>;
    /// Writes an event, if the format has any.
    fn event(&mut self, _event: &Event, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    /// Ends the file.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// The name of the program that a process runs from this event on.
fn program(event: &Event) -> Option<String> {
    if !matches!(event.kind, RecordKind::Exec | RecordKind::State) {
        return None;
    }
    let path = event
        .payloads
        .iter()
        .find(|p| p.kind == PayloadKind::String)
        .map(|p| p.bytes.as_slice())
        .filter(|p| !p.is_empty())?;
    Some(trace::text::escape(path.rsplit(|b| *b == b'/').next().unwrap_or(path)))
}

/// A new file that gets its name when it is complete. Only its owner can read it, as it holds the
/// program's data.
pub struct Sink {
    file: Unfinished,
    to: PathBuf,
}

enum Unfinished {
    /// It has no name yet (O_TMPFILE): it disappears with this process, however that ends.
    Nameless(File),
    /// On file systems without such files: another name, until this is dropped.
    Named(tempfile::NamedTempFile),
}

impl Sink {
    /// Creates the file without a name, in the directory where it is to be. Fails if that cannot be
    /// written.
    pub fn new(to: &Path) -> Result<Self, Error> {
        let beside = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::open(beside, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Unfinished::Nameless(file.into()),
            Err(_) => tempfile::Builder::new()
                .prefix(".reanimator-")
                .suffix(".part")
                .tempfile_in(beside)
                .map(Unfinished::Named)
                .map_err(Error::io("create", to))?,
        };
        Ok(Self { file, to: to.to_owned() })
    }

    fn file(&mut self) -> &mut File {
        match &mut self.file {
            Unfinished::Nameless(file) => file,
            Unfinished::Named(file) => file.as_file_mut(),
        }
    }

    /// Gives the file its name, and replaces a file that has it already, as `-o` of other programs
    /// does.
    pub fn finish_over(self) -> Result<(), Error> {
        let named = match self.file {
            Unfinished::Nameless(file) => {
                let beside = format!(".reanimator-{}.part", std::process::id());
                let beside = self.to.with_file_name(beside);
                let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
                let linked = rustix::fs::linkat(CWD, itself, CWD, &beside, AtFlags::SYMLINK_FOLLOW);
                let named = linked.and_then(|()| rustix::fs::rename(&beside, &self.to));
                named.map_err(io::Error::from).inspect_err(|_| {
                    let _best = std::fs::remove_file(&beside);
                })
            }
            Unfinished::Named(file) => file.persist(&self.to).map(drop).map_err(|e| e.error),
        };
        named.map_err(Error::io("create", &self.to))
    }

    /// Gives the file its name. Fails if there is a file of this name already.
    pub fn finish(self) -> Result<(), Error> {
        let named = match self.file {
            Unfinished::Nameless(file) => {
                let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, itself, CWD, &self.to, AtFlags::SYMLINK_FOLLOW)
                    .map_err(io::Error::from)
            }
            Unfinished::Named(file) => {
                file.persist_noclobber(&self.to).map(drop).map_err(|e| e.error)
            }
        };
        named.map_err(Error::io("create", &self.to))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Writes `trace` into the new file `to`. `progress` gets the number of calls done and of all
/// calls. Fails if the trace cannot be read, `to` exists, or it cannot be written.
pub fn export(
    trace: &Trace,
    to: &Path,
    format: Format,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, Error> {
    let mut out = BufWriter::with_capacity(1 << 18, Sink::new(to)?);
    let written = |e| Error::io("write", to)(e);
    let mut writer: Box<dyn Writer> = match format {
        Format::Perfetto => Box::new(perfetto::Perfetto::default()),
        Format::Chrome => Box::new(chrome::Chrome::default()),
        Format::Csv => Box::new(csv::Csv::new(trace)),
        Format::Iolog => Box::new(iolog::Iolog::default()),
    };
    let mut exported = Exported::default();
    let (all, mut done) = (trace.summary().calls, 0u64);
    let mut processes = Processes::<()>::new();
    let mut open: HashMap<usize, Operands<()>> = HashMap::default();
    for item in Timeline::new(trace.read(ReadOptions { data: format != Format::Iolog })) {
        let (call, operands) = match item? {
            TimelineItem::Event(event) => {
                processes.event(&event);
                writer.event(&event, &mut out).map_err(written)?;
                continue;
            }
            TimelineItem::Enter(place, call) => {
                open.insert(place, processes.enter(&call));
                continue;
            }
            TimelineItem::Leave(place, call) => {
                let Some(mut operands) = open.remove(&place) else { continue };
                processes.leave(&call, &mut operands);
                (call, operands)
            }
            TimelineItem::Unreturned(place, call) => match open.remove(&place) {
                Some(operands) => (call, operands),
                None => continue,
            },
        };
        let resolved = ResolvedCall { call: &call, operands: &operands };
        match writer.call(&resolved, &mut out).map_err(written)? {
            Written::All => exported.calls += 1,
            Written::Unsupported(what) => *exported.lost.entry(what.to_owned()).or_default() += 1,
        }
        done += 1;
        if done.is_multiple_of(4096) {
            progress(done, all);
        }
    }
    writer.end(&mut out).map_err(written)?;
    out.into_inner().map_err(|e| written(e.into_error()))?.finish()?;
    Ok(exported)
}

/// Whether the call puts data from a file or a peer into an argument of this kind.
fn brings_data(kind: Kind) -> bool {
    matches!(kind, Kind::Out(_, layout) if layout.form == abi::Form::Data)
        || matches!(kind, Kind::OutIov { .. })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_hostile;
