//! Makes the records of a call.

use super::Exporter;
use crate::dataseries::export::fields::{
    NumberFields, RecordedTimes, STAT_FIELDS, STATFS_FIELDS, node_type, recorded_times,
    struct_to_fields,
};
use crate::dataseries::export::lower::{RLIMIT_SIZE, lacks_payload};
use crate::dataseries::records::arguments::{Meaning, PREFIX, RECORDS, RecordMap, WITH_FLAGS};
use abi::Kind;
use abi::layout::{STAT, STATFS};
use dataseries_file::{FieldType, FieldValue};
use std::io;
use std::sync::Arc;
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Payload};

/// The most bytes that are written as zeros where the trace lacks the data, as the original
/// replayer needs all bytes that the call moved. If more are unknown, the record has no data.
pub(crate) const MAX_ZEROS: usize = 4 << 20;
/// The most buffers that the kernel takes in a call (`UIO_MAXIOV`).
const MAX_BUFFERS: u64 = 1024;
/// Fields of a record, and of the `struct flock` that they come from.
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

/// The fields of a single record.
#[derive(Default)]
pub(crate) struct RecordFields {
    /// The last part of the record type's name.
    name: &'static str,
    numbers: NumberFields,
    /// Fields that hold bytes: their names and values.
    byte_fields: Vec<(&'static str, Vec<u8>)>,
    /// Whether the trace has all bytes that the call moved.
    has_all_data: bool,
    /// Whether the data were left out, as more than [`MAX_ZEROS`] bytes are unknown.
    data_left_out: bool,
}

/// Returns the record type for the call of this name, and the field for the flags if only a newer
/// version of the call has flags. Returns `None` if there is no such type.
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
    let is_valid_count = || {
        let buffer_count = call.args[2];
        !call.moves_data() || buffer_count <= MAX_BUFFERS
    };
    match name {
        "readv" | "writev" | "sendmsg" | "recvmsg" => {
            return is_valid_count().then_some(Records::Vector);
        }
        "execve" => return Some(Records::Exec),
        _ => {}
    }
    let (map, flags) = record_map(name)?;
    let mut record = RecordFields { name: map.name, has_all_data: true, ..RecordFields::default() };
    for part in map.parts.iter().copied().chain(flags) {
        record.add_part(call, part)?;
    }
    match map.name {
        "mknod" | "mknodat" => {
            let mode = call.args[usize::from(map.name == "mknodat") + 1];
            record.numbers.push(("type", node_type(mode)));
        }
        "flock" => record.numbers.push(("operation", call.args[1].cast_signed() & 0xff)),
        "getrlimit" | "setrlimit" => {
            record.numbers.push(("resource", call.args[0].cast_signed() & 0xff));
        }
        _ => {}
    }
    Some(Records::Single(record))
}

trait MovesData {
    /// Returns whether the call reads or writes data.
    fn moves_data(&self) -> bool;
}

