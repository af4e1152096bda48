//! Makes the records of a call.

use super::Exporter;
use crate::dataseries::export::fields::{
    Numbers, RecordedTimes, STAT_FIELDS, STATFS_FIELDS, node_type, recorded_times, struct_to_fields,
};
use crate::dataseries::export::lower::{LIMIT, lacks_payload};
use crate::dataseries::records::arguments::{Meaning, PREFIX, RECORDS, RecordMap, WITH_FLAGS};
use abi::Kind;
use abi::layout::{STAT, STATFS};
use dataseries_file::{Field, FieldType};
use std::io;
use std::sync::Arc;
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Payload};

/// The most unknown bytes that are written as zeros, as the original replayer needs all bytes that
/// the call moved. If more are unknown, the record has none.
pub(crate) const FILLED: usize = 4 << 20;
/// The kernel takes no more buffers in a call.
const BUFFERS: u64 = 1024;
const LOCK_FIELDS: [(&str, &str); 5] = [
    ("lock_type", "l_type"),
    ("lock_whence", "l_whence"),
    ("lock_start", "l_start"),
    ("lock_length", "l_len"),
    ("lock_pid", "l_pid"),
];

/// The records of a call, without what all records have.
pub(crate) enum Records {
    /// One record.
    Single(RecordFields),
    /// A header, and one record for each buffer.
    Vector,
    /// The path, the strings one by one, and the end.
    Exec,
}

