//! Writes a DataSeries file: records are collected in an extent of their type until it is full.

use crate::extent::{HEADER_BYTES, content_hash, padded_len};
use crate::hash::{TAIL_SEED, chain_checksum, continue_hash};
use crate::types::{FieldType, INDEX_TYPE, Type, Types, XML_TYPE};
use crate::unpack::Order;
use ahash::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

/// An extent is written when its records have this many bytes before compression.
const EXTENT_BYTES: usize = 4 << 20;
/// Bytes of the file's header.
const FILE_HEADER_BYTES: u64 = 40;
/// The compression mode of data that are stored as they are.
const UNCOMPRESSED: u8 = 0;
/// The compression mode of zlib.
const ZLIB: u8 = 2;

/// A value for a field of a record.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'a> {
    /// For a field of type `bool`.
    Bool(bool),
    /// For a field of type `byte`, `int32` or `int64`. Bits that the field does not have are cut
    /// off.
    Int(i64),
    /// For a field of type `variable32`.
    Bytes(&'a [u8]),
}

/// An extent that is not written yet: the records of one type that were added so far.
struct OpenExtent {
    record_type: Arc<Type>,
    /// How many records there are.
    records: u32,
    /// The records, each of the size that their type says.
    fixed: Vec<u8>,
    /// The values of variable length, to which the records have offsets. The first four bytes stand
    /// for all empty values.
    variable: Vec<u8>,
}

impl OpenExtent {
    fn new(record_type: Arc<Type>) -> Self {
        Self { record_type, records: 0, fixed: Vec::new(), variable: vec![0; 4] }
    }

    /// Returns whether the extent has reached the size at which it is written.
    fn is_full(&self) -> bool {
        self.fixed.len() + self.variable.len() >= EXTENT_BYTES
    }
}

/// A file that is being written.
pub struct Writer<W> {
    out: W,
    /// The offset at which the next extent is written.
    position: u64,
    chained_checksum: u32,
    types: Types,
    /// By the name of their type.
    open_extents: HashMap<String, OpenExtent>,
    /// Whether a group was begun and not ended: full extents are not written until then.
    in_group: bool,
    /// The offset and type of each extent that was written.
    index: Vec<(u64, String)>,
}

