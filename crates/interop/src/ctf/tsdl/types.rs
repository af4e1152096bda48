//! Types by their names: what the grammar read becomes layouts.

use super::grammar::{
    Definition, Enumerator, Length, MAX_DEPTH, Member, TOO_DEEP, TypeSpec, plain_name,
};
use super::names_big_endian;
use crate::ctf::layout::{Int, Type};
use ahash::HashMap;
use std::sync::Arc;

/// The most fields of a struct, and the most names of an enumeration.
const MAX_MEMBERS: usize = 1 << 14;

/// A type, and how many types nest within it.
#[derive(Clone)]
struct NestedType {
    kind: Type,
    depth: usize,
}

impl From<Type> for NestedType {
    fn from(kind: Type) -> Self {
        Self { kind, depth: 0 }
    }
}

type Fields = Vec<(Arc<str>, Type)>;

/// The types that were defined so far.
pub(super) struct Types {
    by_name: HashMap<String, NestedType>,
    pub big_endian: bool,
}

impl Types {
    pub fn new(big_endian: bool) -> Self {
        Self { by_name: HashMap::default(), big_endian }
    }

    /// Adds a type under its name. Fails as [`Self::layout`] does.
    pub fn define(&mut self, definition: &Definition<'_>) -> Result<(), String> {
        let nested = self.resolve(&definition.spec)?;
        if let Some(words) = &definition.alias {
            self.by_name.insert(words.join(" "), nested);
        }
        Ok(())
    }

    /// Returns the layout of a type. Fails if it refers to a type that is not defined, or nests too
    /// deep.
    pub fn layout(&mut self, spec: &TypeSpec<'_>) -> Result<Type, String> {
        self.resolve(spec).map(|nested| nested.kind)
    }

    /// Returns the layout of a type, and how deep it nests. Types that have a name can be referred
    /// to from then on.
    fn resolve(&mut self, spec: &TypeSpec<'_>) -> Result<NestedType, String> {
        match spec {
            TypeSpec::Named(words) => self.look_up(&words.join(" ")),
            TypeSpec::Integer(attributes) => Ok(Type::Int(self.integer_type(attributes)?).into()),
            TypeSpec::Float(attributes) => Ok(float_type(attributes)?.into()),
            TypeSpec::String => Ok(Type::String.into()),
            TypeSpec::Struct { name, body: None } => self.look_up_keyword("struct", *name),
            TypeSpec::Struct { name, body: Some((members, align)) } => {
                let (fields, depth) = self.resolve_fields(members)?;
                let align = align.map_or(Ok(1), check_alignment)?;
                self.add_named("struct", *name, Type::structure(fields, align), depth)
            }
            TypeSpec::Variant { name, tag, body: None } => {
                let mut known = self.look_up_keyword("variant", *name)?;
                if let (Some(tag), Type::Variant(by, _)) = (tag, &mut known.kind) {
                    *by = (*tag).into();
                }
                Ok(known)
            }
            TypeSpec::Variant { name, tag, body: Some(members) } => {
                let (options, depth) = self.resolve_fields(members)?;
                let kind = Type::Variant(tag.unwrap_or_default().into(), Arc::new(options));
                self.add_named("variant", *name, kind, depth)
            }
            TypeSpec::Enum { name, body: None, .. } => self.look_up_keyword("enum", *name),
            TypeSpec::Enum { name, container, body: Some(names) } => {
                let container = match container {
                    Some(spec) => self.resolve(spec)?,
                    None => self.look_up("int")?,
                };
                let Type::Int(int) = container.kind else {
                    return Err("an enumeration whose type is not an integer".to_owned());
                };
                let kind = Type::Enum(int, Arc::new(enum_ranges(names)?));
                self.add_named("enum", *name, kind, 0)
            }
        }
    }

    /// Returns the type that was defined under this name.
    fn look_up(&self, name: &str) -> Result<NestedType, String> {
        self.by_name.get(name).cloned().ok_or_else(|| format!("the type {name} is unknown"))
    }

    /// Returns the struct, variant or enum (`keyword`) that was defined under this name.
    fn look_up_keyword(&self, keyword: &str, name: Option<&str>) -> Result<NestedType, String> {
        let name = name.ok_or_else(|| format!("a {keyword} without a name and a body"))?;
        self.look_up(&format!("{keyword} {name}"))
    }

    /// Returns a type around types that nest `within` deep. If it has a name, it can be referred to
    /// from then on.
    fn add_named(
        &mut self,
        keyword: &str,
        name: Option<&str>,
        kind: Type,
        within: usize,
    ) -> Result<NestedType, String> {
        let nested = NestedType { kind, depth: add_depth(within, 1)? };
        if let Some(name) = name {
            self.by_name.insert(format!("{keyword} {name}"), nested.clone());
        }
        Ok(nested)
    }

