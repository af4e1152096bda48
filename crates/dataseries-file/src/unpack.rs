//! From what is stored to records: decompression, and the pack options undone.

use crate::types::{FieldType, Relative, Type};
use std::io::Read;

/// The names of the compression modes, by their numbers.
const MODES: [&str; 8] = ["none", "lzo", "zlib", "bzip2", "lzf", "snappy", "lz4", "lz4hc"];

/// Decompresses `from` to exactly `wanted` bytes, or to at most so many if `upto`. `mode` is the
/// compression algorithm.
pub(crate) fn decompress(
    mode: u8,
    from: &[u8],
    wanted: usize,
    upto: bool,
) -> Result<Vec<u8>, String> {
    let name = MODES
        .get(usize::from(mode))
        .ok_or_else(|| format!("compression mode {mode} is unknown"))?;
    let whole = |e: &dyn std::fmt::Display| format!("cannot be decompressed ({name}): {e}");
    let streamed = |reader: &mut dyn Read| {
        let mut out = Vec::new();
        reader.take(wanted as u64 + 1).read_to_end(&mut out).map(|_| out).map_err(|e| whole(&e))
    };
    // None of these makes more than a thousandfold of its input: sizes that say so are damage, and
    // not for us to allocate.
    let bound = from.len().saturating_mul(1100).saturating_add(4096);
    let room = || {
        if wanted <= bound {
            Ok(vec![0u8; wanted])
        } else {
            Err(whole(&"it cannot hold as much as it says"))
        }
    };
    let out = match mode {
        0 => from.to_vec(),
        1 => lzokay_native::decompress(&mut std::io::Cursor::new(from), Some(room()?.len()))
            .map_err(|e| whole(&e))?,
        2 => streamed(&mut flate2::read::ZlibDecoder::new(from))?,
        3 => streamed(&mut bzip2::read::BzDecoder::new(from))?,
        4 => lzf::decompress(from, room()?.len()).map_err(|e| whole(&format!("{e:?}")))?,
        5 => {
            let len = snap::raw::decompress_len(from).map_err(|e| whole(&e))?;
            if len > wanted {
                return Err(whole(&"it holds more than it says"));
            }
            snap::raw::Decoder::new().decompress_vec(from).map_err(|e| whole(&e))?
        }
        _ => {
            let mut out = room()?;
            let n = lz4_flex::block::decompress_into(from, &mut out).map_err(|e| whole(&e))?;
            out.truncate(n);
            out
        }
    };
    if out.len() == wanted || (upto && out.len() < wanted) {
        Ok(out)
    } else {
        Err(format!("holds {} bytes and not {wanted}", out.len()))
    }
}

/// Puts the null fields back that were left out of the packed records.
pub(crate) fn restore_nulls(t: &Type, records: usize, packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = vec![0; records * t.record_bytes];
    let mut from = 0;
    let short = || "ends within a record".to_owned();
    for record in out.chunks_exact_mut(t.record_bytes) {
        record[..t.bool_bytes]
            .copy_from_slice(packed.get(from..from + t.bool_bytes).ok_or_else(short)?);
        from += t.bool_bytes;
        for size in [1usize, 4, 8] {
            let mut aligned = false;
            let of_size = |k: FieldType| match k {
                FieldType::Bool => false,
                FieldType::Byte | FieldType::Fixed(_) => size == 1,
                FieldType::Int32 | FieldType::Variable => size == 4,
                FieldType::Int64 | FieldType::Double => size == 8,
            };
            for f in t.fields.iter().filter(|f| of_size(f.kind)) {
                if f.null.is_some_and(|(at, bit)| record[at] >> bit & 1 != 0) {
                    continue;
                }
                if !aligned {
                    (from, aligned) = (from.next_multiple_of(size), true);
                }
                let bytes = if let FieldType::Fixed(n) = f.kind { n } else { size };
                record[f.at..f.at + bytes]
                    .copy_from_slice(packed.get(from..from + bytes).ok_or_else(short)?);
                from += bytes;
            }
        }
    }
    if from == packed.len() { Ok(out) } else { Err("has bytes after its last record".to_owned()) }
}

/// Numbers in the file's byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub swapped: bool,
}

impl Order {
    /// Reads a number in this byte order.
    pub fn u32(self, b: &[u8]) -> u32 {
        let v = b.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        if self.swapped { v.swap_bytes() } else { v }
    }
    /// Reads a number in this byte order.
    pub fn u64(self, b: &[u8]) -> u64 {
        let v = b.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        if self.swapped { v.swap_bytes() } else { v }
    }
}

/// Converts the numbers of the records to little-endian.
pub(crate) fn to_little_endian(t: &Type, fixed: &mut [u8], order: Order) {
    if !order.swapped {
        return;
    }
    for record in fixed.chunks_exact_mut(t.record_bytes) {
        for f in &t.fields {
            match f.kind {
                FieldType::Int32 | FieldType::Variable => record[f.at..f.at + 4].reverse(),
                FieldType::Int64 | FieldType::Double => record[f.at..f.at + 8].reverse(),
                FieldType::Bool | FieldType::Byte | FieldType::Fixed(_) => {}
            }
        }
    }
}

/// Undoes how numbers were transformed for compression: first scales, then differences to the
/// record before, then differences to another field.
pub(crate) fn undo_packing(t: &Type, fixed: &mut [u8]) {
    if t.fields.iter().all(|f| f.scale.is_none() && f.relative.is_none()) {
        return;
    }
    let int = |r: &[u8], at: usize| r[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    let word = |r: &[u8], at: usize| r[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    let mut before = vec![0u64; t.fields.len()];
    for record in fixed.chunks_exact_mut(t.record_bytes) {
        let null = |record: &[u8], f: &crate::types::Field| {
            t.compact && f.null.is_some_and(|(at, bit)| record[at] >> bit & 1 != 0)
        };
        for f in t.fields.iter().filter(|f| f.scale.is_some()) {
            let v = f64::from_bits(int(record, f.at)) * f.scale.unwrap_or(1.0);
            record[f.at..f.at + 8].copy_from_slice(&v.to_le_bytes());
        }
        let add = |record: &mut [u8], i: usize, base: u64| {
            let f = &t.fields[i];
            match f.kind {
                FieldType::Double => {
                    let v = f64::from_bits(int(record, f.at)) + f64::from_bits(base);
                    record[f.at..f.at + 8].copy_from_slice(&v.to_le_bytes());
                    v.to_bits()
                }
                FieldType::Int32 => {
                    let v = word(record, f.at).wrapping_add(base as u32);
                    record[f.at..f.at + 4].copy_from_slice(&v.to_le_bytes());
                    u64::from(v)
                }
                _ => {
                    let v = int(record, f.at).wrapping_add(base);
                    record[f.at..f.at + 8].copy_from_slice(&v.to_le_bytes());
                    v
                }
            }
        };
        for (i, f) in
            t.fields.iter().enumerate().filter(|(_, f)| f.relative == Some(Relative::Itself))
        {
            if !null(record, f) {
                before[i] = add(record, i, before[i]);
            }
        }
        for (i, f) in t.fields.iter().enumerate() {
            let Some(Relative::Field(base)) = f.relative else { continue };
            if !null(record, f) {
                let at = t.fields[base].at;
                let base = if f.kind == FieldType::Int32 {
                    u64::from(word(record, at))
                } else {
                    int(record, at)
                };
                add(record, i, base);
            }
        }
    }
}
