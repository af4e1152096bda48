//! Writing a DataSeries file: records gather in an extent of their type until it is full.

use crate::extent::{HEAD, content_hash, padded_len};
use crate::hash::{CONTENT, TAIL, continue_hash, mix_to_one};
use crate::types::{FieldType, INDEX_TYPE, Type, Types, XML_TYPE};
use crate::unpack::Order;
use ahash::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

/// An extent is written when its records come to so many bytes.
const FULL: usize = 4 << 20;
const HEADER: u64 = 40;
const ZLIB: u8 = 2;

/// A value for a field.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// A bit.
    Bool(bool),
    /// A number, of whatever width the field has.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
}

struct Growing {
    kind: Arc<Type>,
    records: u32,
    fixed: Vec<u8>,
    variable: Vec<u8>,
}

impl Growing {
    fn new(kind: Arc<Type>) -> Self {
        Self { kind, records: 0, fixed: Vec::new(), variable: vec![0; 4] }
    }

    /// Returns whether the extent has reached the size at which it is written.
    fn is_full(&self) -> bool {
        self.fixed.len() + self.variable.len() >= FULL
    }
}

/// A file that is being written.
pub struct Writer<W> {
    out: W,
    at: u64,
    chain: u32,
    types: Types,
    growing: HashMap<String, Growing>,
    /// What is written now stays in one extent.
    together: bool,
    index: Vec<(u64, String)>,
}