/// Returns an error for records that the format cannot hold.
fn invalid_input(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl<W: Write> Writer<W> {
    /// Writes the beginning of a file: the header, and the types of records, which have these XML
    /// descriptions.
    pub fn new(mut out: W, descriptions: &[String]) -> io::Result<Self> {
        out.write_all(b"DSv1")?;
        out.write_all(&0x1234_5678u32.to_le_bytes())?;
        out.write_all(&0x1234_5678_9abc_def0u64.to_le_bytes())?;
        for number in [std::f64::consts::PI, f64::INFINITY, f64::NAN] {
            out.write_all(&number.to_le_bytes())?;
        }
        let mut types = Types::default();
        descriptions.iter().try_for_each(|xml| types.add_type(xml)).map_err(invalid_input)?;
        let mut this = Self {
            out,
            position: FILE_HEADER_BYTES,
            chained_checksum: 0,
            types,
            open_extents: HashMap::default(),
            in_group: false,
            index: Vec::new(),
        };
        for xml in descriptions {
            this.add_record(XML_TYPE, &[("xmltype", FieldValue::Bytes(xml.as_bytes()))])?;
        }
        this.flush_type(XML_TYPE)?;
        Ok(this)
    }

    /// Returns the record type of this name, or `None` if the file has no such type.
    pub fn type_of(&self, name: &str) -> Option<&Arc<Type>> {
        self.types.get(name)
    }

    /// Begins a group: the records that are added until [`Self::end_group`] are kept in one extent.
    pub fn begin_group(&mut self) {
        self.in_group = true;
    }

    /// Ends the group, whose records are of this type. Writes their extent if it is full.
    pub fn end_group(&mut self, type_name: &str) -> io::Result<()> {
        self.in_group = false;
        let full = self.open_extents.get(type_name).is_some_and(OpenExtent::is_full);
        if full { self.flush_type(type_name) } else { Ok(()) }
    }

    /// Adds a record of this type, and writes its extent if that is full. `values` has names and
    /// values of fields; those that are missing are null if they may be, else zero or empty. Fails
    /// if the type or a field is unknown, or a value does not fit its field.
    pub fn add_record(
        &mut self,
        type_name: &str,
        values: &[(&str, FieldValue<'_>)],
    ) -> io::Result<()> {
        if !self.open_extents.contains_key(type_name) {
            let record_type = self
                .types
                .get(type_name)
                .ok_or_else(|| invalid_input(format!("there is no type {type_name}")))?;
            self.open_extents.insert(type_name.to_owned(), OpenExtent::new(record_type.clone()));
        }
        let Some(extent) = self.open_extents.get_mut(type_name) else { return Ok(()) };
        let start = extent.fixed.len();
        extent.fixed.resize(start + extent.record_type.record_bytes, 0);
        let record = &mut extent.fixed[start..];
        for null in extent.record_type.fields.iter().filter_map(|field| field.null) {
            record[null.offset] |= 1 << null.bit;
        }
        for (name, value) in values {
            let index = extent.record_type.field_index(name);
            let Some(field) = index.map(|index| &extent.record_type.fields[index]) else {
                return Err(invalid_input(format!("{type_name} has no field {name}")));
            };
            if let Some(null) = field.null {
                record[null.offset] &= !(1 << null.bit);
            }
            let bytes = &mut record[field.offset..];
            match (field.field_type, value) {
                (FieldType::Bool, FieldValue::Bool(v)) => bytes[0] |= u8::from(*v) << field.bit,
                (FieldType::Byte, FieldValue::Int(v)) => bytes[0] = *v as u8,
                (FieldType::Int32, FieldValue::Int(v)) => {
                    bytes[..4].copy_from_slice(&(*v as i32).to_le_bytes());
                }
                (FieldType::Int64, FieldValue::Int(v)) => {
                    bytes[..8].copy_from_slice(&v.to_le_bytes());
                }
                (FieldType::Variable, FieldValue::Bytes(v)) if !v.is_empty() => {
                    let offset = i32::try_from(extent.variable.len())
                        .map_err(|_| invalid_input(format!("an extent of {type_name} is full")))?;
                    bytes[..4].copy_from_slice(&offset.to_le_bytes());
                    extent.variable.extend_from_slice(&(v.len() as u32).to_le_bytes());
                    extent.variable.extend_from_slice(v);
                    extent.variable.resize(offset as usize + 4 + padded_len(v.len()), 0);
                }
                // The offset 0 stands for an empty value.
                (FieldType::Variable, FieldValue::Bytes(_)) => {}
                (field_type, value) => {
                    return Err(invalid_input(format!(
                        "field {name} is a {field_type:?} and not {value:?}"
                    )));
                }
            }
        }
        extent.records += 1;
        if extent.is_full() && !self.in_group { self.flush_type(type_name) } else { Ok(()) }
    }

    /// Writes the open extent of a type, if it has records, and notes it for the index.
    fn flush_type(&mut self, type_name: &str) -> io::Result<()> {
        let extent = self.open_extents.remove(type_name).filter(|extent| extent.records > 0);
        let Some(extent) = extent else { return Ok(()) };
        self.index.push((self.position, type_name.to_owned()));
        self.write_extent(&extent)
    }

    /// Writes an extent with its checksums, and adds them to the chained one.
    fn write_extent(&mut self, extent: &OpenExtent) -> io::Result<()> {
        let order = Order { swapped: false };
        let content_hash =
            content_hash(&extent.fixed, &extent.variable, order).map_err(invalid_input)?;
        let (fixed_mode, fixed) = compress(&extent.fixed)?;
        let (variable_mode, variable) = compress(&extent.variable[4..])?;
        let name = &extent.record_type.name;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + fixed.len() + variable.len() + 64);
        for number in [
            fixed.len() as u32,
            variable.len() as u32,
            extent.records,
            extent.variable.len() as u32,
            // The place of the Adler-32 checksum.
            0,
            content_hash,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[fixed_mode, variable_mode, name.len() as u8, 0]);
        for part in [name.as_bytes(), &fixed, &variable] {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let mut adler = simd_adler32::Adler32::new();
        adler.write(&bytes[..16]);
        adler.write(&bytes[20..]);
        bytes[16..20].copy_from_slice(&adler.finish().to_le_bytes());
        self.chained_checksum =
            chain_checksum(self.chained_checksum, content_hash ^ adler.finish());
        self.position += bytes.len() as u64;
        self.out.write_all(&bytes)
    }

    /// Writes the remaining records, the index and the tail. Returns the output.
    pub fn finish(mut self) -> io::Result<W> {
        let mut type_names: Vec<String> = self.open_extents.keys().cloned().collect();
        type_names.sort();
        type_names.iter().try_for_each(|type_name| self.flush_type(type_name))?;
        let index_offset = self.position;
        let mut index = std::mem::take(&mut self.index);
        index.push((index_offset, INDEX_TYPE.to_owned()));
        for (offset, type_name) in &index {
            self.add_record(
                INDEX_TYPE,
                &[
                    ("offset", FieldValue::Int(*offset as i64)),
                    ("extenttype", FieldValue::Bytes(type_name.as_bytes())),
                ],
            )?;
        }
        self.flush_type(INDEX_TYPE)?;
        let index_bytes = (self.position - index_offset) as u32;
        let mut tail = vec![0xff; 4];
        for number in [index_bytes, !index_bytes, self.chained_checksum] {
            tail.extend_from_slice(&number.to_le_bytes());
        }
        tail.extend_from_slice(&index_offset.to_le_bytes());
        tail.extend_from_slice(&continue_hash(TAIL_SEED, &tail).to_le_bytes());
        self.out.write_all(&tail)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Compresses the bytes with zlib if that makes them shorter. Returns the compression mode, and the
/// compressed or unchanged bytes.
fn compress(bytes: &[u8]) -> io::Result<(u8, Vec<u8>)> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    let packed = encoder.finish()?;
    Ok(if packed.len() < bytes.len() { (ZLIB, packed) } else { (UNCOMPRESSED, bytes.to_vec()) })
}
