//! The metadata's language: C's declarations, and blocks of `name = value`.

use super::layout::{Int, Kind, Metadata, Stream, Type};
use ahash::HashMap;
use std::sync::Arc;

/// Types within types.
const DEEP: usize = 64;
const PACKET: u32 = 0x75d1_1d57;
const PACKET_HEAD: usize = 37;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i128),
    Sign(&'static str),
}

const SIGNS: [&str; 17] =
    [":=", "...", "->", "{", "}", "(", ")", "[", "]", "<", ">", ";", ",", "=", ":", ".", "-"];

/// The text of a metadata file: LTTng writes it in packets.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let word = |at: usize, big: bool| {
        let b: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    };
    let Some(big) = [false, true].into_iter().find(|big| word(0, *big) == Some(PACKET)) else {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (content, whole) = (
            word(at + 24, big).unwrap_or(0) as usize / 8,
            word(at + 28, big).unwrap_or(0) as usize / 8,
        );
        if word(at, big) != Some(PACKET) || content < PACKET_HEAD || whole < content {
            return Err(format!("the metadata's packet at byte {at} is none"));
        }
        out.extend_from_slice(
            bytes.get(at + PACKET_HEAD..at + content).ok_or("the metadata ends within a packet")?,
        );
        at += whole;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if first == '"' {
            let (mut text, mut chars) = (String::new(), rest[1..].char_indices());
            rest = loop {
                match chars.next() {
                    Some((at, '"')) => break &rest[1 + at + 1..],
                    Some((_, '\\')) => {
                        text.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c }))
                    }
                    Some((_, c)) => text.push(c),
                    None => return Err("a text without an end".to_owned()),
                }
            };
            tokens.push(Token::Text(text));
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let digits = rest[..end].trim_end_matches(['u', 'U', 'l', 'L']);
            let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => i128::from_str_radix(hex, 16),
                None if digits.len() > 1 && digits.starts_with('0') => {
                    i128::from_str_radix(digits, 8)
                }
                None => digits.parse(),
            };
            tokens.push(Token::Number(value.map_err(|_| format!("{digits} is no number"))?));
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            let sign = SIGNS
                .iter()
                .find(|s| rest.starts_with(**s))
                .ok_or_else(|| format!("{first:?} means nothing"))?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
    }
}

/// A value on the right side.
#[derive(Clone, Debug)]
enum Right {
    Plain(String),
    Type(Type),
}

/// The parser: tokens, and the names given so far.
struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    aliases: HashMap<String, Type>,
    big_endian: bool,
    deep: usize,
}

type Fields = Vec<(Arc<str>, Type)>;