#[derive(Default)]
pub(crate) struct RecordFields {
    name: &'static str,
    numbers: Numbers,
    held: Vec<(&'static str, Vec<u8>)>,
    /// Whether all bytes are known.
    whole: bool,
    /// Whether too many are unknown.
    bare: bool,
}

/// Returns the record type for a call, and the field for flags that only newer calls have.
fn record_map(name: &str) -> Option<(&'static RecordMap, Option<Meaning>)> {
    let map = |name: &str| RECORDS.iter().find(|m| m.name == name);
    if let Some((older, _, part)) = WITH_FLAGS.iter().find(|(_, newer, _)| *newer == name) {
        return Some((map(older)?, Some(*part)));
    }
    let exact =
        |m: &&RecordMap| m.call == name && (m.name == name || !matches!(m.name, "recv" | "send"));
    Some((RECORDS.iter().find(exact)?, None))
}

/// Returns the records of a call. Returns `None` if DataSeries has no record that can hold it.
pub(crate) fn records_of(call: &Call) -> Option<Records> {
    let name = abi::by_number(call.nr)?.name();
    let known_vectors = || {
        let count = call.args[2];
        !call.moves_data() || count <= BUFFERS
    };
    match name {
        "readv" | "writev" | "sendmsg" | "recvmsg" => {
            return known_vectors().then_some(Records::Vector);
        }
        "execve" => return Some(Records::Exec),
        _ => {}
    }
    let (map, flags) = record_map(name)?;
    let mut one = RecordFields { name: map.name, whole: true, ..RecordFields::default() };
    for part in map.parts.iter().copied().chain(flags) {
        one.add_part(call, part)?;
    }
    match map.name {
        "mknod" | "mknodat" => {
            let mode = call.args[usize::from(map.name == "mknodat") + 1];
            one.numbers.push(("type", node_type(mode)));
        }
        "flock" => one.numbers.push(("operation", call.args[1].cast_signed() & 0xff)),
        "getrlimit" | "setrlimit" => {
            one.numbers.push(("resource", call.args[0].cast_signed() & 0xff));
        }
        _ => {}
    }
    Some(Records::Single(one))
}

trait Rows {
    fn moves_data(&self) -> bool;
}

impl Rows for Call {
    /// Returns whether the call reads or writes data.
    fn moves_data(&self) -> bool {
        self.spec().is_some_and(|s| s.uses.moves_data)
    }
}

impl RecordFields {
    /// Adds the fields that express one part of a call. Returns `None` if it cannot be expressed.
    fn add_part(&mut self, call: &Call, part: Meaning) -> Option<()> {
        let kind = |arg: usize| call.spec().and_then(|s| s.args.get(arg)).map(|a| a.kind);
        match part {
            Meaning::Number(arg, field) => {
                // An address in 32 bits is none; what it points to has fields of its own.
                let pointer = kind(arg).is_some_and(Kind::is_followed);
                if !pointer || field == "parameter" {
                    self.numbers.push((field, call.args[arg].cast_signed()));
                }
            }
            Meaning::Text(arg, field) => match call.string(arg as u8) {
                Some(text) => self.held.push((field, [text, &[0]].concat())),
                // There was a string, and it is unknown.
                None if call.args[arg] != 0 => self.held.push((field, Vec::new())),
                None => {}
            },
            Meaning::Data(arg, field) if call.succeeded() => self.add_data(call, arg, field),
            Meaning::Data(..) => {}
            Meaning::Before(arg, field) => {
                if kind(arg).is_some_and(|kind| lacks_payload(call, arg, kind)) {
                    return None;
                }
                self.held.push((field, join_payloads(call, arg, PayloadKind::Bytes, Some(false))));
            }
            Meaning::After(arg, field) => {
                let after = join_payloads(call, arg, PayloadKind::Bytes, Some(true));
                if field == "sockaddr_buffer" {
                    self.numbers.push(("sockaddr_length", after.len() as i64));
                }
                self.held.push((field, after));
            }
            Meaning::Dirents(arg, field) => {
                self.held.push((field, join_payloads(call, arg, PayloadKind::Bytes, Some(true))));
            }
            Meaning::Stat(arg) => {
                let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(true));
                struct_to_fields(&bytes, &STAT, "st_", STAT_FIELDS, &mut self.numbers);
            }
            Meaning::Statfs(arg) => {
                let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(true));
                struct_to_fields(&bytes, &STATFS, "f_", STATFS_FIELDS, &mut self.numbers);
            }
            Meaning::Pair(arg) => {
                let pair = join_payloads(call, arg, PayloadKind::Bytes, Some(true));
                let fd = |at: usize| {
                    let bytes = pair.get(at..at + 4).and_then(|b| b.try_into().ok());
                    i64::from(bytes.map_or(-1, i32::from_le_bytes))
                };
                self.numbers.extend([("read_descriptor", fd(0)), ("write_descriptor", fd(4))]);
            }
            Meaning::Times(arg, form) => {
                if call.args[arg] == 0 {
                    return Some(());
                }
                match recorded_times(
                    &join_payloads(call, arg, PayloadKind::Bytes, Some(false)),
                    form,
                ) {
                    RecordedTimes::Times(times) => self.numbers.extend(times),
                    RecordedTimes::Now => {}
                    RecordedTimes::Beyond => return None,
                }
            }
            Meaning::Lock(arg) => return self.add_flock(call, arg, kind(arg)),
            Meaning::Limit(arg) => return self.add_rlimit(call, arg, kind(arg)),
            Meaning::Buffer(arg, field) => {
                return self.add_ioctl_buffer(call, arg, field, kind(arg));
            }
        }
        Some(())
    }

    /// Adds the data that a call moved, with zeros for a few bytes that were not captured.
    fn add_data(&mut self, call: &Call, arg: usize, field: &'static str) {
        let mut data = join_payloads(call, arg, PayloadKind::Data, None);
        let moved = call.ret.max(0).cast_unsigned();
        let missing = moved.saturating_sub(data.len() as u64);
        self.whole &= missing == 0;
        if missing > FILLED as u64 {
            self.bare = true;
        } else {
            data.resize(data.len().min(moved as usize) + missing as usize, 0);
            self.held.push((field, data));
        }
    }

    /// Adds the fields of a `struct rlimit`. Returns `None` if it was not captured although the
    /// call needs it.
    fn add_rlimit(&mut self, call: &Call, arg: usize, kind: Option<Kind>) -> Option<()> {
        let after = matches!(kind, Some(Kind::Out(..)));
        let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(after));
        if bytes.len() < LIMIT {
            return (after && !call.succeeded()).then_some(());
        }
        for (i, field) in ["resource_soft_limit", "resource_hard_limit"].iter().enumerate() {
            let word = bytes[8 * i..].first_chunk().map_or(0, |b| i64::from_le_bytes(*b));
            self.numbers.push((field, word));
        }
        Some(())
    }

    /// Adds the fields of a `struct flock`, whose numbers have 32 bits in DataSeries. The command
    /// takes no other pointer.
    fn add_flock(&mut self, call: &Call, arg: usize, kind: Option<Kind>) -> Option<()> {
        let Some(Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else {
            return kind.is_none_or(|k| !k.is_followed()).then_some(());
        };
        let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(false));
        for (field, name) in LOCK_FIELDS {
            let f = layout.fields.iter().find(|f| f.name == name)?;
            let (at, size) = (f.at as usize, usize::from(f.size));
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes.get(at..at + size)?);
            let value = match size {
                8 => i64::from_le_bytes(word),
                4 => i64::from(i64::from_le_bytes(word) as i32),
                _ => i64::from(i64::from_le_bytes(word) as i16),
            };
            self.numbers.push((field, i32::try_from(value).ok()?.into()));
        }
        Some(())
    }

    /// Adds the bytes that an ioctl's parameter points to.
    fn add_ioctl_buffer(
        &mut self,
        call: &Call,
        arg: usize,
        field: &'static str,
        kind: Option<Kind>,
    ) -> Option<()> {
        let Some(kind) = kind.filter(|k| k.is_followed()) else { return Some(()) };
        if lacks_payload(call, arg, kind) {
            return None;
        }
        let after = matches!(kind, Kind::Out(..));
        let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(after));
        if !bytes.is_empty() {
            self.numbers.push(("buffer_size", bytes.len() as i64));
            self.held.push((field, bytes));
        }
        Some(())
    }
}

