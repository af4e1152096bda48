//! Sets a call's arguments from the fields of a record.

use super::index::from_tfrac;
use super::stream::Row;
use crate::dataseries::records::arguments::{Meaning, Times, UTIME_NOW, UTIME_OMIT, UTIME_WORDS};
use crate::dataseries::records::dirents;
use ::import::ImportedCall;
use abi::{Arg, Kind, Layout};
use dataseries_file::Value;
use trace::record::PayloadKind;

/// A record that is being imported.
#[derive(Clone, Copy)]
pub(crate) struct RecordSource<'a> {
    pub row: Row<'a>,
    /// Whether the original library wrote it.
    pub original: bool,
}

impl RecordSource<'_> {
    /// Sets the argument to which `meaning` assigns one or more fields of the record.
    pub fn set_part(self, meaning: Meaning, imported: &mut ImportedCall) {
        let Self { row, original } = self;
        let (captured, succeeded) = (row.is_captured(), imported.call.succeeded());
        let output_bytes =
            |field| row.bytes(field).filter(|b| succeeded && captured && !b.is_empty());
        match meaning {
            Meaning::Number(arg, field) => set_number(imported, arg, row.int(field).unwrap_or(0)),
            // The original library stores no bytes of what should have a name.
            Meaning::Text(arg, field) => {
                match row.bytes(field).filter(|b| captured && !b.is_empty()) {
                    Some(_) => imported.add_string(arg, row.text(field).unwrap_or_default()),
                    None if row.value(field) == Value::Null => {}
                    None => imported.set_unknown_pointer(arg),
                }
            }
            Meaning::Data(arg, field) => {
                imported.set_unknown_pointer(arg);
                if succeeded {
                    let bytes = row.bytes(field).filter(|_| captured).unwrap_or_default();
                    imported.add_data(arg, bytes, imported.call.ret.max(0).cast_unsigned());
                }
            }
            Meaning::Before(arg, field) => {
                let size = ["value_size", "sockaddr_length", "buffer_size"]
                    .into_iter()
                    .find_map(|f| row.int(f))
                    .unwrap_or(0);
                imported.set_unknown_pointer(arg);
                let bytes = row.bytes(field).filter(|b| captured && (!b.is_empty() || size == 0));
                if let Some(bytes) = bytes {
                    let size = size.clamp(0, 1 << 20).cast_unsigned();
                    imported.add_payload(arg, PayloadKind::Bytes, false, bytes, size);
                }
            }
            Meaning::After(arg, field) => {
                imported.set_unknown_pointer(arg);
                if let Some(bytes) = output_bytes(field) {
                    imported.add_payload(arg, PayloadKind::Bytes, true, bytes, bytes.len() as u64);
                }
            }
            Meaning::Dirents(arg, field) => {
                imported.set_unknown_pointer(arg);
                if let Some(bytes) = output_bytes(field) {
                    let entries = dirents::convert_for_call(imported.row, bytes);
                    let len = bytes.len() as u64;
                    imported.add_payload(arg, PayloadKind::Bytes, true, &entries, len);
                }
            }
            Meaning::Stat(arg) => {
                imported.set_unknown_pointer(arg);
                if succeeded {
                    set_struct(row, "stat_result_", &abi::layout::STAT, "st_", arg, imported);
                }
            }
            Meaning::Statfs(arg) => {
                imported.set_unknown_pointer(arg);
                if succeeded {
                    set_struct(row, "statfs_result_", &abi::layout::STATFS, "f_", arg, imported);
                }
            }
            Meaning::Pair(arg) => {
                imported.set_unknown_pointer(arg);
                let fd = |name: &str| row.int(name).map(|v| (v as i32).to_le_bytes());
                if let (Some(read), Some(write), true) =
                    (fd("read_descriptor"), fd("write_descriptor"), succeeded)
                {
                    imported.add_payload(arg, PayloadKind::Bytes, true, &[read, write].concat(), 8);
                }
            }
            Meaning::Times(arg, form) => set_times(row, original, arg, form, imported),
            Meaning::Lock(arg) => set_flock(row, original, arg, imported),
            Meaning::Limit(arg) => set_rlimit(row, arg, succeeded, imported),
            Meaning::Buffer(arg, field) => set_ioctl_buffer(row, original, arg, field, imported),
        }
    }
}

/// Returns whether the kernel writes what the argument points to.
fn is_output(arg: Arg) -> bool {
    matches!(arg.kind, Kind::Out(..))
}

/// Sets an argument to the number in a field. Fields of 32 bits are signed: a negative number is
/// taken as unsigned, unless the argument is signed or has 64 bits.
fn set_number(imported: &mut ImportedCall, arg: usize, value: i64) {
    let spec = imported.row.spec(&imported.call.args);
    let signed = spec.args.get(arg).is_none_or(|a| {
        matches!(a.kind, Kind::Int | Kind::Fd | Kind::DirFd | Kind::Pid | Kind::Signal)
    });
    let has_64_bits = spec.args.get(arg).is_some_and(|a| {
        matches!(a.kind, Kind::Off | Kind::Pos | Kind::Length | Kind::Size | Kind::Addr | Kind::Hex)
    });
    let is_unsigned_32 = i32::try_from(value).is_ok() && value < 0 && !signed && !has_64_bits;
    let mask = if is_unsigned_32 { 0xffff_ffff } else { u64::MAX };
    imported.set_number(arg, value.cast_unsigned() & mask);
}

