//! How things are laid out: types, and what the metadata says of the trace.

use ahash::HashMap;
use std::collections::BTreeMap;
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

/// A struct's fields in order: name, type.
pub type Fields = [(Arc<str>, Type)];
/// An enumeration's names: name, from, to.
pub type Names = [(String, i128, i128)];

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
    /// Fields one after the other; and the struct's alignment ([`Type::structure`]).
    Struct(Arc<Vec<(Arc<str>, Type)>>, u32),
    /// One of several, chosen by the name that the enumeration in a field has.
    Variant(Arc<str>, Arc<Vec<(Arc<str>, Type)>>),
    /// So many of one type.
    Array(u64, Arc<Type>),
    /// As many of one type as a field says.
    Sequence(Arc<str>, Arc<Type>),
}

impl Type {
    /// A struct, aligned as its fields are, and as `least` at least.
    pub fn structure(fields: Vec<(Arc<str>, Self)>, least: u32) -> Self {
        let align = fields.iter().map(|(_, t)| t.align()).max().unwrap_or(1).max(least);
        Self::Struct(Arc::new(fields), align)
    }
    /// Bits that its place is a multiple of.
    pub fn align(&self) -> u32 {
        match self {
            Self::Int(i) | Self::Enum(i, _) => i.align,
            Self::Float(_, _, align) => *align,
            Self::String => 8,
            Self::Struct(_, align) => *align,
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
    pub events: HashMap<u64, Kind>,
}

impl Stream {
    /// Whether each of its events tells which thread it is about.
    pub fn tells_thread(&self) -> bool {
        matches!(&self.context, Some(Type::Struct(fields, _))
            if fields.iter().any(|(name, _)| **name == *"tid"))
    }
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
    /// The system call that it is an end of.
    pub call: Option<End>,
}

/// An end of a system call.
#[derive(Clone, Debug)]
pub struct End {
    /// The call's row in the table, if it has one.
    pub row: Option<&'static abi::Row>,
    /// It is entered, not left.
    pub entry: bool,
}

impl Kind {
    /// A kind of this name.
    pub fn named(name: String) -> Self {
        Self { call: End::of(&name), name, context: None, fields: None }
    }
}

impl End {
    /// What an event's name tells.
    fn of(name: &str) -> Option<Self> {
        let (name, entry) = match name.strip_prefix("syscall_entry_") {
            Some(name) => (name, true),
            None => (name.strip_prefix("syscall_exit_")?, false),
        };
        Some(Self { row: abi::by_name(kernel_name(name)), entry })
    }
    /// Whether the call makes a thread or process.
    pub fn forks(&self) -> bool {
        self.row.is_some_and(|r| r.shape.effect == abi::Effect::Fork)
    }
}

/// The table's name for a call: LTTng goes by the kernel's function.
fn kernel_name(name: &str) -> &str {
    let known = |name: &str| abi::by_name(name).is_some();
    match name {
        "umount" => "umount2",
        _ if known(name) => name,
        _ if let Some(short) = name.strip_prefix("new").filter(|n| known(n)) => short,
        _ => name.strip_suffix("64").filter(|n| known(n)).unwrap_or(name),
    }
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
