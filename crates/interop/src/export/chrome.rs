//! Chrome's JSON (the "JSON Array Format" of about:tracing, which Perfetto reads too): a complete
//! event (`X`) for each call, times in microseconds.

use super::{Format, ResolvedCall, Writer, Written, write_calls};
use serde_json::json;
use std::io::{self, Write};
use trace::Event;

pub(crate) const FORMAT: Format = Format {
    name: "Chrome",
    extensions: &["json"],
    export: |trace, to, progress| write_calls(trace, to, true, &mut Chrome::default(), progress),
};

#[derive(Default)]
pub(crate) struct Chrome {
    begun: bool,
}

impl Chrome {
    /// Writes an event of the format, with a comma before it unless it is the first.
    fn write_event(&mut self, object: &serde_json::Value, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if std::mem::replace(&mut self.begun, true) { b",\n" } else { b"[\n" })?;
        serde_json::to_writer(out, object).map_err(io::Error::from)
    }
}

/// Converts nanoseconds to microseconds, the unit of the format.
fn to_micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

impl Writer for Chrome {
    fn call(&mut self, resolved: &ResolvedCall<'_>, out: &mut dyn Write) -> io::Result<Written> {
        let call = resolved.call;
        let mut args = json!({"arguments": resolved.arguments(), "result": resolved.result()});
        if let Some(path) = resolved.path() {
            args["path"] = path.into();
        }
        if let Some((bytes, _)) = resolved.moved_bytes() {
            args["bytes"] = bytes.into();
        }
        let mut object = json!({
            "name": resolved.name(), "cat": "syscall", "ph": "X", "ts": to_micros(call.entered),
            "pid": call.pid, "tid": call.tid, "args": args,
        });
        match call.duration() {
            Some(spent) => object["dur"] = to_micros(spent).into(),
            None => object["ph"] = "B".into(),
        }
        self.write_event(&object, out)?;
        Ok(Written::All)
    }

    fn event(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        let Some(name) = super::program_name(event) else { return Ok(()) };
        let object = json!({
            "name": "process_name", "ph": "M", "pid": event.pid, "tid": event.tid,
            "args": {"name": name},
        });
        self.write_event(&object, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.begun { b"\n]\n" } else { b"[]\n" })
    }
}
