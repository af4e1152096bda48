//! One call or event as a JSON object.

use super::{Seen, event as events, line};
use crate::output::clock::{Clock, rfc3339};
use crate::output::json;
use abi::{Form, Kind, Layout};
use model::processes::lexical;
use serde_json::{Map, Value, json};
use trace::record::{AT_EXIT, PayloadKind, UNREADABLE};
use trace::{Event, Payload, RecordKind};

/// Returns a call as JSON: names and decoded arguments, and the raw numbers. Strings are cut after
/// `most` bytes.
pub fn call_to_json(seen: &Seen<'_>, clock: &Clock, most: usize) -> Value {
    let call = seen.call;
    let spec = call.spec();
    let mut args = Map::new();
    for (i, arg) in spec.map_or(&[][..], |s| s.args).iter().enumerate() {
        args.insert(arg.name.to_owned(), argument_to_json(seen, i as u8, arg.kind, most));
    }
    let name = line::call_name(call);
    let paths: Vec<Value> =
        seen.operands.paths.values().map(|p| json::bytes_to_json(&lexical(p))).collect();
    let file = (0..6)
        .find_map(|arg| seen.descriptor_path(arg))
        .or_else(|| seen.opened_path())
        .map(json::bytes_to_json);
    let mut object = json!({
        "seq": call.seq,
        "time": rfc3339(clock.to_epoch(call.entered)),
        "entered": call.entered,
        "duration": call.duration(),
        "pid": call.pid,
        "tid": call.tid,
        "call": name,
        "nr": call.nr,
        "args": args,
        "raw": call.args,
        "result": call.result(),
        "error": call.error().map(line::error_name),
    });
    if let Some(variant) = spec.map(|s| s.name).filter(|v| *v != name) {
        object["variant"] = variant.into();
    }
    if !call.was_executed() {
        object["made"] = false.into();
    }
    if let Some(file) = file {
        object["file"] = file;
    }
    if let Some(found) = call.fd_snapshot.known() {
        object["seen"] =
            json!({"dev": found.dev, "ino": found.ino, "mode": found.mode, "offset": found.offset});
    }
    if !paths.is_empty() {
        object["paths"] = paths.into();
    }
    if call.payloads.iter().any(|p| p.flags & UNREADABLE != 0) {
        object["unreadable"] = true.into();
    }
    json::with_version(object)
}

/// Returns an event as JSON. Its members depend on the kind of event.
pub fn event_to_json(event: &Event, clock: &Clock) -> Value {
    let kind = match event.kind {
        RecordKind::Call => "call",
        RecordKind::Part => "part",
        RecordKind::Start => "start",
        RecordKind::Exec => "exec",
        RecordKind::Exit => "exit",
        RecordKind::Signal => "signal",
        RecordKind::Descriptor if event.is_mapping() => "mapping",
        RecordKind::Descriptor => "descriptor",
        RecordKind::State => "state",
        RecordKind::Gap => "gap",
        RecordKind::Note => "note",
    };
    let [a, b, c, ..] = event.args;
    let mut object = json!({
        "event": kind,
        "time": rfc3339(clock.to_epoch(event.time)),
        "entered": event.time,
        "pid": event.pid,
        "tid": event.tid,
    });
    let path = |arg| event.identity(arg).map(|(_, path)| json::bytes_to_json(path));
    let particulars = match event.kind {
        RecordKind::Start => {
            json!({"parent": a, "parent_tid": b, "flags": c, "process": event.args[3] == 1})
        }
        RecordKind::Exec => {
            json!({"former_tid": a, "program": json::bytes_to_json(events::event_bytes(event))})
        }
        RecordKind::Exit => {
            json!({"status": a, "last": b == 1, "text": events::describe_wait_status(a)})
        }
        RecordKind::Signal => {
            json!({"signal": events::signal_name(a), "code": b as i32, "sender": c})
        }
        RecordKind::Descriptor if event.is_mapping() => {
            json!({"start": event.args[3], "end": event.args[4], "file": path(0)})
        }
        RecordKind::Descriptor => json!({"fd": a, "cloexec": b & 1 == 1, "file": path(0)}),
        RecordKind::State => {
            json!({"umask": a, "uid": b, "gid": c, "directory": path(abi::plan::WORKING_DIRECTORY)})
        }
        RecordKind::Gap => json!({"first": a, "lost": b, "cpu": c}),
        RecordKind::Note => json!({"text": json::bytes_to_json(events::event_bytes(event))}),
        RecordKind::Call | RecordKind::Part => json!({}),
    };
    if let (Some(object), Value::Object(particulars)) = (object.as_object_mut(), particulars) {
        object.extend(particulars);
    }
    json::with_version(object)
}

