//! Comma-separated values: a call a line, in the order in which they returned.

use super::{Format, ResolvedCall, Writer, Written, write_calls};
use std::io::{self, Write};
use trace::Trace;

pub(crate) const FORMAT: Format = Format {
    name: "",
    extensions: &["csv"],
    export: |trace, to, progress| write_calls(trace, to, true, &mut Csv::new(trace), progress),
};

const HEAD: [&str; 12] = [
    "seq",
    "time",
    "pid",
    "tid",
    "call",
    "arguments",
    "result",
    "error",
    "duration_ns",
    "path",
    "offset",
    "bytes",
];

/// Times are seconds since 1970.
pub(crate) struct Csv {
    clock_offset: i64,
    begun: bool,
}

impl Csv {
    /// Creates the writer of a table whose times begin with those of this trace.
    pub fn new(trace: &Trace) -> Self {
        Self { clock_offset: trace.recording_info().clock_offset, begun: false }
    }
}

/// Writes a row; fields are quoted if they have commas, quotes or newlines.
fn write_row<'a>(fields: impl IntoIterator<Item = &'a str>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(512).from_writer(out);
    writer.write_record(fields).map_err(io::Error::other)?;
    writer.flush()
}

impl Writer for Csv {
    fn call(&mut self, resolved: &ResolvedCall<'_>, out: &mut dyn Write) -> io::Result<Written> {
        if !std::mem::replace(&mut self.begun, true) {
            write_row(HEAD, out)?;
        }
        let call = resolved.call;
        let time = call.entered.saturating_add_signed(self.clock_offset);
        let or_empty = |v: Option<String>| v.unwrap_or_default();
        let fields = [
            call.seq.to_string(),
            format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000),
            call.pid.to_string(),
            call.tid.to_string(),
            resolved.name(),
            resolved.arguments(),
            or_empty(call.result().map(|ret| ret.to_string())),
            or_empty(call.error().map(|_| resolved.result())),
            or_empty(call.duration().map(|spent| spent.to_string())),
            or_empty(resolved.path()),
            or_empty(resolved.operands.offset.map(|o| o.to_string())),
            or_empty(resolved.moved_bytes().map(|(n, _)| n.to_string())),
        ];
        write_row(fields.iter().map(String::as_str), out)?;
        Ok(Written::All)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.begun { Ok(()) } else { write_row(HEAD, out) }
    }
}