impl Exporter {
    /// Writes the records of a call.
    pub(crate) fn write_records(&mut self, call: &Call, records: &Records) -> io::Result<()> {
        match records {
            Records::Single(one) => self.write_one(call, one),
            Records::Vector => self.write_vector(call),
            Records::Exec => self.write_exec(call),
        }
    }

    /// Writes a single record of a call.
    fn write_one(&mut self, call: &Call, one: &RecordFields) -> io::Result<()> {
        let mut values = self.common_fields(call, true);
        if !one.whole {
            values.push(("buffer_not_captured", Field::Bool(true)));
        }
        if one.bare {
            self.count_change(format!(
                "{} whose data were not recorded: the original replayer cannot perform them",
                one.name
            ));
        }
        values.extend(one.numbers.iter().map(|(field, v)| (*field, Field::Int(*v))));
        values.extend(one.held.iter().map(|(field, bytes)| (*field, Field::Bytes(bytes))));
        if one.name == "utimensat" {
            let given = join_payloads(call, 2, PayloadKind::Bytes, Some(false));
            let nanos = |i: usize| given.get(8 + 16 * i..)?.first_chunk().copied();
            let either = |wanted: u64| {
                (0..2).any(|i| nanos(i).is_some_and(|b| u64::from_le_bytes(b) == wanted))
            };
            use crate::dataseries::records::arguments::{UTIME_NOW, UTIME_OMIT};
            values.push(("utime_now", Field::Bool(either(UTIME_NOW))));
            values.push(("utime_omit", Field::Bool(either(UTIME_OMIT))));
        }
        let kind = self.writer.type_of(&format!("{PREFIX}{}", one.name)).map(Arc::clone);
        // Two calls may share a map whose type lacks a field of one of them.
        values.retain(|(field, value)| {
            kind.as_ref().is_some_and(|k| {
                k.field_index(field).is_some_and(|i| {
                    k.fields[i].kind != FieldType::Bool || matches!(value, Field::Bool(_))
                })
            })
        });
        self.write_record(one.name, values)
    }

    /// Writes a vectored call: a header, and a record for each buffer. They are in one extent, as
    /// the original replayer expects.
    fn write_vector(&mut self, call: &Call) -> io::Result<()> {
        let Some(spec) = call.spec() else { return Ok(()) };
        let name = spec.name;
        let message = !spec.uses.moves_data;
        let moved = call.ret.max(0);
        let vectors = join_payloads(call, 1, PayloadKind::Iovecs, None);
        let data = join_payloads(call, 1, PayloadKind::Data, None);
        let asked: Vec<u64> = vectors
            .chunks_exact(16)
            .map(|v| v[8..].try_into().map_or(0, u64::from_le_bytes))
            .collect();
        // Of a call that failed they are not known.
        let rows = if message { asked.len() } else { call.args[2] as usize };
        let mut values = self.common_fields(call, true);
        values.extend([("iov_number", Field::Int(-1)), ("bytes_requested", Field::Int(moved))]);
        values.push(("descriptor", Field::Int(call.args[0].cast_signed())));
        values.push(if message {
            ("flags_value", Field::Int(call.args[2].cast_signed()))
        } else {
            ("count", Field::Int(call.args[2].cast_signed()))
        });
        self.writer.begin_group();
        self.write_record(name, values)?;
        let reads = spec.args.iter().any(|a| matches!(a.kind, Kind::OutIov { .. } | Kind::OutMsg));
        let field = if reads { "iov_data_read" } else { "iov_data_written" };
        let (mut at, mut left, mut filled) = (0usize, moved.cast_unsigned(), 0usize);
        for i in 0..rows {
            let asked = asked.get(i).copied().unwrap_or(0);
            let due = asked.min(left);
            left -= due;
            let end = data.len().min(at.saturating_add(usize::try_from(due).unwrap_or(usize::MAX)));
            let mut bytes = data[at..end].to_vec();
            at = end;
            let mut values = self.common_fields(call, true);
            if (bytes.len() as u64) < due {
                values.push(("buffer_not_captured", Field::Bool(true)));
            }
            // The original replayer takes as many as were asked for.
            let missing = asked.saturating_sub(bytes.len() as u64);
            if missing <= (FILLED - filled) as u64 {
                filled += missing as usize;
                bytes.resize(bytes.len() + missing as usize, 0);
            }
            values.extend([
                ("iov_number", Field::Int(i as i64)),
                ("bytes_requested", Field::Int(i64::try_from(asked).unwrap_or(i64::MAX))),
                (field, Field::Bytes(&bytes)),
            ]);
            self.write_record(name, values)?;
        }
        self.writer.end_group(&format!("{PREFIX}{name}"))?;
        if message {
            self.count_ancillary(call);
        }
        Ok(())
    }

