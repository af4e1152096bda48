//! The metadata's blocks: trace, clock, streams, events.

use super::tokens::tokens;
use super::{Parser, Right};
use crate::ctf::layout::{Kind, Metadata, Stream};
use ahash::HashMap;

/// Reads the metadata's text.
pub(crate) fn parse(text: &str) -> Result<Metadata, String> {
    let big_endian = text.lines().any(|l| l.trim() == "byte_order = be;");
    let mut p = Parser {
        tokens: tokens(text)?.into_iter().peekable(),
        aliases: HashMap::default(),
        big_endian,
        deep: 0,
        height: 0,
    };
    let mut metadata = Metadata { big_endian, frequency: 1_000_000_000, ..Metadata::default() };
    let mut events = Vec::new();
    while p.tokens.peek().is_some() {
        (p.deep, p.height) = (0, 0);
        let word = p.word()?;
        match word.as_str() {
            "typealias" => {
                p.alias()?;
                continue;
            }
            "struct" | "variant" | "enum" => {
                p.named(&word)?;
            }
            "trace" => {
                for (name, value) in p.block()? {
                    if let ("packet.header", Right::Type(kind)) = (name.as_str(), value) {
                        metadata.packet_header = Some(kind);
                    }
                }
            }
            "env" => {
                let plain = |(name, value)| {
                    if let Right::Plain(value) = value { Some((name, value)) } else { None }
                };
                metadata.env = p.block()?.into_iter().filter_map(plain).collect();
            }
            "clock" => clock(&p.block()?, &mut metadata),
            "stream" => {
                let (id, stream) = stream(p.block()?)?;
                metadata.streams.insert(id, stream);
            }
            "event" => events.push(event(p.block()?)?),
            "callsite" => {
                p.block()?;
            }
            other => return Err(format!("the metadata has a block {other:?}")),
        }
        p.expect(";")?;
    }
    for (stream, id, kind) in events {
        metadata.streams.entry(stream).or_default().events.insert(id, kind);
    }
    Ok(metadata)
}

fn clock(block: &[(String, Right)], metadata: &mut Metadata) {
    let number = |wanted: &str| {
        block.iter().find_map(|(name, value)| {
            if let Right::Plain(v) = value {
                v.parse::<i128>().ok().filter(|_| name == wanted)
            } else {
                None
            }
        })
    };
    let frequency =
        number("freq").filter(|f| (1..=1_000_000_000_000).contains(f)).unwrap_or(1_000_000_000);
    metadata.frequency = frequency as u64;
    // Within a thousand years of 1970, so that no sum of them overflows.
    let within = |v: i128| v.clamp(-(1 << 75), 1 << 75);
    metadata.offset = within(number("offset_s").unwrap_or(0)) * 1_000_000_000
        + within(number("offset").unwrap_or(0)) * 1_000_000_000 / frequency;
}

/// A kind of stream, and its number.
fn stream(block: Vec<(String, Right)>) -> Result<(u64, Stream), String> {
    let (mut stream, mut id) = (Stream::default(), 0);
    for (name, value) in block {
        match (name.as_str(), value) {
            ("id", Right::Plain(n)) => {
                id = n.parse().map_err(|_| "a stream without a number")?;
            }
            ("event.header", Right::Type(kind)) => stream.header = Some(kind),
            ("packet.context", Right::Type(kind)) => stream.packet = Some(kind),
            ("event.context", Right::Type(kind)) => stream.context = Some(kind),
            _ => {}
        }
    }
    Ok((id, stream))
}

/// The number of a stream's kind, that of an event's, and this.
fn event(block: Vec<(String, Right)>) -> Result<(u64, u64, Kind), String> {
    let mut kind = Kind::named(String::new());
    let (mut id, mut stream) = (0u64, 0u64);
    for (name, value) in block {
        match (name.as_str(), value) {
            ("name", Right::Plain(name)) => {
                kind = Kind { context: kind.context, fields: kind.fields, ..Kind::named(name) }
            }
            ("id", Right::Plain(n)) => {
                id = n.parse().map_err(|_| "an event without a number")?;
            }
            ("stream_id", Right::Plain(n)) => {
                stream = n.parse().map_err(|_| "an event without a stream")?;
            }
            ("context", Right::Type(t)) => kind.context = Some(t),
            ("fields", Right::Type(t)) => kind.fields = Some(t),
            _ => {}
        }
    }
    Ok((stream, id, kind))
}
