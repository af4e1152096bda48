//! Makes records of what an extent stores: decompresses it, and undoes the pack options of its
//! type.

use crate::types::{Field, FieldType, Relative, Type};
use std::io::Read;

/// The names of the compression modes, by their numbers.
const MODES: [&str; 8] = ["none", "lzo", "zlib", "bzip2", "lzf", "snappy", "lz4", "lz4hc"];

/// Decompresses `packed`, whose compression algorithm has the number `mode`. Fails if the result
/// does not have exactly `wanted` bytes; with `may_be_shorter`, only if it has more.
pub(crate) fn decompress(
    mode: u8,
    packed: &[u8],
    wanted: usize,
    may_be_shorter: bool,
) -> Result<Vec<u8>, String> {
    let name = MODES
        .get(usize::from(mode))
        .ok_or_else(|| format!("compression mode {mode} is unknown"))?;
    let failed = |e: &dyn std::fmt::Display| format!("cannot be decompressed ({name}): {e}");
    let read_stream = |reader: &mut dyn Read| {
        let mut out = Vec::new();
        reader.take(wanted as u64 + 1).read_to_end(&mut out).map(|_| out).map_err(|e| failed(&e))
    };
    // No algorithm makes more than a thousand times its input: a larger size is damage, and no
    // memory is allocated for it.
    let bound = packed.len().saturating_mul(1100).saturating_add(4096);
    let allocate = || {
        if wanted <= bound {
            Ok(vec![0u8; wanted])
        } else {
            Err(failed(&"it cannot hold as much as it says"))
        }
    };
    let out = match mode {
        0 => packed.to_vec(),
        1 => lzokay_native::decompress(&mut std::io::Cursor::new(packed), Some(allocate()?.len()))
            .map_err(|e| failed(&e))?,
        2 => read_stream(&mut flate2::read::ZlibDecoder::new(packed))?,
        3 => read_stream(&mut bzip2::read::BzDecoder::new(packed))?,
        4 => lzf::decompress(packed, allocate()?.len()).map_err(|e| failed(&format!("{e:?}")))?,
        5 => {
            let len = snap::raw::decompress_len(packed).map_err(|e| failed(&e))?;
            if len > wanted {
                return Err(failed(&"it holds more than it says"));
            }
            snap::raw::Decoder::new().decompress_vec(packed).map_err(|e| failed(&e))?
        }
        _ => {
            let mut out = allocate()?;
            let len = lz4_flex::block::decompress_into(packed, &mut out).map_err(|e| failed(&e))?;
            out.truncate(len);
            out
        }
    };
    if out.len() == wanted || (may_be_shorter && out.len() < wanted) {
        Ok(out)
    } else {
        Err(format!("holds {} bytes and not {wanted}", out.len()))
    }
}

/// Returns the records of a compact type, with zeros for the null fields that were left out. Fails
/// if `packed` does not end where the last record does.
pub(crate) fn restore_nulls(
    record_type: &Type,
    records: usize,
    packed: &[u8],
) -> Result<Vec<u8>, String> {
    let mut out = vec![0; records * record_type.record_bytes];
    let mut position = 0;
    let too_short = || "ends within a record".to_owned();
    for record in out.chunks_exact_mut(record_type.record_bytes) {
        let bools =
            packed.get(position..position + record_type.bool_bytes).ok_or_else(too_short)?;
        record[..record_type.bool_bytes].copy_from_slice(bools);
        position += record_type.bool_bytes;
        for size in [1usize, 4, 8] {
            let mut aligned = false;
            let has_size = |field_type: FieldType| match field_type {
                FieldType::Bool => false,
                FieldType::Byte | FieldType::Fixed(_) => size == 1,
                FieldType::Int32 | FieldType::Variable => size == 4,
                FieldType::Int64 | FieldType::Double => size == 8,
            };
            for field in record_type.fields.iter().filter(|field| has_size(field.field_type)) {
                if field.is_null(record) {
                    continue;
                }
                if !aligned {
                    (position, aligned) = (position.next_multiple_of(size), true);
                }
                let len = if let FieldType::Fixed(len) = field.field_type { len } else { size };
                record[field.offset..field.offset + len]
                    .copy_from_slice(packed.get(position..position + len).ok_or_else(too_short)?);
                position += len;
            }
        }
    }
    if position == packed.len() {
        Ok(out)
    } else {
        Err("has bytes after its last record".to_owned())
    }
}

