//! An extent: records of one type.

use crate::hash::{CONTENT, continue_hash};
use crate::types::{FieldType, Type};
use crate::unpack::{Order, decompress, restore_nulls, to_little_endian, undo_packing};
use std::sync::Arc;

/// Bytes of an extent's head before its type's name.
pub(crate) const HEAD: usize = 28;
/// The most bytes that a part of an extent may have, packed (the format's limit).
const PACKED: u32 = 512 << 20;
/// The most bytes that an extent may come to: the writers' target is some megabytes.
const UNPACKED: usize = 1 << 30;
const LENGTHS: usize = 1024;

/// The head of an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub fixed: usize,
    pub variable: usize,
    pub records: usize,
    pub variable_bytes: usize,
    pub adler: u32,
    pub hash: u32,
    pub modes: (u8, u8),
    pub name_bytes: usize,
}

impl Head {
    /// Parses the head of an extent. Fails if its sizes are impossible.
    pub fn parse(b: &[u8; HEAD], order: Order) -> Result<Self, String> {
        let n = |at: usize| order.u32(&b[at..]);
        if n(0) >= PACKED || n(4) >= PACKED || n(12) < 4 || n(12) as usize > UNPACKED {
            return Err("an extent with impossible sizes".to_owned());
        }
        Ok(Self {
            fixed: n(0) as usize,
            variable: n(4) as usize,
            records: n(8) as usize,
            variable_bytes: n(12) as usize,
            adler: n(16),
            hash: n(20),
            modes: (b[24], b[25]),
            name_bytes: usize::from(b[26]),
        })
    }
    /// Returns the size of the whole extent in the file, in bytes.
    pub fn total_bytes(&self) -> usize {
        (HEAD + self.name_bytes).next_multiple_of(4)
            + self.fixed.next_multiple_of(4)
            + self.variable.next_multiple_of(4)
    }
    /// Returns the offset of the packed records within the extent.
    pub fn records_start(&self) -> usize {
        (HEAD + self.name_bytes).next_multiple_of(4)
    }
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// None.
    Null,
    /// A bit.
    Bool(bool),
    /// A byte.
    Byte(u8),
    /// A number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// Records of one type.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Their type.
    pub kind: Arc<Type>,
    /// Where the extent stands in the file.
    pub offset: u64,
    /// How many.
    pub records: usize,
    fixed: Vec<u8>,
    variable: Vec<u8>,
    order: Order,
}

impl Extent {
    /// Decompresses an extent that was read whole, and checks its checksums.
    pub(crate) fn unpack(
        head: &Head,
        bytes: &[u8],
        offset: u64,
        kind: Arc<Type>,
        order: Order,
    ) -> Result<Self, String> {
        // Adler-32 continued over two stretches: the checksum's own bytes are left out.
        let mut adler = simd_adler32::Adler32::new();
        adler.write(&bytes[..16]);
        adler.write(&bytes[20..]);
        if adler.finish() != head.adler {
            return Err("its checksum is wrong".to_owned());
        }
        let wanted = head
            .records
            .checked_mul(kind.record_bytes)
            .filter(|n| *n <= UNPACKED)
            .ok_or("it has too many records")?;
        let start = head.records_start();
        let variable_at = start + head.fixed.next_multiple_of(4);
        let (fixed, variable) =
            (&bytes[start..start + head.fixed], &bytes[variable_at..variable_at + head.variable]);
        let mut fixed = if wanted == 0 {
            Vec::new()
        } else {
            decompress(head.modes.0, fixed, wanted, kind.compact)?
        };
        if kind.compact {
            fixed = restore_nulls(&kind, head.records, &fixed)?;
        }
        let mut all = vec![0; 4];
        if head.variable_bytes > 4 {
            all.append(&mut decompress(head.modes.1, variable, head.variable_bytes - 4, false)?);
        }
        let mut this = Self { kind, offset, records: head.records, fixed, variable: all, order };
        if content_hash(&this.fixed, &this.variable, order)? != head.hash {
            return Err("its content's hash is wrong".to_owned());
        }
        to_little_endian(&this.kind, &mut this.fixed, order);
        undo_packing(&this.kind, &mut this.fixed);
        Ok(this)
    }

    /// Returns how many bytes of memory the extent takes.
    pub fn memory_bytes(&self) -> usize {
        self.fixed.len() + self.variable.len()
    }

    /// Returns the value of field `field` in record `record`; null if there is no such record or
    /// field.
    pub fn value(&self, record: usize, field: usize) -> Value<'_> {
        let (Some(f), true) = (self.kind.fields.get(field), record < self.records) else {
            return Value::Null;
        };
        let r = &self.fixed[record * self.kind.record_bytes..][..self.kind.record_bytes];
        if f.null.is_some_and(|(at, bit)| r[at] >> bit & 1 != 0) {
            return Value::Null;
        }
        let word = || r[f.at..].first_chunk().map_or(0, |b| i32::from_le_bytes(*b));
        let long = || r[f.at..].first_chunk().map_or(0, |b| i64::from_le_bytes(*b));
        match f.kind {
            FieldType::Bool => Value::Bool(r[f.at] >> f.bit & 1 != 0),
            FieldType::Byte => Value::Byte(r[f.at]),
            FieldType::Int32 => Value::Int(word().into()),
            FieldType::Int64 => Value::Int(long()),
            FieldType::Double => Value::Double(f64::from_bits(long().cast_unsigned())),
            FieldType::Fixed(n) => Value::Bytes(&r[f.at..f.at + n]),
            FieldType::Variable => Value::Bytes(self.variable_at(word()).unwrap_or_default()),
        }
    }

    /// Returns the bytes of the variable value at this offset. Returns `None` if they lead beyond
    /// the end.
    fn variable_at(&self, offset: i32) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok().filter(|n| *n > 0)?;
        let len = self.order.u32(self.variable.get(offset..offset + 4)?) as usize;
        self.variable.get(offset + 4..(offset + 4).checked_add(len)?)
    }
}

/// Returns the hash of an extent's unpacked records: of the fixed part, of the variable values, and
/// of their lengths. Fails if a length leads beyond the end.
pub(crate) fn content_hash(fixed: &[u8], variable: &[u8], order: Order) -> Result<u32, String> {
    let mut sum = continue_hash(continue_hash(CONTENT, fixed), variable);
    let (mut at, mut lengths) = (4, Vec::with_capacity(4 * LENGTHS));
    while at < variable.len() {
        let bytes = variable.get(at..at + 4).ok_or("a value without a length")?;
        let len = order.u32(bytes) as usize;
        lengths.extend_from_slice(bytes);
        if lengths.len() == 4 * LENGTHS {
            sum = continue_hash(sum, &lengths);
            lengths.clear();
        }
        at = at.saturating_add(4 + padded_len(len));
    }
    if at != variable.len() {
        Err("a value longer than its extent".to_owned())
    } else {
        Ok(continue_hash(sum, &lengths))
    }
}

/// Returns how many bytes a variable value of `len` bytes takes after its length, so that the next
/// length is at 4 modulo 8.
pub(crate) const fn padded_len(len: usize) -> usize {
    len + (12 - len % 8) % 8
}