impl Parser {
    fn is(&mut self, sign: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token::Sign(s)) if *s == sign)
    }
    fn take(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        if is {
            self.tokens.next();
        }
        is
    }
    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(format!("{sign} expected before {:?}", self.tokens.peek()))
        }
    }
    fn word(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok(word),
            other => Err(format!("a name expected and not {other:?}")),
        }
    }
    fn is_word(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.peek(), Some(Token::Word(w)) if w == word);
        if is {
            self.tokens.next();
        }
        is
    }
    fn number(&mut self) -> Result<i128, String> {
        let negative = self.take("-");
        match self.tokens.next() {
            Some(Token::Number(n)) => Ok(if negative { -n } else { n }),
            other => Err(format!("a number expected and not {other:?}")),
        }
    }

    /// `name = value;` and `name := type;` up to the closing brace.
    fn block(&mut self) -> Result<Vec<(String, Right)>, String> {
        let mut all = Vec::new();
        self.expect("{")?;
        while !self.take("}") {
            let mut name = self.word()?;
            if name == "typealias" {
                self.alias()?;
                continue;
            }
            if matches!(name.as_str(), "struct" | "variant" | "enum") {
                self.named(&name)?;
                self.expect(";")?;
                continue;
            }
            while self.take(".") {
                name = format!("{name}.{}", self.word()?);
            }
            if self.take(":=") {
                all.push((name, Right::Type(self.kind()?)));
            } else {
                self.expect("=")?;
                all.push((name, Right::Plain(self.plain()?)));
            }
            self.expect(";")?;
        }
        Ok(all)
    }

    /// A text, a number, or a dotted name.
    fn plain(&mut self) -> Result<String, String> {
        if self.is("-") {
            return Ok(self.number()?.to_string());
        }
        match self.tokens.next() {
            Some(Token::Text(text)) => Ok(text),
            Some(Token::Number(n)) => Ok(n.to_string()),
            Some(Token::Word(mut word)) => {
                while self.take(".") {
                    word = format!("{word}.{}", self.word()?);
                }
                Ok(word)
            }
            other => Err(format!("a value expected and not {other:?}")),
        }
    }

    fn alias(&mut self) -> Result<(), String> {
        let kind = self.kind()?;
        self.expect(":=")?;
        let name = self.words()?;
        self.aliases.insert(name, kind);
        self.expect(";")
    }

    /// A name of several words.
    fn words(&mut self) -> Result<String, String> {
        let mut name = self.word()?;
        while let Some(Token::Word(_)) = self.tokens.peek() {
            name = format!("{name} {}", self.word()?);
        }
        Ok(name)
    }

    fn kind(&mut self) -> Result<Type, String> {
        self.deep += 1;
        if self.deep > DEEP {
            return Err("types nested too deep".to_owned());
        }
        let word = self.word()?;
        let kind = match word.as_str() {
            "integer" => Type::Int(self.integer()?),
            "floating_point" => self.float()?,
            "string" => {
                if self.is("{") {
                    self.block()?;
                }
                Type::String
            }
            "struct" | "variant" | "enum" => self.named(&word)?,
            _ => {
                let mut name = word;
                // A type's name may have several words; the last word is what it names, unless all of them are the type.
                while !self.aliases.contains_key(&name) {
                    match self.tokens.peek() {
                        Some(Token::Word(_)) => name = format!("{name} {}", self.word()?),
                        _ => return Err(format!("the type {name} is unknown")),
                    }
                }
                self.aliases[&name].clone()
            }
        };
        self.deep -= 1;
        Ok(kind)
    }

    /// A struct, a variant or an enumeration; one with a name is remembered.
    fn named(&mut self, word: &str) -> Result<Type, String> {
        let name = match self.tokens.peek() {
            Some(Token::Word(_)) => Some(format!("{word} {}", self.word()?)),
            _ => None,
        };
        let tag = if word == "variant" && self.take("<") {
            let mut tag = self.word()?;
            while self.take(".") {
                tag = self.word()?;
            }
            self.expect(">")?;
            Some(tag.strip_prefix('_').unwrap_or(&tag).to_owned())
        } else {
            None
        };
        let container = if word == "enum" && self.take(":") { Some(self.kind()?) } else { None };
        if !self.is("{") {
            let known = name
                .as_ref()
                .and_then(|n| self.aliases.get(n))
                .cloned()
                .ok_or_else(|| format!("the type {name:?} is unknown"))?;
            return Ok(match (known, tag) {
                (Type::Variant(_, options), Some(tag)) => Type::Variant(tag.into(), options),
                (known, _) => known,
            });
        }
        let kind = match word {
            "enum" => self.enumeration(container)?,
            "variant" => Type::Variant(tag.unwrap_or_default().into(), Arc::new(self.fields()?)),
            _ => {
                let fields = self.fields()?;
                let mut align = 1;
                if self.is_word("align") {
                    self.expect("(")?;
                    align = alignment(self.number()?)?;
                    self.expect(")")?;
                }
                Type::structure(fields, align)
            }
        };
        if let Some(name) = name {
            self.aliases.insert(name, kind.clone());
        }
        Ok(kind)
    }

    fn fields(&mut self) -> Result<Fields, String> {
        let mut fields = Fields::new();
        self.expect("{")?;
        while !self.take("}") {
            if self.is_word("typealias") {
                self.alias()?;
                continue;
            }
            let kind = self.kind()?;
            loop {
                // LTTng puts an underscore before each name, so that none is a word of the language.
                let name = self.word()?;
                let name: Arc<str> = name.strip_prefix('_').unwrap_or(&name).into();
                let mut lengths = Vec::new();
                while self.take("[") {
                    lengths.push(match self.tokens.peek() {
                        Some(Token::Number(_)) => Ok(u64::try_from(self.number()?)
                            .map_err(|_| "an array of negative length")?),
                        _ => {
                            let mut field = self.word()?;
                            while self.take(".") {
                                field = self.word()?;
                            }
                            Err(field.strip_prefix('_').unwrap_or(&field).into())
                        }
                    });
                    self.expect("]")?;
                }
                let kind =
                    lengths.into_iter().rev().fold(kind.clone(), |kind, length| match length {
                        Ok(n) => Type::Array(n, Arc::new(kind)),
                        Err(field) => Type::Sequence(field, Arc::new(kind)),
                    });
                fields.push((name, kind));
                if !self.take(",") {
                    break;
                }
            }
            self.expect(";")?;
        }
        Ok(fields)
    }

    fn enumeration(&mut self, container: Option<Type>) -> Result<Type, String> {
        let Some(Type::Int(int)) = container.or_else(|| self.aliases.get("int").cloned()) else {
            return Err("an enumeration of what is no integer".to_owned());
        };
        let (mut names, mut next) = (Vec::new(), 0);
        self.expect("{")?;
        while !self.take("}") {
            let name = match self.tokens.next() {
                Some(Token::Word(name) | Token::Text(name)) => name,
                other => return Err(format!("a name expected and not {other:?}")),
            };
            let (mut from, mut to) = (next, next);
            if self.take("=") {
                from = self.number()?;
                to = if self.take("...") { self.number()? } else { from };
            }
            next = to + 1;
            names.push((name, from, to));
            if !self.take(",") && !self.is("}") {
                return Err("a comma expected in an enumeration".to_owned());
            }
        }
        Ok(Type::Enum(int, Arc::new(names)))
    }

    fn integer(&mut self) -> Result<Int, String> {
        let mut int = Int {
            size: 0,
            align: 0,
            signed: false,
            big_endian: self.big_endian,
            base: 10,
            text: false,
            clock: false,
        };
        for (name, value) in self.block()? {
            let Right::Plain(value) = value else { continue };
            let number = || {
                value
                    .parse::<u32>()
                    .map_err(|_| format!("{name} = {value} of an integer means nothing"))
            };
            match name.as_str() {
                "size" => int.size = number()?,
                "align" => int.align = alignment(number()?.into())?,
                "signed" => int.signed = matches!(value.as_str(), "1" | "true" | "TRUE"),
                "byte_order" => {
                    int.big_endian = matches!(value.as_str(), "be" | "network")
                        || (value == "native" && self.big_endian)
                }
                "base" => {
                    int.base = match value.as_str() {
                        "x" | "hex" | "hexadecimal" | "p" => 16,
                        "o" | "oct" | "octal" => 8,
                        "b" | "binary" => 2,
                        _ => value.parse().unwrap_or(10),
                    }
                }
                "encoding" => {
                    int.text = matches!(value.to_ascii_uppercase().as_str(), "UTF8" | "ASCII")
                }
                "map" => int.clock = true,
                _ => {}
            }
        }
        if int.align == 0 {
            int.align = if int.size.is_multiple_of(8) { 8 } else { 1 };
        }
        if !(1..=64).contains(&int.size) {
            return Err(format!("an integer of {} bits", int.size));
        }
        Ok(int)
    }

    fn float(&mut self) -> Result<Type, String> {
        let (mut exponent, mut mantissa, mut align) = (8, 24, 8);
        for (name, value) in self.block()? {
            let Right::Plain(value) = value else { continue };
            match (name.as_str(), value.parse()) {
                ("exp_dig", Ok(n)) => exponent = n,
                ("mant_dig", Ok(n)) => mantissa = n,
                ("align", Ok(n)) => align = alignment(n.into())?,
                _ => {}
            }
        }
        match (exponent, mantissa) {
            (8, 24) | (11, 53) => Ok(Type::Float(exponent, mantissa, align)),
            _ => Err("a floating-point number of unknown width".to_owned()),
        }
    }
}

