//! How things are laid out: types, and what the metadata says of the trace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Int {
    /// Bits.
    pub size: u32,
    /// Bits that its place is a multiple of.
    pub align: u32,
    /// Two's complement.
    pub signed: bool,
    /// Most significant byte first.
    pub big_endian: bool,
    /// What it is printed in: 10, 16, 8, 2.
    pub base: u32,
    /// A character.
    pub text: bool,
    /// A reading of the trace's clock.
    pub clock: bool,
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// An integer.
    Int(Int),
    /// A floating-point number: bits of exponent and of mantissa with its sign, alignment.
    Float(u32, u32, u32),
    /// Bytes up to a NUL.
    String,
    /// An integer whose values have names: the name, from, to.
    Enum(Int, Arc<Vec<(String, i128, i128)>>),
    /// Fields one after the other; and the least alignment.
    Struct(Arc<Vec<(Arc<str>, Type)>>, u32),
    /// One of several, chosen by the name that the enumeration in a field has.
    Variant(Arc<str>, Arc<Vec<(Arc<str>, Type)>>),
    /// So many of one type.
    Array(u64, Arc<Type>),
    /// As many of one type as a field says.
    Sequence(Arc<str>, Arc<Type>),
}

impl Type {
    /// Bits that its place is a multiple of.
    pub fn align(&self) -> u32 {
        match self {
            Self::Int(i) | Self::Enum(i, _) => i.align,
            Self::Float(_, _, align) => *align,
            Self::String => 8,
            Self::Struct(fields, least) => fields.iter().map(|(_, t)| t.align()).max().unwrap_or(1).max(*least),
            Self::Variant(..) => 1,
            Self::Array(_, t) | Self::Sequence(_, t) => t.align(),
        }
    }
}

/// A kind of stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Before each event.
    pub header: Option<Type>,
    /// Before the events of a packet.
    pub packet: Option<Type>,
    /// After each event's header.
    pub context: Option<Type>,
    /// Its kinds of event.
    pub events: HashMap<u64, Arc<Kind>>,
}

/// A kind of event.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// After the stream's context.
    pub context: Option<Type>,
    /// What it tells.
    pub fields: Option<Type>,
}

/// What the metadata says.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// At the beginning of each packet.
    pub packet_header: Option<Type>,
    /// Numbers are big-endian.
    pub big_endian: bool,
    /// Kinds of streams, by their numbers.
    pub streams: BTreeMap<u64, Stream>,
    /// The environment: names and values.
    pub env: BTreeMap<String, String>,
    /// Ticks of the clock per second.
    pub frequency: u64,
    /// Nanoseconds since 1970 when the clock read 0.
    pub offset: i128,
}
