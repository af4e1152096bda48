//! Real traces of LTTng, against what babeltrace2 prints of them; and traces that are cut or
//! damaged.

use super::stream::Item;
use super::{Trace, Value, import};
use crate::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use trace::ReadOptions;

fn gunzip(name: &str) -> Vec<u8> {
    crate::tests_support::gunzip(&format!("ctf/{name}"))
}

/// The trace `name` of the fixtures, unpacked.
fn fixture(dir: &Path, name: &str) -> PathBuf {
    crate::tests_support::untar(&gunzip(&format!("{name}.tar.gz")), dir);
    dir.join(name)
}

/// Appends a value to `out` as babeltrace2 prints it.
fn print(value: &Value<'_>, out: &mut String) {
    let number = |v: i128, bits: u64, base: u32, out: &mut String| match base {
        16 => write!(out, "0x{bits:X}").unwrap(),
        8 => write!(out, "0{bits:o}").unwrap(),
        _ => write!(out, "{v}").unwrap(),
    };
    match value {
        Value::Unsigned(v, base) => number(i128::from(*v), *v, *base, out),
        Value::Signed(v, base) => number(i128::from(*v), v.cast_unsigned(), *base, out),
        Value::Float(v) => write!(out, "{v}").unwrap(),
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text)
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
                .replace('\t', "\\t");
            write!(out, "\"{text}\"").unwrap();
        }
        Value::Enum(v, _) => match &value.enum_names().collect::<Vec<_>>()[..] {
            [] => write!(out, "( <unknown> : container = {v} )").unwrap(),
            [one] => write!(out, "( \"{one}\" : container = {v} )").unwrap(),
            many => {
                let quoted: Vec<String> = many.iter().map(|n| format!("\"{n}\"")).collect();
                write!(out, "( {{ {} }} : container = {v} )", quoted.join(", ")).unwrap();
            }
        },
        Value::Struct(fields, _) => {
            out.push_str("{ ");
            for (i, (name, value)) in value.fields().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write!(out, "{name} = ").unwrap();
                print(value, out);
            }
            out.push_str(if fields.is_empty() { "}" } else { " }" });
        }
        Value::Array(elements) => {
            out.push_str("[ ");
            for (i, element) in elements.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write!(out, "[{i}] = ").unwrap();
                print(element, out);
            }
            out.push_str(if elements.is_empty() { "]" } else { " ]" });
        }
    }
}

#[test]
fn every_event_is_what_babeltrace2_prints() {
    let dir = crate::tests_support::scratch();
    for name in ["dd", "meta"] {
        let text = String::from_utf8(gunzip(&format!("{name}.babeltrace2.gz"))).unwrap();
        let mut lines = text.lines();
        let trace = Trace::open(&fixture(dir.path(), name)).unwrap();
        let host = trace.metadata.env["hostname"].clone();
        let mut events = 0;
        let counts = trace
            .read(|item| {
                let Item::Event(e) = item else { return Ok::<(), Error>(()) };
                let expected = lines.next().unwrap();
                let seconds = e.time / 1_000_000_000;
                let time = format!(
                    "[{:02}:{:02}:{:02}.{:09}]",
                    seconds / 3600 % 24,
                    seconds / 60 % 60,
                    seconds % 60,
                    e.time % 1_000_000_000
                );
                let mut rest =
                    format!("{host} {}: {{ cpu_id = {} }}, ", e.kind.name, e.cpu.unwrap());
                print(&e.context, &mut rest);
                rest.push_str(", ");
                print(&e.fields, &mut rest);
                let (when, fields) = expected.split_once(" (").unwrap();
                let (_, fields) = fields.split_once(") ").unwrap();
                assert_eq!((when, fields), (time.as_str(), rest.as_str()));
                events += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((lines.next(), counts.lost, counts.damage.len()), (None, 0, 0));
        assert!(events > 3000, "{events}");
    }
}

#[test]
fn a_trace_becomes_one_of_ours() {
    let dir = crate::tests_support::scratch();
    let to = dir.path().join("meta.ra");
    let outcome =
        import(&fixture(dir.path(), "meta"), &to, Some(b"/root"), &mut |_, _| {}).unwrap();
    assert_eq!(outcome.damage, None);
    let trace = trace::Trace::open(&to).unwrap();
    let items = trace.read(ReadOptions { data: true }).map(Result::unwrap);
    let calls: Vec<trace::Call> = items
        .filter_map(|item| if let trace::Item::Call(call) = item { Some(call) } else { None })
        .collect();
    let named = |name: &str| {
        calls.iter().filter(|c| c.spec().is_some_and(|s| s.name == name)).collect::<Vec<_>>()
    };
    let renames: Vec<_> = named("renameat2")
        .iter()
        .map(|c| (c.string(1).unwrap(), c.string(3).unwrap(), c.ret))
        .take(2)
        .collect();
    assert_eq!(renames, [(&b"a/f1"[..], &b"a/f1.new"[..], 0), (b"a/b", b"d/b2", 0)]);
    assert!(
        named("pipe2").iter().all(|c| c.payloads[0].bytes.as_slice() == [3, 0, 0, 0, 4, 0, 0, 0])
    );
    let write = named("write").into_iter().find(|c| c.succeeded()).unwrap();
    assert_eq!((write.payloads[0].len, write.payloads[0].wanted), (0, write.ret.cast_unsigned()));
    assert!(outcome.summary.processes > 30);
}

#[test]
fn cut_and_damaged_traces_are_read_as_far_as_they_go() {
    let dir = crate::tests_support::scratch();
    let path = fixture(dir.path(), "dd");
    let stream = path.join("kernel/ch_0");
    let whole = fs::read(&stream).unwrap();
    let count = |trace: &Trace| {
        let mut events = 0;
        let counts = trace.read(|item| {
            events += u64::from(matches!(item, Item::Event(_)));
            Ok::<(), Error>(())
        });
        (events, counts.unwrap().damage)
    };
    let (all, none) = count(&Trace::open(&path).unwrap());
    assert!(none.is_empty());
    let mut last = 0;
    for len in (0..whole.len()).step_by(4093) {
        fs::write(&stream, &whole[..len]).unwrap();
        let (events, damage) = count(&Trace::open(&path).unwrap());
        assert!(
            events >= last && events <= all && damage.iter().all(|d| d.contains("ch_0")),
            "{len}: {damage:?}"
        );
        last = events;
    }
    for at in (0..whole.len()).step_by(1009) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        fs::write(&stream, &flipped).unwrap();
        count(&Trace::open(&path).unwrap());
    }
    // The metadata, cut anywhere, is refused or read; it is never more than a message.
    fs::write(&stream, &whole).unwrap();
    let metadata = path.join("kernel/metadata");
    let whole = fs::read(&metadata).unwrap();
    for len in (0..whole.len()).step_by(40_009) {
        fs::write(&metadata, &whole[..len]).unwrap();
        if let Err(e) = Trace::open(&path) {
            assert!(e.to_string().contains("is not a CTF trace"), "{e}");
        }
    }
}
