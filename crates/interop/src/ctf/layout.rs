//! The layout of a trace, as its metadata describes it: types, stream classes, event classes.

use ahash::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Int {
    /// Its size in bits.
    pub size: u32,
    /// Its alignment in bits.
    pub align: u32,
    /// Whether it has a sign (two's complement).
    pub signed: bool,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// The base in which it is printed: 10, 16, 8, 2.
    pub base: u32,
    /// Whether it is a character: the type has an encoding.
    pub is_character: bool,
    /// Whether it is a reading of the trace's clock: the type is mapped to the clock.
    pub is_clock: bool,
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
    /// One of several types, chosen by the label of the enumeration in a field.
    Variant(Arc<str>, Arc<Vec<(Arc<str>, Type)>>),
    /// A fixed number of elements of one type.
    Array(u64, Arc<Type>),
    /// As many elements of one type as the field of this name says.
    Sequence(Arc<str>, Arc<Type>),
}

impl Type {
    /// Creates the type of a struct. It is aligned as its fields need, and to at least `least`
    /// bits.
    pub fn structure(fields: Vec<(Arc<str>, Self)>, least: u32) -> Self {
        let align = fields.iter().map(|(_, t)| t.align()).max().unwrap_or(1).max(least);
        Self::Struct(Arc::new(fields), align)
    }
    /// Returns the alignment in bits.
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

/// A stream class: the layout of streams of one kind.
#[derive(Clone, Debug, Default)]
pub struct StreamClass {
    /// The header before each event.
    pub header: Option<Type>,
    /// The context before the events of a packet.
    pub packet: Option<Type>,
    /// The context after each event's header.
    pub context: Option<Type>,
    /// Its event classes, by number.
    pub events: HashMap<u64, EventClass>,
}

impl StreamClass {
    /// Returns whether each event of the stream has the context `tid`.
    pub fn has_thread(&self) -> bool {
        matches!(&self.context, Some(Type::Struct(fields, _))
            if fields.iter().any(|(name, _)| **name == *"tid"))
    }
}

/// An event class: the layout of events of one kind.
#[derive(Clone, Debug)]
pub struct EventClass {
    /// Its name.
    pub name: String,
    /// The context of its own, after that of the stream.
    pub context: Option<Type>,
    /// Its payload.
    pub fields: Option<Type>,
    /// The system call whose entry or exit it is.
    pub call: Option<SyscallEvent>,
}

/// The entry or the exit of a system call.
#[derive(Clone, Debug)]
pub struct SyscallEvent {
    /// The call's row in the table, if it has one.
    pub row: Option<&'static abi::Row>,
    /// Whether it is the entry.
    pub entry: bool,
}

impl EventClass {
    /// Creates an event class without fields.
    pub fn named(name: String) -> Self {
        Self { call: SyscallEvent::from_event_name(&name), name, context: None, fields: None }
    }
}

impl SyscallEvent {
    /// Returns the call in an event's name, if it is the entry or exit of one.
    fn from_event_name(name: &str) -> Option<Self> {
        let (name, entry) = match name.strip_prefix("syscall_entry_") {
            Some(name) => (name, true),
            None => (name.strip_prefix("syscall_exit_")?, false),
        };
        Some(Self { row: abi::by_name(table_name(name)), entry })
    }
    /// Returns whether the call starts a thread or process.
    pub fn is_fork(&self) -> bool {
        self.row.is_some_and(|r| r.spec.effect == abi::Effect::Fork)
    }
}

/// Returns the name in the table of a call that LTTng names by the kernel's function.
fn table_name(name: &str) -> &str {
    let known = |name: &str| abi::by_name(name).is_some();
    match name {
        "umount" => "umount2",
        _ if known(name) => name,
        _ if let Some(short) = name.strip_prefix("new").filter(|n| known(n)) => short,
        _ => name.strip_suffix("64").filter(|n| known(n)).unwrap_or(name),
    }
}

/// The contents of the metadata.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// The header at the beginning of each packet.
    pub packet_header: Option<Type>,
    /// Whether numbers are big-endian, unless their types say otherwise.
    pub big_endian: bool,
    /// Stream classes, by their numbers.
    pub streams: BTreeMap<u64, StreamClass>,
    /// The environment: names and values.
    pub env: BTreeMap<String, String>,
    /// Ticks of the clock per second.
    pub frequency: u64,
    /// The time when the clock was 0, in nanoseconds since 1970.
    pub offset: i128,
}