/// Returns an error for records that the format cannot hold.
fn invalid_input(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl<W: Write> Writer<W> {
    /// Begins a file whose record types have these XML descriptions.
    pub fn new(mut out: W, descriptions: &[String]) -> io::Result<Self> {
        out.write_all(b"DSv1")?;
        out.write_all(&0x1234_5678u32.to_le_bytes())?;
        out.write_all(&0x1234_5678_9abc_def0u64.to_le_bytes())?;
        for v in [std::f64::consts::PI, f64::INFINITY, f64::NAN] {
            out.write_all(&v.to_le_bytes())?;
        }
        let mut types = Types::default();
        descriptions.iter().try_for_each(|xml| types.add_type(xml)).map_err(invalid_input)?;
        let mut this = Self {
            out,
            at: HEADER,
            chain: 0,
            types,
            growing: HashMap::default(),
            together: false,
            index: Vec::new(),
        };
        for xml in descriptions {
            this.add_record(XML_TYPE, &[("xmltype", Field::Bytes(xml.as_bytes()))])?;
        }
        this.flush_type(XML_TYPE)?;
        Ok(this)
    }

    /// Returns the record type of this name.
    pub fn type_of(&self, name: &str) -> Option<&Arc<Type>> {
        self.types.get(name)
    }

    /// Begins a group of records, which must be in one extent.
    pub fn begin_group(&mut self) {
        self.together = true;
    }

    /// Ends the group of records of this type.
    pub fn end_group(&mut self, kind: &str) -> io::Result<()> {
        self.together = false;
        let full = self.growing.get(kind).is_some_and(Growing::is_full);
        if full { self.flush_type(kind) } else { Ok(()) }
    }

    /// Adds a record. Nullable fields that are not named are null, others zero.
    pub fn add_record(&mut self, kind: &str, values: &[(&str, Field<'_>)]) -> io::Result<()> {
        if !self.growing.contains_key(kind) {
            let t = self
                .types
                .get(kind)
                .ok_or_else(|| invalid_input(format!("there is no type {kind}")))?;
            self.growing.insert(kind.to_owned(), Growing::new(t.clone()));
        }
        let Some(g) = self.growing.get_mut(kind) else { return Ok(()) };
        let start = g.fixed.len();
        g.fixed.resize(start + g.kind.record_bytes, 0);
        let record = &mut g.fixed[start..];
        for (at, bit) in g.kind.fields.iter().filter_map(|f| f.null) {
            record[at] |= 1 << bit;
        }
        for (name, value) in values {
            let Some(f) = g.kind.field_index(name).map(|i| &g.kind.fields[i]) else {
                return Err(invalid_input(format!("{kind} has no field {name}")));
            };
            if let Some((at, bit)) = f.null {
                record[at] &= !(1 << bit);
            }
            match (f.kind, value) {
                (FieldType::Bool, Field::Bool(v)) => record[f.at] |= u8::from(*v) << f.bit,
                (FieldType::Byte, Field::Int(v)) => record[f.at] = *v as u8,
                (FieldType::Int32, Field::Int(v)) => {
                    record[f.at..f.at + 4].copy_from_slice(&(*v as i32).to_le_bytes());
                }
                (FieldType::Int64, Field::Int(v)) => {
                    record[f.at..f.at + 8].copy_from_slice(&v.to_le_bytes());
                }
                (FieldType::Variable, Field::Bytes(bytes)) if !bytes.is_empty() => {
                    let offset = i32::try_from(g.variable.len())
                        .map_err(|_| invalid_input(format!("an extent of {kind} is full")))?;
                    record[f.at..f.at + 4].copy_from_slice(&offset.to_le_bytes());
                    g.variable.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    g.variable.extend_from_slice(bytes);
                    g.variable.resize(offset as usize + 4 + padded_len(bytes.len()), 0);
                }
                (FieldType::Variable, Field::Bytes(_)) => {}
                (kind, value) => {
                    return Err(invalid_input(format!(
                        "field {name} is a {kind:?} and not {value:?}"
                    )));
                }
            }
        }
        g.records += 1;
        if g.is_full() && !self.together { self.flush_type(kind) } else { Ok(()) }
    }

    /// Writes the records of a type that are not written yet.
    fn flush_type(&mut self, kind: &str) -> io::Result<()> {
        let Some(g) = self.growing.remove(kind).filter(|g| g.records > 0) else { return Ok(()) };
        self.index.push((self.at, kind.to_owned()));
        self.write_extent(&g)
    }

    /// Writes an extent with its checksums.
    fn write_extent(&mut self, g: &Growing) -> io::Result<()> {
        let order = Order { swapped: false };
        let sum = content_hash(&g.fixed, &g.variable, order).map_err(invalid_input)?;
        let (fixed_mode, fixed) = compress(&g.fixed)?;
        let (variable_mode, variable) = compress(&g.variable[4..])?;
        let mut bytes = Vec::with_capacity(HEAD + fixed.len() + variable.len() + 64);
        for n in
            [fixed.len() as u32, variable.len() as u32, g.records, g.variable.len() as u32, 0, sum]
        {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&[fixed_mode, variable_mode, g.kind.name.len() as u8, 0]);
        for part in [g.kind.name.as_bytes(), &fixed, &variable] {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let mut adler = simd_adler32::Adler32::new();
        adler.write(&bytes[..16]);
        adler.write(&bytes[20..]);
        bytes[16..20].copy_from_slice(&adler.finish().to_le_bytes());
        self.chain = mix_to_one(sum ^ adler.finish(), self.chain, CONTENT);
        self.at += bytes.len() as u64;
        self.out.write_all(&bytes)
    }

    /// Writes the remaining records, the index and the tail. Returns the output.
    pub fn finish(mut self) -> io::Result<W> {
        let mut kinds: Vec<String> = self.growing.keys().cloned().collect();
        kinds.sort();
        kinds.iter().try_for_each(|kind| self.flush_type(kind))?;
        let at = self.at;
        let mut all = std::mem::take(&mut self.index);
        all.push((at, INDEX_TYPE.to_owned()));
        for (offset, kind) in &all {
            self.add_record(
                INDEX_TYPE,
                &[
                    ("offset", Field::Int(*offset as i64)),
                    ("extenttype", Field::Bytes(kind.as_bytes())),
                ],
            )?;
        }
        self.flush_type(INDEX_TYPE)?;
        let len = (self.at - at) as u32;
        let mut tail = vec![0xff; 4];
        for n in [len, !len, self.chain] {
            tail.extend_from_slice(&n.to_le_bytes());
        }
        tail.extend_from_slice(&at.to_le_bytes());
        tail.extend_from_slice(&continue_hash(TAIL, &tail).to_le_bytes());
        self.out.write_all(&tail)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Compresses the bytes if that makes them shorter. Returns the compression mode and the bytes.
fn compress(bytes: &[u8]) -> io::Result<(u8, Vec<u8>)> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    let packed = encoder.finish()?;
    Ok(if packed.len() < bytes.len() { (ZLIB, packed) } else { (0, bytes.to_vec()) })
}