    /// Returns the fields of a struct or variant, and how deep the deepest of them nests.
    fn resolve_fields(&mut self, members: &[Member<'_>]) -> Result<(Fields, usize), String> {
        let (mut fields, mut deepest) = (Fields::new(), 0);
        for member in members {
            let (spec, declarators) = match member {
                Member::Define(definition) => {
                    self.define(definition)?;
                    continue;
                }
                Member::Fields(spec, declarators) => (spec, declarators),
            };
            let element = self.resolve(spec)?;
            for (name, lengths) in declarators {
                deepest = deepest.max(add_depth(element.depth, lengths.len())?);
                if fields.len() >= MAX_MEMBERS {
                    return Err(format!("a struct of more than {MAX_MEMBERS} fields"));
                }
                let kind = lengths.iter().rev().fold(element.kind.clone(), array_type);
                fields.push((plain_name(name).into(), kind));
            }
        }
        Ok((fields, deepest))
    }

    /// Returns the integer type with these attributes, given as names and values (CTF 1.8, 4.1.5).
    /// Others are ignored. Fails if a value is invalid, or the size is missing or more than 64
    /// bits.
    fn integer_type(&self, attributes: &[(String, String)]) -> Result<Int, String> {
        let mut int = Int {
            size: 0,
            align: 0,
            signed: false,
            big_endian: self.big_endian,
            base: 10,
            is_character: false,
            is_clock: false,
        };
        for (name, value) in attributes {
            let number = || {
                value
                    .parse::<u32>()
                    .map_err(|_| format!("an integer has the invalid attribute {name} = {value}"))
            };
            match name.as_str() {
                "size" => int.size = number()?,
                "align" => int.align = check_alignment(number()?.into())?,
                "signed" => int.signed = matches!(value.as_str(), "1" | "true" | "TRUE"),
                "byte_order" => {
                    int.big_endian =
                        names_big_endian(value) || (value == "native" && self.big_endian);
                }
                "base" => {
                    int.base = match value.as_str() {
                        // `p` is the base of pointers.
                        "x" | "hex" | "hexadecimal" | "p" => 16,
                        "o" | "oct" | "octal" => 8,
                        "b" | "binary" => 2,
                        _ => value.parse().unwrap_or(10),
                    }
                }
                "encoding" => {
                    int.is_character =
                        matches!(value.to_ascii_uppercase().as_str(), "UTF8" | "ASCII");
                }
                // Its value is the name of a clock; a trace has only one.
                "map" => int.is_clock = true,
                _ => {}
            }
        }
        // The default: whole bytes are aligned to bytes.
        if int.align == 0 {
            int.align = if int.size.is_multiple_of(8) { 8 } else { 1 };
        }
        if !(1..=64).contains(&int.size) {
            return Err(format!("an integer of {} bits", int.size));
        }
        Ok(int)
    }
}

/// Returns the depth of `more` types around one of depth `within`. Fails if that is too deep.
fn add_depth(within: usize, more: usize) -> Result<usize, String> {
    Some(within + more).filter(|depth| *depth <= MAX_DEPTH).ok_or_else(|| TOO_DEEP.to_owned())
}

/// Returns the type of an array of fixed length, or of one whose length is in a field.
fn array_type(element: Type, length: &Length<'_>) -> Type {
    match length {
        Length::Fixed(n) => Type::Array(*n, Arc::new(element)),
        Length::Field(field) => Type::Sequence((*field).into(), Arc::new(element)),
    }
}

/// Returns the names of an enumeration, each with the first and last of its values. A name without
/// a value gets the value after that of the name before it.
fn enum_ranges(names: &[Enumerator]) -> Result<Vec<(String, i128, i128)>, String> {
    if names.len() > MAX_MEMBERS {
        return Err(format!("an enumeration of more than {MAX_MEMBERS} names"));
    }
    let mut next = 0;
    let range = |(name, range): &Enumerator| {
        let (from, to) = range.map_or((next, next), |(from, to)| (from, to.unwrap_or(from)));
        next = to.saturating_add(1);
        (name.clone(), from, to)
    };
    Ok(names.iter().map(range).collect())
}

/// Returns the floating-point type with these attributes. Fails if it is neither of single nor of
/// double precision.
fn float_type(attributes: &[(String, String)]) -> Result<Type, String> {
    let (mut exponent, mut mantissa, mut align) = (8, 24, 8);
    for (name, value) in attributes {
        match (name.as_str(), value.parse()) {
            ("exp_dig", Ok(n)) => exponent = n,
            ("mant_dig", Ok(n)) => mantissa = n,
            ("align", Ok(n)) => align = check_alignment(n.into())?,
            _ => {}
        }
    }
    match (exponent, mantissa) {
        (8, 24) | (11, 53) => Ok(Type::Float(exponent, mantissa, align)),
        _ => Err("a floating-point number of unknown width".to_owned()),
    }
}

/// Checks an alignment in bits: it must be a power of two (CTF 1.8, 4.1.2).
fn check_alignment(n: i128) -> Result<u32, String> {
    u32::try_from(n)
        .ok()
        .filter(|n| n.is_power_of_two() && *n <= 1 << 16)
        .ok_or_else(|| format!("an alignment of {n} bits"))
}
