//! An extent: records of one type.

use crate::hash::{CONTENT_SEED, continue_hash};
use crate::types::{FieldType, Type};
use crate::unpack::{Order, decompress, restore_nulls, to_little_endian, undo_packing};
use std::sync::Arc;

/// Bytes of an extent's header before its type's name.
pub(crate) const HEADER_BYTES: usize = 28;
/// The most bytes that the compressed fixed or variable part of an extent may have (the format's
/// limit).
const MAX_PACKED_BYTES: u32 = 512 << 20;
/// The most bytes that either part may have decompressed: the writers' target is some megabytes.
const MAX_UNPACKED_BYTES: usize = 1 << 30;
/// How many lengths of variable values are hashed at once.
const LENGTHS_AT_ONCE: usize = 1024;

/// The header of an extent. The fixed part holds the records, each of the same size; the variable
/// part holds the values of variable length, to which the records have offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtentHeader {
    /// Bytes of the compressed fixed part.
    pub packed_fixed_bytes: usize,
    /// Bytes of the compressed variable part.
    pub packed_variable_bytes: usize,
    /// How many records the extent has.
    pub records: usize,
    /// Bytes of the variable part after decompression.
    pub variable_bytes: usize,
    /// The Adler-32 checksum of the extent as it is in the file.
    pub adler: u32,
    /// The hash of the extent's content after decompression.
    pub content_hash: u32,
    /// The compression mode of the fixed part.
    pub fixed_mode: u8,
    /// The compression mode of the variable part.
    pub variable_mode: u8,
    /// Bytes of the type's name.
    pub name_bytes: usize,
}

impl ExtentHeader {
    /// Parses the header of an extent. Fails if its sizes are impossible.
    pub fn parse(bytes: &[u8; HEADER_BYTES], order: Order) -> Result<Self, String> {
        let u32_at = |offset: usize| order.u32(&bytes[offset..]);
        let (packed_fixed, packed_variable, variable) = (u32_at(0), u32_at(4), u32_at(12));
        if packed_fixed >= MAX_PACKED_BYTES
            || packed_variable >= MAX_PACKED_BYTES
            || variable < 4
            || variable as usize > MAX_UNPACKED_BYTES
        {
            return Err("an extent with impossible sizes".to_owned());
        }
        Ok(Self {
            packed_fixed_bytes: packed_fixed as usize,
            packed_variable_bytes: packed_variable as usize,
            records: u32_at(8) as usize,
            variable_bytes: variable as usize,
            adler: u32_at(16),
            content_hash: u32_at(20),
            fixed_mode: bytes[24],
            variable_mode: bytes[25],
            name_bytes: usize::from(bytes[26]),
        })
    }
    /// Returns the size of the whole extent in the file, in bytes.
    pub fn total_bytes(&self) -> usize {
        (HEADER_BYTES + self.name_bytes).next_multiple_of(4)
            + self.packed_fixed_bytes.next_multiple_of(4)
            + self.packed_variable_bytes.next_multiple_of(4)
    }
    /// Returns the offset of the compressed fixed part within the extent.
    pub fn records_start(&self) -> usize {
        (HEADER_BYTES + self.name_bytes).next_multiple_of(4)
    }
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The field is null, or there is no such field or record.
    Null,
    /// Of a field of type `bool`.
    Bool(bool),
    /// Of a field of type `byte`.
    Byte(u8),
    /// Of a field of type `int32` or `int64`.
    Int(i64),
    /// Of a field of type `double`.
    Double(f64),
    /// Of a field of type `variable32` or `fixedwidth`.
    Bytes(&'a [u8]),
}

/// Records of one type.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The type of the records.
    pub record_type: Arc<Type>,
    /// The extent's offset in the file.
    pub offset: u64,
    /// How many records there are.
    pub records: usize,
    /// The fixed part, decompressed: the records, little-endian.
    fixed: Vec<u8>,
    /// The variable part, decompressed: values, each after its length in the byte order `order`.
    variable: Vec<u8>,
    order: Order,
}