/// Returns one argument as JSON: decoded as its kind says, or the address in hex if the data it
/// points to were not captured.
fn argument_to_json(seen: &Seen<'_>, arg: u8, kind: Kind, most: usize) -> Value {
    let raw = seen.call.args[usize::from(arg)];
    let at = |kind: PayloadKind, flag: u8| {
        seen.call
            .payloads
            .iter()
            .find(|p| p.arg == arg && p.kind == kind && p.flags & AT_EXIT == flag)
    };
    let any = |kind: PayloadKind| seen.call.payload(arg, kind);
    let address = || if raw == 0 { Value::Null } else { format!("{raw:#x}").into() };
    match kind {
        Kind::Int | Kind::Fd | Kind::Pid | Kind::DirFd => (raw as i32).into(),
        Kind::Off | Kind::Pos | Kind::Length => raw.cast_signed().into(),
        Kind::Uint | Kind::Size | Kind::PosHigh | Kind::Mode => raw.into(),
        Kind::Uid | Kind::Gid => (raw as i32).into(),
        Kind::Path(_) | Kind::Str => {
            any(PayloadKind::String).map_or_else(address, |p| payload_text(p, most))
        }
        Kind::StrVec => {
            any(PayloadKind::StrVec).map_or_else(address, |p| words_to_json(p.bytes.as_slice()))
        }
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout) => {
            let kind =
                if layout.form == Form::Data { PayloadKind::Data } else { PayloadKind::Bytes };
            match (at(kind, 0), at(kind, AT_EXIT)) {
                (Some(before), Some(after)) => {
                    let formed = |bytes| struct_to_json(layout, bytes, most);
                    json!({"before": formed(before), "after": formed(after)})
                }
                (Some(payload), None) | (None, Some(payload)) => {
                    struct_to_json(layout, payload, most)
                }
                (None, None) => address(),
            }
        }
        Kind::InIov { .. }
        | Kind::OutIov { .. }
        | Kind::InMsg
        | Kind::OutMsg
        | Kind::InMsgs { .. }
        | Kind::OutMsgs { .. } => {
            any(PayloadKind::Data).map_or_else(address, |p| payload_text(p, most))
        }
        _ => {
            let mut text = String::new();
            abi::print::scalar(kind, raw, &mut text);
            text.into()
        }
    }
}

/// Returns a payload as JSON text, cut after `most` bytes.
fn payload_text(payload: &Payload, most: usize) -> Value {
    json::shorten_to_json(payload.bytes.as_slice(), most)
}

/// Returns a list of strings, each of which ends with a NUL, as a JSON array.
fn words_to_json(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return json!([]);
    }
    bytes
        .strip_suffix(b"\0")
        .unwrap_or(bytes)
        .split(|b| *b == 0)
        .map(json::bytes_to_json)
        .collect::<Vec<_>>()
        .into()
}

/// Returns captured bytes as JSON, decoded by their layout: a struct becomes an object, an array of
/// structs a list of objects, anything else text.
fn struct_to_json(layout: &Layout, payload: &Payload, most: usize) -> Value {
    let bytes = payload.bytes.as_slice();
    let fields = |bytes: &[u8]| {
        let named = layout.fields.iter().filter_map(|f| {
            let name = f.name.trim_end_matches('_').to_owned();
            Some((name, abi::print::field(f, bytes)?.into()))
        });
        Value::Object(named.collect())
    };
    match layout.form {
        Form::Struct => fields(bytes),
        Form::Array if layout.size > 0 => {
            bytes.chunks_exact(layout.size as usize).map(fields).collect::<Vec<_>>().into()
        }
        Form::Fds => bytes
            .chunks_exact(4)
            .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect::<Vec<_>>()
            .into(),
        Form::Names => words_to_json(bytes),
        _ => payload_text(payload, most),
    }
}