/// Sets an argument to a `struct rlimit`.
fn set_rlimit(row: Row<'_>, arg: usize, succeeded: bool, imported: &mut ImportedCall) {
    imported.set_unknown_pointer(arg);
    let word = |name: &str| row.int(name).unwrap_or(0).to_le_bytes();
    let bytes = [word("resource_soft_limit"), word("resource_hard_limit")].concat();
    let after = is_output(imported.row.spec.args[arg]);
    if !after || succeeded {
        imported.add_payload(arg, PayloadKind::Bytes, after, &bytes, 16);
    }
}

/// Adds the two times of the record as what the argument points to, in the form that the call
/// takes. Does nothing if the record has none.
fn set_times(row: Row<'_>, original: bool, arg: usize, form: Times, imported: &mut ImportedCall) {
    let time = |name: &str| row.int(name).map(i64::cast_unsigned);
    let now = || !original && row.flag("utime_now");
    let (access, modification) = match (time("access_time"), time("mod_time")) {
        (Some(access), Some(modification)) => (access, modification),
        // Both are UTIME_NOW: this flag is all that tells the original replayer.
        _ if now() => (u64::from(UTIME_WORDS[0]), u64::from(UTIME_WORDS[0])),
        _ => return,
    };
    let convert = |v: u64| {
        let (seconds, ns) = from_tfrac(v);
        match form {
            Times::Seconds => seconds.to_le_bytes().to_vec(),
            Times::Micros => [seconds.to_le_bytes(), (ns / 1000).to_le_bytes()].concat(),
            Times::Nanos => {
                let special = UTIME_WORDS.iter().position(|w| *w == v as u32);
                let ns = special.map_or(ns, |i| [UTIME_NOW, UTIME_OMIT][i]);
                [if special.is_some() { 0 } else { seconds }.to_le_bytes(), ns.to_le_bytes()]
                    .concat()
            }
        }
    };
    let bytes = [convert(access), convert(modification)].concat();
    imported.add_payload(arg, PayloadKind::Bytes, false, &bytes, bytes.len() as u64);
}

/// Sets an argument to a `struct flock`. The original library records what the call left there, and
/// repeats `l_whence` in the upper half of `l_type`.
fn set_flock(row: Row<'_>, original: bool, arg: usize, imported: &mut ImportedCall) {
    let spec = imported.row.spec(&imported.call.args);
    let Some(a) = spec.args.get(arg).filter(|a| a.kind.is_followed()) else { return };
    let (kind, is_in_out) = (a.kind, matches!(a.kind, Kind::InOut(..)));
    imported.set_unknown_pointer(arg);
    let (Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else { return };
    let Some(lock_type) = row.int("lock_type") else { return };
    let mut bytes = vec![0; layout.size as usize];
    for f in layout.fields {
        let value = match f.name {
            "l_type" => lock_type & 0xffff,
            "l_whence" => row.int("lock_whence").unwrap_or(0) & 0xffff,
            "l_start" => row.int("lock_start").unwrap_or(0),
            "l_len" => row.int("lock_length").unwrap_or(0),
            _ => row.int("lock_pid").unwrap_or(0),
        };
        let (at, size) = (f.at as usize, usize::from(f.size));
        bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    imported.add_payload(
        arg,
        PayloadKind::Bytes,
        original && is_in_out,
        &bytes,
        bytes.len() as u64,
    );
}

/// Sets the bytes that an ioctl's parameter points to. The original library records what the call
/// left there.
fn set_ioctl_buffer(
    row: Row<'_>,
    original: bool,
    arg: usize,
    field: &str,
    imported: &mut ImportedCall,
) {
    let spec = imported.row.spec(&imported.call.args);
    let Some(kind) = spec.args.get(arg).map(|a| a.kind).filter(|k| k.is_followed()) else {
        return;
    };
    imported.set_pointer_if_null(arg);
    let Some(bytes) = row.bytes(field).filter(|b| row.is_captured() && !b.is_empty()) else {
        return;
    };
    let after = match kind {
        Kind::Out(..) => true,
        Kind::InOut(..) => original,
        _ => false,
    };
    if !after || imported.call.succeeded() {
        imported.add_payload(arg, PayloadKind::Bytes, after, bytes, bytes.len() as u64);
    }
}

/// Makes a struct of the fields of a record, and adds it as what the argument points to after the
/// call. The fields of the record begin with `record_prefix`, those of the layout with
/// `layout_prefix`. Times are left out. Does nothing if another field that replay compares is
/// missing.
fn set_struct(
    row: Row<'_>,
    record_prefix: &str,
    layout: &Layout,
    layout_prefix: &str,
    arg: usize,
    imported: &mut ImportedCall,
) {
    let mut bytes = vec![0; layout.size as usize];
    for f in layout.fields.iter().filter(|f| f.kind != abi::FieldKind::Time) {
        let name = format!("{record_prefix}{}", f.name.trim_start_matches(layout_prefix));
        let Some(v) = row.int(&name) else {
            if f.kind == abi::FieldKind::Host {
                continue;
            }
            return;
        };
        // Fields of records may have fewer bits than those of the struct.
        let (at, size) = (f.at as usize, usize::from(f.size));
        bytes[at..at + size].copy_from_slice(&v.to_le_bytes()[..size]);
    }
    imported.add_payload(arg, PayloadKind::Bytes, true, &bytes, bytes.len() as u64);
}
