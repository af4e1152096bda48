//! Writes structs and times as fields of a record.

use crate::dataseries::records::arguments::{Times, UTIME_NOW, UTIME_OMIT, UTIME_WORDS};
use abi::Layout;
use linux_raw_sys::general::{S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, S_IFSOCK};

/// Fields of a record that hold numbers: their names and values.
pub(crate) type NumberFields = Vec<(&'static str, i64)>;

/// Fields of records, and of the struct that they come from.
type StructFields = &'static [(&'static str, &'static str)];

macro_rules! fields {
    ($prefix:literal: $($name:literal)+) => { &[$((concat!($prefix, $name), $name)),+] };
}
/// The fields of a `struct stat`.
pub(crate) const STAT_FIELDS: StructFields = fields! { "stat_result_":
    "dev" "ino" "mode" "nlink" "uid" "gid" "rdev" "size" "blksize" "blocks" "atime" "mtime" "ctime"
};
/// The fields of a `struct statfs`.
pub(crate) const STATFS_FIELDS: StructFields = fields! { "statfs_result_":
    "type" "bsize" "blocks" "bfree" "bavail" "files" "ffree" "fsid" "namelen" "frsize" "flags"
};

/// Adds the fields of a struct to `numbers`. `fields` are pairs of names, in the record and in the
/// layout without `prefix`. Fields that `bytes` or the layout lack are left out.
pub(crate) fn struct_to_fields(
    bytes: &[u8],
    layout: &Layout,
    prefix: &str,
    fields: StructFields,
    numbers: &mut NumberFields,
) {
    let word = |name: &str| {
        let f = layout.fields.iter().find(|f| f.name.strip_prefix(prefix) == Some(name))?;
        let mut word = [0; 8];
        let size = usize::from(f.size).min(8);
        word[..size].copy_from_slice(bytes.get(f.at as usize..f.at as usize + size)?);
        Some(u64::from_le_bytes(word))
    };
    for (field, name) in fields {
        let value = match word(&format!("{name}_nsec")) {
            Some(ns) => word(name).map(|s| to_tfrac(s, ns)),
            None => word(name).map(u64::cast_signed),
        };
        numbers.extend(value.map(|v| (*field, v)));
    }
}

/// Converts a time to units of 2^-32 s.
fn to_tfrac(seconds: u64, nanos: u64) -> i64 {
    ((seconds << 32) | nanos_to_fraction(nanos)).cast_signed()
}

/// Converts nanoseconds to units of 2^-32 s.
fn nanos_to_fraction(nanos: u64) -> u64 {
    u64::try_from((u128::from(nanos) << 32) / 1_000_000_000).unwrap_or(u64::MAX).min(0xffff_ffff)
}

/// The two times of a file in a call.
pub(crate) enum RecordedTimes {
    /// These times.
    Times(NumberFields),
    /// The current time, for both.
    Now,
    /// Times that the record cannot hold.
    NotExpressible,
}

/// Converts the two times in the bytes of a call's argument to fields of a record.
pub(crate) fn recorded_times(bytes: &[u8], form: Times) -> RecordedTimes {
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|b| b.try_into().map_or(0, u64::from_le_bytes)).collect();
    let pairs: Vec<(u64, u64)> = match form {
        Times::Seconds => words.iter().map(|s| (*s, 0)).collect(),
        Times::Micros => words.chunks_exact(2).map(|w| (w[0], w[1].saturating_mul(1000))).collect(),
        Times::Nanos => words.chunks_exact(2).map(|w| (w[0], w[1])).collect(),
    };
    if form == Times::Nanos && pairs.len() == 2 && pairs.iter().all(|(_, ns)| *ns == UTIME_NOW) {
        return RecordedTimes::Now;
    }
    let to_field = |(s, ns): (u64, u64)| match ns {
        UTIME_NOW if form == Times::Nanos => Some(1 << 32 | u64::from(UTIME_WORDS[0])),
        UTIME_OMIT if form == Times::Nanos => Some(1 << 32 | u64::from(UTIME_WORDS[1])),
        _ if s > u64::from(u32::MAX) || ns >= 1_000_000_000 => None,
        _ => {
            let word = nanos_to_fraction(ns);
            // Two fractions stand for UTIME_NOW and UTIME_OMIT: the next fraction converts to the
            // same number of nanoseconds.
            let is_special = UTIME_WORDS.iter().any(|special| u64::from(*special) == word);
            Some(s << 32 | (word + u64::from(is_special)))
        }
    };
    let times: Vec<u64> = pairs.into_iter().filter_map(to_field).collect();
    match times[..] {
        [access, modification] => RecordedTimes::Times(vec![
            ("access_time", access.cast_signed()),
            ("mod_time", modification.cast_signed()),
        ]),
        _ => RecordedTimes::NotExpressible,
    }
}

/// Returns the type of a file as the original library numbers it.
pub(crate) fn node_type(mode: u64) -> i64 {
    match mode as u32 & S_IFMT {
        S_IFCHR => 1,
        S_IFBLK => 2,
        S_IFIFO => 3,
        S_IFSOCK => 4,
        _ => 0,
    }
}