/// An alignment in bits: a power of two (CTF 1.8, 4.1.2).
fn alignment(n: i128) -> Result<u32, String> {
    u32::try_from(n)
        .ok()
        .filter(|n| n.is_power_of_two() && *n <= 1 << 16)
        .ok_or_else(|| format!("an alignment of {n} bits"))
}

/// Reads the metadata's text.
pub(super) fn parse(text: &str) -> Result<Metadata, String> {
    let big_endian = text.lines().any(|l| l.trim() == "byte_order = be;");
    let mut p = Parser {
        tokens: tokens(text)?.into_iter().peekable(),
        aliases: HashMap::default(),
        big_endian,
        deep: 0,
    };
    let mut metadata = Metadata { big_endian, frequency: 1_000_000_000, ..Metadata::default() };
    let mut events = Vec::new();
    while p.tokens.peek().is_some() {
        p.deep = 0;
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
                let (mut stream, mut id) = (Stream::default(), 0);
                for (name, value) in p.block()? {
                    match (name.as_str(), value) {
                        ("id", Right::Plain(n)) => {
                            id = n.parse().map_err(|_| "a stream without a number")?
                        }
                        ("event.header", Right::Type(kind)) => stream.header = Some(kind),
                        ("packet.context", Right::Type(kind)) => stream.packet = Some(kind),
                        ("event.context", Right::Type(kind)) => stream.context = Some(kind),
                        _ => {}
                    }
                }
                metadata.streams.insert(id, stream);
            }
            "event" => {
                let mut kind = Kind::named(String::new());
                let (mut id, mut stream) = (0u64, 0u64);
                for (name, value) in p.block()? {
                    match (name.as_str(), value) {
                        ("name", Right::Plain(name)) => {
                            kind = Kind {
                                context: kind.context,
                                fields: kind.fields,
                                ..Kind::named(name)
                            }
                        }
                        ("id", Right::Plain(n)) => {
                            id = n.parse().map_err(|_| "an event without a number")?
                        }
                        ("stream_id", Right::Plain(n)) => {
                            stream = n.parse().map_err(|_| "an event without a stream")?
                        }
                        ("context", Right::Type(t)) => kind.context = Some(t),
                        ("fields", Right::Type(t)) => kind.fields = Some(t),
                        _ => {}
                    }
                }
                events.push((stream, id, kind));
            }
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