impl MovesData for Call {
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
                // Most fields for pointers have 32 bits, too few for an address; what it points to
                // has fields of its own.
                let pointer = kind(arg).is_some_and(Kind::is_followed);
                if !pointer || field == "parameter" {
                    self.numbers.push((field, call.args[arg].cast_signed()));
                }
            }
            Meaning::Text(arg, field) => match call.string(arg as u8) {
                Some(text) => self.byte_fields.push((field, [text, &[0]].concat())),
                // The call had a string that was not captured.
                None if call.args[arg] != 0 => self.byte_fields.push((field, Vec::new())),
                None => {}
            },
            Meaning::Data(arg, field) if call.succeeded() => self.add_data(call, arg, field),
            Meaning::Data(..) => {}
            Meaning::Before(arg, field) => {
                if kind(arg).is_some_and(|kind| lacks_payload(call, arg, kind)) {
                    return None;
                }
                self.byte_fields
                    .push((field, join_payloads(call, arg, PayloadKind::Bytes, Some(false))));
            }
            Meaning::After(arg, field) => {
                let after = join_payloads(call, arg, PayloadKind::Bytes, Some(true));
                if field == "sockaddr_buffer" {
                    self.numbers.push(("sockaddr_length", after.len() as i64));
                }
                self.byte_fields.push((field, after));
            }
            Meaning::Dirents(arg, field) => {
                self.byte_fields
                    .push((field, join_payloads(call, arg, PayloadKind::Bytes, Some(true))));
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
                    RecordedTimes::NotExpressible => return None,
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

    /// Adds the data that a call moved, with zeros for bytes that were not captured, or none if
    /// these are too many.
    fn add_data(&mut self, call: &Call, arg: usize, field: &'static str) {
        let mut data = join_payloads(call, arg, PayloadKind::Data, None);
        let moved = call.ret.max(0).cast_unsigned();
        let unknown = moved.saturating_sub(data.len() as u64);
        self.has_all_data &= unknown == 0;
        if unknown > MAX_ZEROS as u64 {
            self.data_left_out = true;
        } else {
            data.resize(data.len().min(moved as usize) + unknown as usize, 0);
            self.byte_fields.push((field, data));
        }
    }

    /// Adds the fields of a `struct rlimit`. Returns `None` if it was not captured although the
    /// call needs it.
    fn add_rlimit(&mut self, call: &Call, arg: usize, kind: Option<Kind>) -> Option<()> {
        let after = matches!(kind, Some(Kind::Out(..)));
        let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(after));
        if bytes.len() < RLIMIT_SIZE {
            return (after && !call.succeeded()).then_some(());
        }
        for (i, field) in ["resource_soft_limit", "resource_hard_limit"].iter().enumerate() {
            let word = bytes[8 * i..].first_chunk().map_or(0, |b| i64::from_le_bytes(*b));
            self.numbers.push((field, word));
        }
        Some(())
    }

    /// Adds the fields of a `struct flock`, whose numbers have 32 bits in DataSeries. Does nothing
    /// if the argument is no pointer. Returns `None` if the fields cannot be expressed, or the
    /// argument points to something else.
    fn add_flock(&mut self, call: &Call, arg: usize, kind: Option<Kind>) -> Option<()> {
        let Some(Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else {
            return kind.is_none_or(|k| !k.is_followed()).then_some(());
        };
        let bytes = join_payloads(call, arg, PayloadKind::Bytes, Some(false));
        for (field, name) in LOCK_FIELDS {
            let field_layout = layout.fields.iter().find(|field| field.name == name)?;
            let (offset, size) = (field_layout.at as usize, usize::from(field_layout.size));
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes.get(offset..offset + size)?);
            let value = match size {
                8 => i64::from_le_bytes(word),
                4 => i64::from(i64::from_le_bytes(word) as i32),
                _ => i64::from(i64::from_le_bytes(word) as i16),
            };
            self.numbers.push((field, i32::try_from(value).ok()?.into()));
        }
        Some(())
    }

    /// Adds the bytes that an ioctl's parameter points to. Returns `None` if they were not captured
    /// although the call needs them.
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
            self.byte_fields.push((field, bytes));
        }
        Some(())
    }
}

impl Exporter {
    /// Writes the records of a call.
    pub(crate) fn write_records(&mut self, call: &Call, records: &Records) -> io::Result<()> {
        match records {
            Records::Single(record) => self.write_single(call, record),
            Records::Vector => self.write_vector(call),
            Records::Exec => self.write_exec(call),
        }
    }

    /// Writes a single record of a call.
    fn write_single(&mut self, call: &Call, record: &RecordFields) -> io::Result<()> {
        let mut values = self.common_fields(call, true);
        if !record.has_all_data {
            values.push(("buffer_not_captured", FieldValue::Bool(true)));
        }
        if record.data_left_out {
            self.count_change(format!(
                "{} whose data were not recorded: the original replayer cannot perform them",
                record.name
            ));
        }
        values.extend(record.numbers.iter().map(|(field, v)| (*field, FieldValue::Int(*v))));
        values.extend(
            record.byte_fields.iter().map(|(field, bytes)| (*field, FieldValue::Bytes(bytes))),
        );
        if record.name == "utimensat" {
            let times = join_payloads(call, 2, PayloadKind::Bytes, Some(false));
            let nanos = |i: usize| times.get(8 + 16 * i..)?.first_chunk().copied();
            let has_special = |wanted: u64| {
                (0..2).any(|i| nanos(i).is_some_and(|b| u64::from_le_bytes(b) == wanted))
            };
            use crate::dataseries::records::arguments::{UTIME_NOW, UTIME_OMIT};
            values.push(("utime_now", FieldValue::Bool(has_special(UTIME_NOW))));
            values.push(("utime_omit", FieldValue::Bool(has_special(UTIME_OMIT))));
        }
        let record_type = self.writer.type_of(&format!("{PREFIX}{}", record.name)).map(Arc::clone);
        // Two calls may share a map whose type lacks a field of one of them.
        values.retain(|(field, value)| {
            record_type.as_ref().is_some_and(|record_type| {
                record_type.field_index(field).is_some_and(|i| {
                    record_type.fields[i].field_type != FieldType::Bool
                        || matches!(value, FieldValue::Bool(_))
                })
            })
        });
        self.write_record(record.name, values)
    }

