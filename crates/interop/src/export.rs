//! Writes a trace in other tools' formats: timelines for people (Perfetto, Chrome), tables (CSV),
//! and input for fio.
//!
//! A format is a module with its `FORMAT`, named in the list of [`FORMATS`].
//!
//! Each writer gets the calls as they return, with the files that their arguments led to. It writes
//! those that its format can hold; the others are counted by name.

mod sink;

pub use sink::Sink;

use crate::Error;
use abi::Kind;
use abi::print::{Options, arguments, errno_name, unknown};
use ahash::HashMap;
use model::processes::{Operands, Processes, Timeline, TimelineItem, lexical};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use trace::record::PayloadKind;
use trace::{Call, Event, ReadOptions, RecordKind, Trace};

/// Declares the module of each format, and [`FORMATS`], which has the `FORMAT` of each. rustfmt
/// does not see these modules: `make test` names them to it.
macro_rules! formats {
    ($($module:ident)*) => {
        $(mod $module;)*
        /// The formats that can be written, beside traces of our own.
        pub const FORMATS: &[Format] = &[crate::dataseries::export::FORMAT, $($module::FORMAT),*];
    };
}

formats! {
    perfetto
    chrome
    csv
    iolog
}

/// A format to write.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What it is called, for people; empty where its extension says it.
    pub name: &'static str,
    /// The extensions of its files, the usual one first.
    pub extensions: &'static [&'static str],
    pub(crate) export: Export,
}

/// Writes a trace into the new file of this name, and says how many calls of all are done.
pub(crate) type Export = fn(&Trace, &Path, &mut dyn FnMut(u64, u64)) -> Result<Exported, Error>;

impl Format {
    /// Writes `trace` into the new file `to`. `progress` gets the number of calls done and of all
    /// calls. Fails if the trace cannot be read, `to` exists, or it cannot be written.
    pub fn export(
        &self,
        trace: &Trace,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Exported, Error> {
        (self.export)(trace, to, progress)
    }
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
    /// Returns the name of the call.
    fn name(&self) -> String {
        abi::by_number(self.call.nr)
            .map_or_else(|| format!("syscall_{:#x}", self.call.nr), |row| row.name().to_owned())
    }
    /// Returns the path of the call's file: its first path argument, or the path of its first
    /// descriptor.
    fn path(&self) -> Option<String> {
        let path = self.operands.paths.values().next().map(|p| lexical(p));
        let file = self.operands.fds.iter().flatten().next().map(|d| d.file.path.to_vec());
        path.or(file.filter(|path| !path.is_empty())).map(|p| trace::text::escape(&p))
    }
    /// Returns the arguments as strace prints them.
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
    /// Returns the result as text: the errno's name if the call failed, and `?` if it did not
    /// return.
    fn result(&self) -> String {
        match (self.call.error(), self.call.result()) {
            (Some(errno), _) => errno_name(errno).map_or_else(|| errno.to_string(), str::to_owned),
            (None, Some(ret)) => ret.to_string(),
            (None, None) => "?".to_owned(),
        }
    }
    /// Returns how many bytes the call read or wrote, and whether it read them. Returns `None` for
    /// other calls.
    fn moved_bytes(&self) -> Option<(u64, bool)> {
        let spec =
            self.call.spec().filter(|s| s.ret == abi::Ret::Bytes && self.call.succeeded())?;
        Some((self.call.ret.max(0).cast_unsigned(), spec.args.iter().any(|a| reads_data(a.kind))))
    }
}

/// Whether a call was written.
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
    /// Writes what ends the file.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the name of the program that a process runs from this event on.
fn program_name(event: &Event) -> Option<String> {
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

/// Writes the calls and events of `trace` with `writer` into the new file `to`; with `data`, the
/// calls have their bytes.
fn write_calls(
    trace: &Trace,
    to: &Path,
    data: bool,
    writer: &mut dyn Writer,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, Error> {
    let mut out = BufWriter::with_capacity(1 << 18, Sink::new(to)?);
    let written = |e| Error::io("write", to)(e);
    let mut exported = Exported::default();
    let (all_calls, mut done) = (trace.summary().calls, 0u64);
    let mut processes = Processes::<()>::new();
    let mut open: HashMap<usize, Operands<()>> = HashMap::default();
    for item in Timeline::new(trace.read(ReadOptions { data })) {
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
            progress(done, all_calls);
        }
    }
    writer.end(&mut out).map_err(written)?;
    out.into_inner().map_err(|e| written(e.into_error()))?.finish()?;
    Ok(exported)
}

/// Returns whether the call puts data from a file or a peer into an argument of this kind.
fn reads_data(kind: Kind) -> bool {
    matches!(kind, Kind::Out(_, layout) if layout.form == abi::Form::Data)
        || matches!(kind, Kind::OutIov { .. })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_hostile;
