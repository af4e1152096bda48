//! The blocks: trace, environment, clock, streams, events.

use super::grammar::Entry;
use super::types::Types;
use crate::ctf::layout::{EventClass, Metadata, StreamClass, Type};

/// The contents of the blocks so far.
pub(super) struct Blocks {
    metadata: Metadata,
    /// The event classes, each with the id of its stream class and its own id.
    events: Vec<(u64, u64, EventClass)>,
}

/// The value of an entry: what is on its right side.
enum EntryValue<'e> {
    Plain(&'e str),
    Type(Type),
}

impl Blocks {
    pub fn new(big_endian: bool) -> Self {
        let metadata = Metadata { big_endian, frequency: 1_000_000_000, ..Metadata::default() };
        Self { metadata, events: Vec::new() }
    }

    /// Adds the block `name` with its entries. Fails if the language has no such block, or if one
    /// of its entries is wrong.
    pub fn add_block(
        &mut self,
        name: &str,
        entries: &[Entry<'_>],
        types: &mut Types,
    ) -> Result<(), String> {
        let mut block = Vec::new();
        for entry in entries {
            match entry {
                Entry::Define(definition) => types.define(definition)?,
                Entry::Value(name, value) => block.push((name.as_str(), EntryValue::Plain(value))),
                Entry::Type(name, spec) => {
                    block.push((name.as_str(), EntryValue::Type(types.layout(spec)?)));
                }
            }
        }
        let metadata = &mut self.metadata;
        match name {
            "trace" => {
                for (name, value) in block {
                    if let ("packet.header", EntryValue::Type(kind)) = (name, value) {
                        metadata.packet_header = Some(kind);
                    }
                }
            }
            "env" => {
                metadata.env = block.into_iter().filter_map(plain_value).collect();
            }
            "clock" => set_clock(&block, metadata),
            "stream" => {
                let (id, stream) = stream_class(block)?;
                metadata.streams.insert(id, stream);
            }
            "event" => self.events.push(event_class(block)?),
            "callsite" => {}
            other => return Err(format!("the metadata has a block {other:?}")),
        }
        Ok(())
    }

    /// Returns the metadata, with each event class in its stream class.
    pub fn finish(self) -> Metadata {
        let mut metadata = self.metadata;
        for (stream, id, class) in self.events {
            metadata.streams.entry(stream).or_default().events.insert(id, class);
        }
        metadata
    }
}

/// Returns the entry's name and value, if the value is plain and no type.
fn plain_value((name, value): (&str, EntryValue<'_>)) -> Option<(String, String)> {
    if let EntryValue::Plain(value) = value {
        Some((name.to_owned(), value.to_owned()))
    } else {
        None
    }
}

/// Sets the frequency and the offset of the trace's clock from its block.
fn set_clock(block: &[(&str, EntryValue<'_>)], metadata: &mut Metadata) {
    let number = |wanted: &str| {
        block.iter().find_map(|(name, value)| {
            if let EntryValue::Plain(v) = value {
                v.parse::<i128>().ok().filter(|_| *name == wanted)
            } else {
                None
            }
        })
    };
    let frequency =
        number("freq").filter(|f| (1..=1_000_000_000_000).contains(f)).unwrap_or(1_000_000_000);
    metadata.frequency = frequency as u64;
    // Within a thousand years of 1970, so that no sum of them overflows.
    let limit = |v: i128| v.clamp(-(1 << 75), 1 << 75);
    metadata.offset = limit(number("offset_s").unwrap_or(0)) * 1_000_000_000
        + limit(number("offset").unwrap_or(0)) * 1_000_000_000 / frequency;
}

/// Returns the id of a stream class, and the class, from its block.
fn stream_class(block: Vec<(&str, EntryValue<'_>)>) -> Result<(u64, StreamClass), String> {
    let (mut stream, mut id) = (StreamClass::default(), 0);
    for (name, value) in block {
        match (name, value) {
            ("id", EntryValue::Plain(n)) => {
                id = n.parse().map_err(|_| "a stream without a number")?;
            }
            ("event.header", EntryValue::Type(kind)) => stream.header = Some(kind),
            ("packet.context", EntryValue::Type(kind)) => stream.packet = Some(kind),
            ("event.context", EntryValue::Type(kind)) => stream.context = Some(kind),
            _ => {}
        }
    }
    Ok((id, stream))
}

/// Returns the id of an event's stream class, the id of its own class, and this class, from its
/// block.
fn event_class(block: Vec<(&str, EntryValue<'_>)>) -> Result<(u64, u64, EventClass), String> {
    let mut class = EventClass::named(String::new());
    let (mut id, mut stream) = (0u64, 0u64);
    for (name, value) in block {
        match (name, value) {
            ("name", EntryValue::Plain(name)) => {
                class = EventClass {
                    context: class.context,
                    fields: class.fields,
                    ..EventClass::named(name.to_owned())
                }
            }
            ("id", EntryValue::Plain(n)) => {
                id = n.parse().map_err(|_| "an event without a number")?;
            }
            ("stream_id", EntryValue::Plain(n)) => {
                stream = n.parse().map_err(|_| "an event without a stream")?;
            }
            ("context", EntryValue::Type(t)) => class.context = Some(t),
            ("fields", EntryValue::Type(t)) => class.fields = Some(t),
            _ => {}
        }
    }
    Ok((stream, id, class))
}
