//! A DataSeries file out of a trace, as the original library would have written it, but for its faults: flags, times of stat and bytes of attributes are right.
//!
//! `unique_id` counts records in the order in which calls returned, except that a call which makes a thread comes before that thread's calls: the original replayer wants it.

use super::rows::{MAPS, Map, PREFIX, Part, Times};
use super::schema;
use super::types::FieldType;
use super::write::{Field, Writer};
use crate::Error;
use crate::export::{Exported, create};
use abi::layout::{STAT, STATFS};
use abi::{Effect, Layout};
use ahash::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use trace::record::{AT_EXIT, PieceKind, RecordKind};
use trace::world::{Moment, Timeline};
use trace::{Call, Piece, Trace, Want};

const RENAME_NOREPLACE: u64 = 1;
const AT_FDCWD: i32 = abi::AT_FDCWD;

/// Writes `trace` into the new file `to`. `progress`: calls done, of how many.
pub fn export(
    trace: &Trace,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, Error> {
    let written = |e| Error::io("write", to)(e);
    let file = create(to)?;
    let descriptions: Vec<String> = schema::types().into_iter().map(|(_, xml)| xml).collect();
    let writer =
        Writer::new(BufWriter::with_capacity(1 << 20, file), &descriptions).map_err(written)?;
    let mut giving = Giving {
        writer,
        clock_offset: trace.about().clock_offset,
        next: 1,
        flags: schema::flags(),
        begun: false,
    };
    let mut exported = Exported::default();
    let all = trace.summary().calls;
    let mut early: HashSet<usize> = HashSet::default();
    for moment in Timeline::new(trace.read(Want { data: true })) {
        let call = match moment? {
            Moment::Event(event) => {
                if event.kind == RecordKind::State {
                    giving.begin(event.tid, event.args[0], event.time).map_err(written)?;
                }
                continue;
            }
            Moment::Enter(place, call) => {
                giving.begin(call.tid, 0o022, call.entered).map_err(written)?;
                if !call.shape().is_some_and(|s| s.effect == Effect::Fork) {
                    continue;
                }
                early.insert(place);
                call
            }
            Moment::Leave(place, call) | Moment::Lost(place, call) => {
                if early.remove(&place) {
                    continue;
                }
                call
            }
        };
        let name = abi::by_number(call.nr)
            .map_or_else(|| format!("syscall_{}", call.nr), |row| row.name().to_owned());
        if giving.call(&name, &call).map_err(written)? {
            exported.calls += 1;
        } else if giving.copy(&call).map_err(written)? {
            exported.calls += 1;
            *exported.changed.entry(format!("{name} as a read and a write")).or_default() += 1;
        } else {
            *exported.lost.entry(name).or_default() += 1;
        }
        if exported.calls.is_multiple_of(4096) {
            progress(exported.calls, all);
        }
    }
    giving.begin(1, 0o022, 0).map_err(written)?;
    giving.writer.finish().map_err(written)?;
    Ok(exported)
}

struct Giving {
    writer: Writer<BufWriter<File>>,
    clock_offset: i64,
    next: i64,
    flags: HashMap<&'static str, Vec<&'static str>>,
    /// The first record is written.
    begun: bool,
}

type Values<'a> = Vec<(&'static str, Field<'a>)>;

impl Giving {
    /// The first record of every file says the umask.
    fn begin(&mut self, tid: u32, umask: u64, time: u64) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let time = self.time(time);
        let number = |v: i64| Field::Int(v);
        let mut values = vec![
            ("mode_value", number(umask as i64 & 0o777)),
            ("return_value", number(0)),
            ("errno_number", number(0)),
            ("unique_id", number(0)),
        ];
        values.extend([
            ("time_called", number(time)),
            ("time_recorded", number(time)),
            ("time_returned", number(time)),
        ]);
        values
            .extend([("executing_pid", number(tid.into())), ("executing_tid", number(tid.into()))]);
        self.put("umask", values)
    }

    /// Nanoseconds since 1970.
    fn time(&self, t: u64) -> i64 {
        t.saturating_add_signed(self.clock_offset) as i64
    }

    fn common(&mut self, call: &Call, result: bool) -> Values<'static> {
        let left = call.left.unwrap_or(call.entered);
        let mut values = vec![
            ("time_called", Field::Int(self.time(call.entered))),
            ("time_recorded", Field::Int(self.time(left))),
            ("executing_pid", Field::Int(call.tid.into())),
            ("executing_tid", Field::Int(call.tid.into())),
            ("unique_id", Field::Int(self.next)),
        ];
        self.next += 1;
        if result && call.returned() {
            let errno = call.errno();
            values.push(("time_returned", Field::Int(self.time(left))));
            values.push(("return_value", Field::Int(errno.map_or(call.ret, |_| -1))));
            values.push(("errno_number", Field::Int(errno.unwrap_or(0).into())));
        }
        values
    }

    /// Adds the flags and writes the record.
    fn put(&mut self, name: &str, mut values: Values<'_>) -> io::Result<()> {
        for flag in self.flags.get(name).into_iter().flatten() {
            let number = |field: &str| {
                values.iter().find_map(|(n, v)| {
                    if let Field::Int(v) = v { Some(*v).filter(|_| *n == field) } else { None }
                })
            };
            let set = *flag == "generated" || schema::flag(flag, number);
            values.push((flag, Field::Bool(set)));
        }
        self.writer.record(&format!("{PREFIX}{name}"), &values)
    }

    /// Writes a call; false: DataSeries has nothing for it.
    fn call(&mut self, name: &str, call: &Call) -> io::Result<bool> {
        if call.flags & trace::record::COMPAT != 0 {
            return Ok(false);
        }
        match name {
            "readv" | "writev" => return self.vector(name, call).map(|()| true),
            "execve" => return self.exec(call).map(|()| true),
            _ => {}
        }
        let Some((map, args)) = known(name, call) else { return Ok(false) };
        let exits =
            matches!(call.shape().map(|s| s.effect), Some(Effect::Exit | Effect::ExitGroup));
        if !call.returned() && !exits {
            return Ok(false);
        }
        let mut values = self.common(call, true);
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        let mut numbers: Vec<(&'static str, i64)> = Vec::new();
        let mut held: Vec<(&'static str, usize)> = Vec::new();
        let mut whole = true;
        for part in map.parts {
            let mut keep = |field, b: Vec<u8>| {
                held.push((field, bytes.len()));
                bytes.push(b);
            };
            match *part {
                Part::Number(arg, field) => numbers.push((field, args[arg].cast_signed())),
                Part::Text(arg, field) => {
                    match call.string(arg as u8) {
                        Some(text) => keep(field, [text, &[0]].concat()),
                        // There was one, and nobody knows it.
                        None if args[arg] != 0 => keep(field, Vec::new()),
                        None => {}
                    }
                }
                Part::Data(arg, field) if call.succeeded() => {
                    let mut data = joined(call, arg, PieceKind::Data, None);
                    let wanted = call.ret.max(0) as usize;
                    whole &= data.len() >= wanted;
                    // The original replayer copies as many as the result says.
                    data.resize(wanted, 0);
                    keep(field, data);
                }
                Part::Data(..) => {}
                Part::Before(arg, field) => {
                    keep(field, joined(call, arg, PieceKind::Bytes, Some(false)))
                }
                Part::After(arg, field) => {
                    let after = joined(call, arg, PieceKind::Bytes, Some(true));
                    if field == "sockaddr_buffer" {
                        numbers.push(("sockaddr_length", after.len() as i64));
                    }
                    keep(field, after);
                }
                Part::Stat(arg) => structure(call, arg, &STAT, "st_", &STAT_FIELDS, &mut numbers),
                Part::Statfs(arg) => {
                    structure(call, arg, &STATFS, "f_", &STATFS_FIELDS, &mut numbers)
                }
                Part::Pair(arg) => {
                    let pair = joined(call, arg, PieceKind::Bytes, Some(true));
                    let fd = |at: usize| {
                        pair.get(at..at + 4)
                            .and_then(|b| b.try_into().ok())
                            .map_or(-1, i32::from_le_bytes)
                    };
                    numbers.extend([
                        ("read_descriptor", fd(0).into()),
                        ("write_descriptor", fd(4).into()),
                    ]);
                }
                Part::Times(arg, form) => {
                    let times = joined(call, arg, PieceKind::Bytes, Some(false));
                    numbers
                        .extend(["access_time", "mod_time"].into_iter().zip(moments(&times, form)));
                }
            }
        }
        match map.name {
            "mknod" | "mknodat" => {
                numbers.push(("type", node_type(args[usize::from(map.name == "mknodat") + 1])))
            }
            "flock" => numbers.push(("operation", args[1].cast_signed() & 0xff)),
            "getrlimit" | "setrlimit" => numbers.push(("resource", args[0].cast_signed() & 0xff)),
            _ => {}
        }
        if !whole {
            values.push(("buffer_not_captured", Field::Bool(true)));
        }
        values.extend(numbers.iter().map(|(field, v)| (*field, Field::Int(*v))));
        values.extend(held.iter().map(|(field, i)| (*field, Field::Bytes(&bytes[*i]))));
        let kind = self.writer.kind(&format!("{PREFIX}{}", map.name)).map(Arc::clone);
        // Two calls may share a map whose type lacks a field of one of them.
        values.retain(|(field, _)| {
            kind.as_ref().is_some_and(|k| {
                k.position(field).is_some_and(|i| {
                    k.fields[i].kind != FieldType::Bool || *field == "buffer_not_captured"
                })
            })
        });
        self.put(map.name, values)?;
        Ok(true)
    }

    /// Data that the kernel moved from one file to another are as if the program had read and written them; false: they are not there, or it did something else.
    fn copy(&mut self, call: &Call) -> io::Result<bool> {
        let Some(copies) = call.shape().and_then(|s| s.copies).filter(|_| call.succeeded()) else {
            return Ok(false);
        };
        let moved = call.ret.max(0);
        let mut data = Vec::new();
        call.copied(&copies).for_each(|p| data.extend_from_slice(p.bytes.as_slice()));
        let numbers = |end: abi::End| !matches!(end.at, abi::At::Field { .. } | abi::At::Start);
        if call.shape().is_none_or(|s| s.ret != abi::Ret::Bytes)
            || data.len() as i64 != moved
            || !numbers(copies.from)
            || !numbers(copies.to)
        {
            return Ok(false);
        }
        for (end, plain, positioned, field) in [
            (copies.from, "read", "pread", "data_read"),
            (copies.to, "write", "pwrite", "data_written"),
        ] {
            let offset = call.pointed(end.at);
            let mut values = self.common(call, true);
            values.extend([
                ("descriptor", Field::Int(call.args[usize::from(end.fd)].cast_signed())),
                ("bytes_requested", Field::Int(moved)),
                (field, Field::Bytes(&data)),
            ]);
            values.extend(offset.map(|o| ("offset", Field::Int(o.cast_signed()))));
            self.put(if offset.is_some() { positioned } else { plain }, values)?;
        }
        Ok(true)
    }

    /// A header, and a record for each buffer.
    fn vector(&mut self, name: &str, call: &Call) -> io::Result<()> {
        let mut values = self.common(call, true);
        let moved = call.ret.max(0);
        values.extend(
            [
                ("descriptor", call.args[0].cast_signed()),
                ("count", call.args[2].cast_signed()),
                ("iov_number", -1),
                ("bytes_requested", moved),
            ]
            .map(|(f, v)| (f, Field::Int(v))),
        );
        let vectors = joined(call, 1, PieceKind::Iovecs, None);
        let data = joined(call, 1, PieceKind::Data, None);
        if (data.len() as i64) < moved {
            values.push(("buffer_not_captured", Field::Bool(true)));
        }
        self.put(name, values)?;
        let field = if name == "readv" { "iov_data_read" } else { "iov_data_written" };
        let mut at = 0usize;
        for (i, vector) in vectors.chunks_exact(16).enumerate() {
            let asked = vector[8..].try_into().map_or(0, u64::from_le_bytes) as usize;
            let end = at.saturating_add(asked).min(data.len());
            let mut values = self.common(call, true);
            values.extend([
                ("iov_number", Field::Int(i as i64)),
                ("bytes_requested", Field::Int((end - at) as i64)),
                (field, Field::Bytes(&data[at..end])),
            ]);
            self.put(name, values)?;
            at = end;
        }
        Ok(())
    }

    /// The path, the strings one by one, and the end.
    fn exec(&mut self, call: &Call) -> io::Result<()> {
        let path = [call.string(0).unwrap_or_default(), &[0]].concat();
        let mut number = 0;
        let mut values = self.common(call, false);
        values.extend([
            ("continuation_number", Field::Int(0)),
            ("given_pathname", Field::Bytes(&path)),
        ]);
        self.put("execve", values)?;
        for (arg, field) in [(1, "argument"), (2, "environment")] {
            let texts = joined(call, arg, PieceKind::StrVec, None);
            for text in texts.split_inclusive(|b| *b == 0) {
                number += 1;
                let mut values = self.common(call, false);
                values.extend([
                    ("continuation_number", Field::Int(number)),
                    (field, Field::Bytes(text)),
                ]);
                self.put("execve", values)?;
            }
        }
        let mut values = self.common(call, true);
        values.push(("continuation_number", Field::Int(-1)));
        self.put("execve", values)
    }
}

/// The record for a call, and its arguments there. Newer calls go as the older ones that do the same.
fn known(name: &str, call: &Call) -> Option<(&'static Map, [u64; 6])> {
    let a = call.args;
    let here = |arg: usize| a[arg] as i32 == AT_FDCWD;
    let (name, args) = match name {
        "clone3" => ("clone", [call.word(0, 0), 0, 0, 0, 0, 0]),
        "pipe2" if a[1] == 0 => ("pipe", a),
        "faccessat2" if a[3] == 0 => ("faccessat", a),
        "fchmodat2" if a[3] == 0 => ("fchmodat", a),
        "exit_group" => ("exit", a),
        "renameat" if here(0) && here(2) => ("renameat", a),
        // Where it succeeded, nothing was there to be replaced.
        "renameat2"
            if here(0)
                && here(2)
                && (a[4] == 0 || a[4] == RENAME_NOREPLACE && call.succeeded()) =>
        {
            ("renameat", a)
        }
        name => (name, a),
    };
    if name == "renameat" {
        return Some((&RENAME, args));
    }
    let exact = MAPS
        .iter()
        .find(|m| m.call == name && (m.name == name || !matches!(m.name, "recv" | "send")));
    exact.map(|m| (m, args))
}

/// `renameat` between names that start from the working directory is `rename`.
const RENAME: Map = Map {
    name: "rename",
    call: "renameat",
    parts: &[Part::Text(1, "given_oldname"), Part::Text(3, "given_newname")],
};

fn joined(call: &Call, arg: usize, kind: PieceKind, after: Option<bool>) -> Vec<u8> {
    let wanted = |p: &&Piece| {
        usize::from(p.arg) == arg
            && p.kind == kind
            && after.is_none_or(|a| (p.flags & AT_EXIT != 0) == a)
    };
    let mut all = Vec::new();
    call.pieces.iter().filter(wanted).for_each(|p| all.extend_from_slice(p.bytes.as_slice()));
    all
}

/// The fields of records that tell of a struct, with those of the struct.
const STAT_FIELDS: [(&str, &str); 13] = [
    ("stat_result_dev", "dev"),
    ("stat_result_ino", "ino"),
    ("stat_result_mode", "mode"),
    ("stat_result_nlink", "nlink"),
    ("stat_result_uid", "uid"),
    ("stat_result_gid", "gid"),
    ("stat_result_rdev", "rdev"),
    ("stat_result_size", "size"),
    ("stat_result_blksize", "blksize"),
    ("stat_result_blocks", "blocks"),
    ("stat_result_atime", "atime"),
    ("stat_result_mtime", "mtime"),
    ("stat_result_ctime", "ctime"),
];
const STATFS_FIELDS: [(&str, &str); 11] = [
    ("statfs_result_type", "type"),
    ("statfs_result_bsize", "bsize"),
    ("statfs_result_blocks", "blocks"),
    ("statfs_result_bfree", "bfree"),
    ("statfs_result_bavail", "bavail"),
    ("statfs_result_files", "files"),
    ("statfs_result_ffree", "ffree"),
    ("statfs_result_fsid", "fsid"),
    ("statfs_result_namelen", "namelen"),
    ("statfs_result_frsize", "frsize"),
    ("statfs_result_flags", "flags"),
];

fn structure(
    call: &Call,
    arg: usize,
    layout: &Layout,
    prefix: &str,
    fields: &[(&'static str, &str)],
    numbers: &mut Vec<(&'static str, i64)>,
) {
    let bytes = joined(call, arg, PieceKind::Bytes, Some(true));
    let word = |name: &str| {
        let f = layout.fields.iter().find(|f| f.name.strip_prefix(prefix) == Some(name))?;
        let mut word = [0; 8];
        let size = usize::from(f.size).min(8);
        word[..size].copy_from_slice(bytes.get(f.at as usize..f.at as usize + size)?);
        Some(u64::from_le_bytes(word))
    };
    for (field, name) in fields {
        let value = match word(&format!("{name}_nsec")) {
            Some(ns) => word(name).map(|s| tfrac(s, ns)),
            None => word(name).map(u64::cast_signed),
        };
        numbers.extend(value.map(|v| (*field, v)));
    }
}

/// A time in 2^-32 s.
fn tfrac(seconds: u64, nanos: u64) -> i64 {
    ((seconds << 32) | ((nanos << 32) / 1_000_000_000).min(u64::from(u32::MAX))).cast_signed()
}

fn moments(bytes: &[u8], form: Times) -> Vec<i64> {
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|b| b.try_into().map_or(0, u64::from_le_bytes)).collect();
    match form {
        Times::Seconds => words.iter().map(|s| tfrac(*s, 0)).collect(),
        Times::Micros => words.chunks_exact(2).map(|w| tfrac(w[0], w[1] * 1000)).collect(),
        Times::Nanos => words.chunks_exact(2).map(|w| tfrac(w[0], w[1])).collect(),
    }
}

fn node_type(mode: u64) -> i64 {
    match mode & 0o170_000 {
        0o020_000 => 1,
        0o060_000 => 2,
        0o010_000 => 3,
        0o140_000 => 4,
        _ => 0,
    }
}