/// The byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Whether it is big-endian.
    pub swapped: bool,
}

impl Order {
    /// Returns the number in the first 4 bytes; 0 if there are fewer.
    pub fn u32(self, bytes: &[u8]) -> u32 {
        let number = bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        if self.swapped { number.swap_bytes() } else { number }
    }
    /// Returns the number in the first 8 bytes; 0 if there are fewer.
    pub fn u64(self, bytes: &[u8]) -> u64 {
        let number = bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        if self.swapped { number.swap_bytes() } else { number }
    }
}

/// Converts the numbers in the fixed part of an extent, which are in the byte order `order`, to
/// little-endian.
pub(crate) fn to_little_endian(record_type: &Type, fixed: &mut [u8], order: Order) {
    if !order.swapped {
        return;
    }
    for record in fixed.chunks_exact_mut(record_type.record_bytes) {
        for field in &record_type.fields {
            let bytes = &mut record[field.offset..];
            match field.field_type {
                FieldType::Int32 | FieldType::Variable => bytes[..4].reverse(),
                FieldType::Int64 | FieldType::Double => bytes[..8].reverse(),
                FieldType::Bool | FieldType::Byte | FieldType::Fixed(_) => {}
            }
        }
    }
}

/// Restores numbers that were transformed for better compression: first multiplies by the scale,
/// then adds the value of the same field in the record before, then that of another field.
pub(crate) fn undo_packing(record_type: &Type, fixed: &mut [u8]) {
    let fields = &record_type.fields;
    if fields.iter().all(|field| field.scale.is_none() && field.relative.is_none()) {
        return;
    }
    let u64_at = |record: &[u8], offset: usize| {
        record[offset..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
    };
    let u32_at = |record: &[u8], offset: usize| {
        record[offset..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
    };
    // The value of each field in the last record in which it was not null, as bits.
    let mut before = vec![0u64; fields.len()];
    for record in fixed.chunks_exact_mut(record_type.record_bytes) {
        let is_left_out =
            |record: &[u8], field: &Field| record_type.compact && field.is_null(record);
        for field in fields.iter().filter(|field| field.scale.is_some()) {
            let value = f64::from_bits(u64_at(record, field.offset)) * field.scale.unwrap_or(1.0);
            record[field.offset..field.offset + 8].copy_from_slice(&value.to_le_bytes());
        }
        let add = |record: &mut [u8], field: &Field, base: u64| {
            let offset = field.offset;
            match field.field_type {
                FieldType::Double => {
                    let sum = f64::from_bits(u64_at(record, offset)) + f64::from_bits(base);
                    record[offset..offset + 8].copy_from_slice(&sum.to_le_bytes());
                    sum.to_bits()
                }
                FieldType::Int32 => {
                    let sum = u32_at(record, offset).wrapping_add(base as u32);
                    record[offset..offset + 4].copy_from_slice(&sum.to_le_bytes());
                    u64::from(sum)
                }
                _ => {
                    let sum = u64_at(record, offset).wrapping_add(base);
                    record[offset..offset + 8].copy_from_slice(&sum.to_le_bytes());
                    sum
                }
            }
        };
        let relative_to_itself = |field: &Field| field.relative == Some(Relative::Itself);
        for (field, before) in
            fields.iter().zip(&mut before).filter(|(field, _)| relative_to_itself(field))
        {
            if !is_left_out(record, field) {
                *before = add(record, field, *before);
            }
        }
        for field in fields {
            let Some(Relative::Field(base_index)) = field.relative else { continue };
            if !is_left_out(record, field) {
                let base_offset = fields[base_index].offset;
                let base = if field.field_type == FieldType::Int32 {
                    u64::from(u32_at(record, base_offset))
                } else {
                    u64_at(record, base_offset)
                };
                add(record, field, base);
            }
        }
    }
}