    /// Writes a vectored call: a header, and a record for each buffer. They are in one extent, as
    /// the original replayer expects.
    fn write_vector(&mut self, call: &Call) -> io::Result<()> {
        let Some(spec) = call.spec() else { return Ok(()) };
        let name = spec.name;
        let is_message = !spec.uses.moves_data;
        let moved = call.ret.max(0);
        let vectors = join_payloads(call, 1, PayloadKind::Iovecs, None);
        let data = join_payloads(call, 1, PayloadKind::Data, None);
        let requested: Vec<u64> = vectors
            .chunks_exact(16)
            .map(|v| v[8..].try_into().map_or(0, u64::from_le_bytes))
            .collect();
        // The buffers of a call that failed are not in the trace.
        let rows = if is_message { requested.len() } else { call.args[2] as usize };
        let mut values = self.common_fields(call, true);
        values.extend([
            ("iov_number", FieldValue::Int(-1)),
            ("bytes_requested", FieldValue::Int(moved)),
        ]);
        values.push(("descriptor", FieldValue::Int(call.args[0].cast_signed())));
        values.push(if is_message {
            ("flags_value", FieldValue::Int(call.args[2].cast_signed()))
        } else {
            ("count", FieldValue::Int(call.args[2].cast_signed()))
        });
        self.writer.begin_group();
        self.write_record(name, values)?;
        let reads = spec.args.iter().any(|a| matches!(a.kind, Kind::OutIov { .. } | Kind::OutMsg));
        let field = if reads { "iov_data_read" } else { "iov_data_written" };
        let (mut position, mut left, mut zeros) = (0usize, moved.cast_unsigned(), 0usize);
        for i in 0..rows {
            let requested = requested.get(i).copied().unwrap_or(0);
            let moved_here = requested.min(left);
            left -= moved_here;
            let here = usize::try_from(moved_here).unwrap_or(usize::MAX);
            let end = data.len().min(position.saturating_add(here));
            let mut bytes = data[position..end].to_vec();
            position = end;
            let mut values = self.common_fields(call, true);
            if (bytes.len() as u64) < moved_here {
                values.push(("buffer_not_captured", FieldValue::Bool(true)));
            }
            // The original replayer takes as many bytes from the record as the call requested.
            let missing = requested.saturating_sub(bytes.len() as u64);
            if missing <= (MAX_ZEROS - zeros) as u64 {
                zeros += missing as usize;
                bytes.resize(bytes.len() + missing as usize, 0);
            }
            values.extend([
                ("iov_number", FieldValue::Int(i as i64)),
                ("bytes_requested", FieldValue::Int(i64::try_from(requested).unwrap_or(i64::MAX))),
                (field, FieldValue::Bytes(&bytes)),
            ]);
            self.write_record(name, values)?;
        }
        self.writer.end_group(&format!("{PREFIX}{name}"))?;
        if is_message {
            self.count_ancillary(call);
        }
        Ok(())
    }

    /// Counts as lost the socket addresses and control data of a message, for which DataSeries has
    /// no fields.
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
            ("continuation_number", FieldValue::Int(0)),
            ("given_pathname", FieldValue::Bytes(&path)),
        ]);
        self.writer.begin_group();
        self.write_record("execve", values)?;
        for (arg, field) in [(1, "argument"), (2, "environment")] {
            let texts = join_payloads(call, arg, PayloadKind::StrVec, None);
            for text in texts.split_inclusive(|b| *b == 0) {
                number += 1;
                let mut values = self.common_fields(call, false);
                values.extend([
                    ("continuation_number", FieldValue::Int(number)),
                    (field, FieldValue::Bytes(text)),
                ]);
                self.write_record("execve", values)?;
            }
        }
        let mut values = self.common_fields(call, true);
        values.push(("continuation_number", FieldValue::Int(-1)));
        self.write_record("execve", values)?;
        self.writer.end_group(&format!("{PREFIX}execve"))
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
