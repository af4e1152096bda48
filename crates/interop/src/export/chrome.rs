//! Chrome's JSON (the "JSON Array Format" of about:tracing, which Perfetto reads too): a complete event (`X`) for each call, times in microseconds.

use super::{Taken, Told, Writer};
use serde_json::json;
use std::io::{self, Write};
use trace::Event;

#[derive(Default)]
pub(crate) struct Chrome {
    begun: bool,
}

impl Chrome {
    fn put(&mut self, object: &serde_json::Value, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if std::mem::replace(&mut self.begun, true) { b",\n" } else { b"[\n" })?;
        serde_json::to_writer(out, object).map_err(io::Error::from)
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

impl Writer for Chrome {
    fn call(&mut self, told: &Told<'_>, out: &mut dyn Write) -> io::Result<Taken> {
        let call = told.call;
        let mut args = json!({"arguments": told.arguments(), "result": told.result()});
        if let Some(path) = told.path() {
            args["path"] = path.into();
        }
        if let Some((bytes, _)) = told.moved() {
            args["bytes"] = bytes.into();
        }
        let mut object = json!({"name": told.name(), "cat": "syscall", "ph": "X", "ts": micros(call.entered), "pid": call.pid, "tid": call.tid, "args": args});
        match call.duration() {
            Some(spent) => object["dur"] = micros(spent).into(),
            None => object["ph"] = "B".into(),
        }
        self.put(&object, out)?;
        Ok(Taken::Yes)
    }

    fn event(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        let Some(name) = super::program(event) else { return Ok(()) };
        self.put(&json!({"name": "process_name", "ph": "M", "pid": event.pid, "tid": event.tid, "args": {"name": name}}), out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.begun { b"\n]\n" } else { b"[]\n" })
    }
}
