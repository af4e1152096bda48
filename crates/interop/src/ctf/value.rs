//! Decoded values and events.

use super::layout::{EventClass, Fields, Names};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'t> {
    /// A number, and how it is printed.
    Unsigned(u64, u32),
    /// A number.
    Signed(i64, u32),
    /// A number.
    Float(f64),
    /// Text.
    Text(Vec<u8>),
    /// A number, and the names of its type.
    Enum(i128, &'t Names),
    /// Fields, and their values.
    Struct(&'t Fields, Vec<Value<'t>>),
    /// Elements.
    Array(Vec<Value<'t>>),
}

impl<'t> Value<'t> {
    /// Returns the fields of a struct with their names. Empty for other values.
    pub fn fields(&self) -> impl Iterator<Item = (&'t str, &Self)> {
        let (fields, values): (&'t Fields, &[Self]) =
            if let Self::Struct(f, v) = self { (f, v) } else { (&[], &[]) };
        fields.iter().map(|(name, _)| &**name).zip(values)
    }
    /// Returns the field of this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.fields().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
    /// Returns the names that an enum has for its number.
    pub fn enum_names(&self) -> impl Iterator<Item = &'t str> {
        let (value, names): (i128, &'t Names) =
            if let Self::Enum(v, n) = self { (*v, n) } else { (0, &[]) };
        names
            .iter()
            .filter(move |(_, from, to)| (*from..=*to).contains(&value))
            .map(|(n, _, _)| n.as_str())
    }
    /// Returns a number as a register holds it. Returns `None` for values that are no numbers.
    pub fn to_register(&self) -> Option<u64> {
        match self {
            Self::Unsigned(v, _) => Some(*v),
            Self::Signed(v, _) => Some(v.cast_unsigned()),
            Self::Enum(v, _) => Some(*v as u64),
            _ => None,
        }
    }
}

/// An event.
#[derive(Clone, Debug)]
pub struct Event<'t> {
    /// The time in nanoseconds since 1970.
    pub time: u64,
    /// The CPU, if the packet has it.
    pub cpu: Option<u64>,
    /// Its class.
    pub kind: &'t EventClass,
    /// The stream's context.
    pub context: Value<'t>,
    /// Its payload.
    pub fields: Value<'t>,
}