    /// Counts addresses and control data of a message, for which DataSeries has no fields.
    fn count_ancillary(&mut self, call: &Call) {
        for (kind, what) in
            [(PayloadKind::Name, "addresses"), (PayloadKind::Control, "control data")]
        {
            if call.payloads.iter().any(|p| p.kind == kind && p.len > 0) {
                let name = call.spec().map_or("messages", |s| s.name);
                *self.exported.lost.entry(format!("{what} of {name}")).or_default() += 1;
            }
        }
    }

    /// Writes an execve(2): records with the path, with each of the strings, and for the end.
    fn write_exec(&mut self, call: &Call) -> io::Result<()> {
        let path = [call.string(0).unwrap_or_default(), &[0]].concat();
        let mut number = 0;
        let mut values = self.common_fields(call, false);
        values.extend([
            ("continuation_number", Field::Int(0)),
            ("given_pathname", Field::Bytes(&path)),
        ]);
        self.writer.begin_group();
        self.write_record("execve", values)?;
        for (arg, field) in [(1, "argument"), (2, "environment")] {
            let texts = join_payloads(call, arg, PayloadKind::StrVec, None);
            for text in texts.split_inclusive(|b| *b == 0) {
                number += 1;
                let mut values = self.common_fields(call, false);
                values.extend([
                    ("continuation_number", Field::Int(number)),
                    (field, Field::Bytes(text)),
                ]);
                self.write_record("execve", values)?;
            }
        }
        let mut values = self.common_fields(call, true);
        values.push(("continuation_number", Field::Int(-1)));
        self.write_record("execve", values)?;
        self.writer.end_group(&format!("{PREFIX}execve"))
    }

    /// Writes data that the kernel moved from one file to another as a read and a write. Returns
    /// false if the data were not recorded or the call did something else.
    pub(crate) fn write_copy(&mut self, call: &Call) -> io::Result<bool> {
        let Some(copies) = call.spec().and_then(|s| s.copies).filter(|_| call.succeeded()) else {
            return Ok(false);
        };
        let moved = call.ret.max(0);
        let mut data = Vec::new();
        call.copied_payloads(&copies).for_each(|p| data.extend_from_slice(p.bytes.as_slice()));
        let numbers = |end: abi::CopyEnd| {
            !matches!(end.at, abi::CopyOffset::Field { .. } | abi::CopyOffset::Start)
        };
        if call.spec().is_none_or(|s| s.ret != abi::Ret::Bytes)
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
            let offset = call.copy_offset(end.at);
            let mut values = self.common_fields(call, true);
            values.extend([
                ("descriptor", Field::Int(call.args[usize::from(end.fd)].cast_signed())),
                ("bytes_requested", Field::Int(moved)),
                (field, Field::Bytes(&data)),
            ]);
            values.extend(offset.map(|o| ("offset", Field::Int(o.cast_signed()))));
            self.write_record(if offset.is_some() { positioned } else { plain }, values)?;
        }
        Ok(true)
    }
}

/// Returns the bytes of all payloads of an argument. `after` selects those captured after the call
/// or before it; `None` selects both.
fn join_payloads(call: &Call, arg: usize, kind: PayloadKind, after: Option<bool>) -> Vec<u8> {
    let wanted = |p: &&Payload| {
        usize::from(p.arg) == arg
            && p.kind == kind
            && after.is_none_or(|a| (p.flags & AT_EXIT != 0) == a)
    };
    let mut all = Vec::new();
    call.payloads.iter().filter(wanted).for_each(|p| all.extend_from_slice(p.bytes.as_slice()));
    all
}