impl Extent {
    /// Decompresses an extent, and checks its checksums. `bytes` are the whole extent with its
    /// header.
    pub(crate) fn unpack(
        header: &ExtentHeader,
        bytes: &[u8],
        offset: u64,
        record_type: Arc<Type>,
        order: Order,
    ) -> Result<Self, String> {
        // The checksum covers the extent without the four bytes of the checksum itself.
        let mut adler = simd_adler32::Adler32::new();
        adler.write(&bytes[..16]);
        adler.write(&bytes[20..]);
        if adler.finish() != header.adler {
            return Err("its checksum is wrong".to_owned());
        }
        let fixed_bytes = header
            .records
            .checked_mul(record_type.record_bytes)
            .filter(|bytes| *bytes <= MAX_UNPACKED_BYTES)
            .ok_or("it has too many records")?;
        let fixed_start = header.records_start();
        let variable_start = fixed_start + header.packed_fixed_bytes.next_multiple_of(4);
        let packed_fixed = &bytes[fixed_start..][..header.packed_fixed_bytes];
        let packed_variable = &bytes[variable_start..][..header.packed_variable_bytes];
        let mut fixed = if fixed_bytes == 0 {
            Vec::new()
        } else {
            decompress(header.fixed_mode, packed_fixed, fixed_bytes, record_type.compact)?
        };
        if record_type.compact {
            fixed = restore_nulls(&record_type, header.records, &fixed)?;
        }
        // The first four bytes are always zeros, and are not stored.
        let mut variable = vec![0; 4];
        if header.variable_bytes > 4 {
            let stored_bytes = header.variable_bytes - 4;
            variable.append(&mut decompress(
                header.variable_mode,
                packed_variable,
                stored_bytes,
                false,
            )?);
        }
        let records = header.records;
        let mut this = Self { record_type, offset, records, fixed, variable, order };
        if content_hash(&this.fixed, &this.variable, order)? != header.content_hash {
            return Err("its content's hash is wrong".to_owned());
        }
        to_little_endian(&this.record_type, &mut this.fixed, order);
        undo_packing(&this.record_type, &mut this.fixed);
        Ok(this)
    }

    /// Returns how many bytes of memory the extent takes.
    pub fn memory_bytes(&self) -> usize {
        self.fixed.len() + self.variable.len()
    }

    /// Returns the value of a field of a record, both by their indices; null if there is no such
    /// record or field.
    pub fn value(&self, record: usize, field: usize) -> Value<'_> {
        let (Some(field), true) = (self.record_type.fields.get(field), record < self.records)
        else {
            return Value::Null;
        };
        let record_bytes = self.record_type.record_bytes;
        let record = &self.fixed[record * record_bytes..][..record_bytes];
        if field.is_null(record) {
            return Value::Null;
        }
        let bytes = &record[field.offset..];
        let int32 = || bytes.first_chunk().map_or(0, |b| i32::from_le_bytes(*b));
        let int64 = || bytes.first_chunk().map_or(0, |b| i64::from_le_bytes(*b));
        match field.field_type {
            FieldType::Bool => Value::Bool(bytes[0] >> field.bit & 1 != 0),
            FieldType::Byte => Value::Byte(bytes[0]),
            FieldType::Int32 => Value::Int(int32().into()),
            FieldType::Int64 => Value::Int(int64()),
            FieldType::Double => Value::Double(f64::from_bits(int64().cast_unsigned())),
            FieldType::Fixed(len) => Value::Bytes(&bytes[..len]),
            FieldType::Variable => Value::Bytes(self.variable_value(int32()).unwrap_or_default()),
        }
    }

    /// Returns the value at an offset in the variable part. Returns `None` for the offset 0, which
    /// stands for an empty value, and if the value would reach beyond the part's end.
    fn variable_value(&self, offset: i32) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok().filter(|offset| *offset > 0)?;
        let len = self.order.u32(self.variable.get(offset..offset + 4)?) as usize;
        self.variable.get(offset + 4..(offset + 4).checked_add(len)?)
    }
}

/// Returns the hash of an extent's content: of the decompressed fixed part, of the variable part,
/// and once more of the lengths of the variable values. Fails if a length leads beyond the variable
/// part's end.
pub(crate) fn content_hash(fixed: &[u8], variable: &[u8], order: Order) -> Result<u32, String> {
    let mut hash = continue_hash(continue_hash(CONTENT_SEED, fixed), variable);
    let (mut offset, mut lengths) = (4, Vec::with_capacity(4 * LENGTHS_AT_ONCE));
    while offset < variable.len() {
        let bytes = variable.get(offset..offset + 4).ok_or("a value without a length")?;
        let len = order.u32(bytes) as usize;
        lengths.extend_from_slice(bytes);
        if lengths.len() == 4 * LENGTHS_AT_ONCE {
            hash = continue_hash(hash, &lengths);
            lengths.clear();
        }
        offset = offset.saturating_add(4 + padded_len(len));
    }
    if offset != variable.len() {
        Err("a value longer than its extent".to_owned())
    } else {
        Ok(continue_hash(hash, &lengths))
    }
}

/// Returns how many bytes a variable value of `len` bytes takes after its length, with padding: the
/// offset of each length in the variable part is 4 modulo 8.
pub(crate) const fn padded_len(len: usize) -> usize {
    len + (12 - len % 8) % 8
}
