//! The metadata's language: C's declarations, and blocks of `name = value`.

mod blocks;
mod tokens;

use super::layout::{Int, Type};
use ahash::HashMap;
pub(crate) use blocks::parse;
use std::sync::Arc;
use tokens::Token;
pub(crate) use tokens::text;

/// Types within types.
const DEEP: usize = 64;
/// Fields of a struct, and names of an enumeration.
const MEMBERS: usize = 1 << 14;
/// Words of a type's name.
const WORDS: usize = 16;

/// A value on the right side.
#[derive(Clone, Debug)]
enum Right {
    Plain(String),
    Type(Type),
}

/// The parser: tokens, and the names given so far.
struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Types by name, and their heights.
    aliases: HashMap<String, (Type, usize)>,
    big_endian: bool,
    /// Types around what is being read.
    deep: usize,
    /// The height of the highest type read since this was 0: how many types lie within it. Names
    /// lend their heights, so that a chain of names cannot make a type that is deeper than `DEEP`.
    height: usize,
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
                name.push('.');
                name.push_str(&self.word()?);
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
                    word.push('.');
                    word.push_str(&self.word()?);
                }
                Ok(word)
            }
            other => Err(format!("a value expected and not {other:?}")),
        }
    }

    fn alias(&mut self) -> Result<(), String> {
        let outer = std::mem::take(&mut self.height);
        let kind = self.kind()?;
        let height = std::mem::replace(&mut self.height, outer);
        self.expect(":=")?;
        let name = self.words()?;
        self.aliases.insert(name, (kind, height));
        self.expect(";")
    }

    /// A name of several words.
    fn words(&mut self) -> Result<String, String> {
        let mut name = self.word()?;
        while let Some(Token::Word(_)) = self.tokens.peek() {
            name = self.longer(&name)?;
        }
        Ok(name)
    }

    /// A name and its next word.
    fn longer(&mut self, name: &str) -> Result<String, String> {
        if name.matches(' ').count() + 1 >= WORDS {
            return Err(format!("a name of more than {WORDS} words"));
        }
        Ok(format!("{name} {}", self.word()?))
    }

    /// What was read is a type around the highest one within, `more` types higher.
    fn higher(&mut self, more: usize) -> Result<(), String> {
        self.height += more;
        if self.height > DEEP { Err("types nested too deep".to_owned()) } else { Ok(()) }
    }

    /// The type of this name, if there is one.
    fn named_before(&mut self, name: &str) -> Option<Type> {
        let (kind, height) = self.aliases.get(name)?;
        self.height = self.height.max(*height);
        Some(kind.clone())
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
                loop {
                    if let Some(kind) = self.named_before(&name) {
                        break kind;
                    }
                    match self.tokens.peek() {
                        Some(Token::Word(_)) => name = self.longer(&name)?,
                        _ => return Err(format!("the type {name} is unknown")),
                    }
                }
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
                .and_then(|n| self.named_before(n))
                .ok_or_else(|| format!("the type {name:?} is unknown"))?;
            return Ok(match (known, tag) {
                (Type::Variant(_, options), Some(tag)) => Type::Variant(tag.into(), options),
                (known, _) => known,
            });
        }
        let outer = std::mem::take(&mut self.height);
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
        self.higher(1)?;
        if let Some(name) = name {
            self.aliases.insert(name, (kind.clone(), self.height));
        }
        self.height = self.height.max(outer);
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
            let mut highest = std::mem::take(&mut self.height);
            let kind = self.kind()?;
            let height = self.height;
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
                    if lengths.len() > DEEP {
                        return Err("types nested too deep".to_owned());
                    }
                }
                self.height = height;
                self.higher(lengths.len())?;
                highest = highest.max(self.height);
                if fields.len() >= MEMBERS {
                    return Err(format!("a struct of more than {MEMBERS} fields"));
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
            self.height = highest;
            self.expect(";")?;
        }
        Ok(fields)
    }

    fn enumeration(&mut self, container: Option<Type>) -> Result<Type, String> {
        let Some(Type::Int(int)) = container.or_else(|| self.named_before("int")) else {
            return Err("an enumeration whose type is not an integer".to_owned());
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
            next = to.saturating_add(1);
            names.push((name, from, to));
            if names.len() > MEMBERS {
                return Err(format!("an enumeration of more than {MEMBERS} names"));
            }
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
                    .map_err(|_| format!("an integer has the unknown attribute {name} = {value}"))
            };
            match name.as_str() {
                "size" => int.size = number()?,
                "align" => int.align = alignment(number()?.into())?,
                "signed" => int.signed = matches!(value.as_str(), "1" | "true" | "TRUE"),
                "byte_order" => {
                    int.big_endian = matches!(value.as_str(), "be" | "network")
                        || (value == "native" && self.big_endian);
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
                    int.text = matches!(value.to_ascii_uppercase().as_str(), "UTF8" | "ASCII");
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
