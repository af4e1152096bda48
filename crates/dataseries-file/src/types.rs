//! Types of records: named fields, and where each stands in a record.
//!
//! A nullable field is followed by a hidden bit, 1 if it is null. Bits come first, then bytes,
//! 32-bit numbers, offsets of variable values, 64-bit numbers; a type may ask for the reverse, and
//! for other padding.

use ahash::HashMap;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A bit.
    Bool,
    /// A byte.
    Byte,
    /// A signed number.
    Int32,
    /// A signed number.
    Int64,
    /// A floating-point number.
    Double,
    /// Bytes, kept apart.
    Variable,
    /// So many bytes.
    Fixed(usize),
}

impl FieldType {
    /// Returns how many bytes a value takes in the fixed part of a record. Booleans are bits and
    /// take none of their own.
    const fn size(self) -> usize {
        match self {
            Self::Bool => 0,
            Self::Byte => 1,
            Self::Int32 | Self::Variable => 4,
            Self::Int64 | Self::Double => 8,
            Self::Fixed(n) => n,
        }
    }
}

/// Which earlier value a field was stored relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relative {
    /// The same field of the record before.
    Itself,
    /// The field of this index, of the same record.
    Field(usize),
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: FieldType,
    /// Its byte in a record.
    pub at: usize,
    /// Its bit in that byte, for bits.
    pub bit: u8,
    /// The byte and bit that are set if it is null; none if it cannot be null.
    pub null: Option<(usize, u8)>,
    /// Stored as a multiple of this.
    pub scale: Option<f64>,
    /// Stored as a difference.
    pub relative: Option<Relative>,
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Its name.
    pub name: String,
    /// Its fields, in the order of their declaration.
    pub fields: Vec<Field>,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// Bytes of bits at its start.
    pub bool_bytes: usize,
    /// Null fields are left out of what is stored.
    pub compact: bool,
    index: HashMap<String, usize>,
}

/// The most bytes that a record may have: more are damage.
const RECORD_BYTES: usize = 1 << 20;

impl Type {
    /// Parses the XML description of a record type.
    pub fn parse(xml: &str) -> Result<Self, String> {
        let document =
            roxmltree::Document::parse(xml).map_err(|e| format!("a type is not XML: {e}"))?;
        let root = document.root_element();
        let attribute = |name: &str| root.attribute(name).unwrap_or_default();
        let name = attribute("name").to_owned();
        if root.tag_name().name() != "ExtentType" || name.is_empty() {
            return Err("a type without a name".to_owned());
        }
        for a in root
            .attributes()
            .map(|a| a.name())
            .filter(|a| a.starts_with("pack_") || a.starts_with("opt_"))
        {
            if !["pack_null_compact", "pack_pad_record", "pack_field_ordering"].contains(&a) {
                return Err(format!("type {name} has the unknown option {a}"));
            }
        }
        let compact = match attribute("pack_null_compact") {
            "" | "no" => false,
            "non_bool" => true,
            other => return Err(format!("type {name}: pack_null_compact={other} is unknown")),
        };
        let tight = match attribute("pack_pad_record") {
            "" | "original" => false,
            "max_column_size" => true,
            other => return Err(format!("type {name}: pack_pad_record={other} is unknown")),
        };
        let reverse = match attribute("pack_field_ordering") {
            "" | "small_to_big_sep_var32" => false,
            "big_to_small_sep_var32" => true,
            other => return Err(format!("type {name}: pack_field_ordering={other} is unknown")),
        };
        let mut this = Self {
            name,
            fields: Vec::new(),
            record_bytes: 0,
            bool_bytes: 0,
            compact,
            index: HashMap::default(),
        };
        for node in root.children().filter(roxmltree::Node::is_element) {
            if node.tag_name().name() != "field" {
                return Err(format!("type {} has a {}", this.name, node.tag_name().name()));
            }
            this.add_field(&node)?;
        }
        this.lay_out(reverse, tight)?;
        Ok(this)
    }

    /// Adds the field that an XML node describes. Fails if an attribute is unknown or contradicts
    /// another.
    fn add_field(&mut self, node: &roxmltree::Node<'_, '_>) -> Result<(), String> {
        let attribute = |name: &str| node.attribute(name).unwrap_or_default();
        let name = attribute("name");
        let trouble = |what: &str| Err(format!("field {name} of {} {what}", self.name));
        let kind = match attribute("type") {
            "bool" => FieldType::Bool,
            "byte" => FieldType::Byte,
            "int32" => FieldType::Int32,
            "int64" => FieldType::Int64,
            "double" => FieldType::Double,
            "variable32" => FieldType::Variable,
            "fixedwidth" => match attribute("size").parse() {
                Ok(size) if size > 0 && size < RECORD_BYTES => FieldType::Fixed(size),
                _ => return trouble("has no size"),
            },
            other => return trouble(&format!("has the unknown type {other}")),
        };
        if name.is_empty() || self.index.contains_key(name) {
            return trouble("appears twice, or has no name");
        }
        let scale = match attribute("pack_scale") {
            "" => None,
            text => match text.parse::<f64>() {
                Ok(scale) if scale != 0.0 && kind == FieldType::Double => Some(scale),
                _ => return trouble("has an invalid scale"),
            },
        };
        let relative = match attribute("pack_relative") {
            "" => None,
            _ if !matches!(kind, FieldType::Int32 | FieldType::Int64 | FieldType::Double) => {
                return trouble("cannot be relative");
            }
            "self" => Some(Relative::Itself),
            other if other == name => Some(Relative::Itself),
            other => match self.index.get(other) {
                Some(&i) if self.fields[i].kind == kind => Some(Relative::Field(i)),
                _ => return trouble("is relative to a field that is not there"),
            },
        };
        let null = (attribute("opt_nullable") == "yes").then_some((0, 0));
        self.index.insert(name.to_owned(), self.fields.len());
        self.fields.push(Field {
            name: name.to_owned(),
            kind,
            at: 0,
            bit: 0,
            null,
            scale,
            relative,
        });
        Ok(())
    }

    /// Assigns each field its position in the fixed part of a record: bits first, then by size, as
    /// the original library does.
    fn lay_out(&mut self, reverse: bool, tight: bool) -> Result<(), String> {
        let mut at = 0;
        let fields = &mut self.fields;
        let bits = |fields: &mut Vec<Field>, at: &mut usize| {
            let mut n = 0;
            let start = *at;
            let mut next = || {
                n += 1;
                (start + (n - 1) / 8, ((n - 1) % 8) as u8)
            };
            for f in fields.iter_mut() {
                if f.kind == FieldType::Bool {
                    (f.at, f.bit) = next();
                }
                if f.null.is_some() {
                    f.null = Some(next());
                }
            }
            *at += n.div_ceil(8);
        };
        let place = |fields: &mut Vec<Field>, at: &mut usize, of: &dyn Fn(FieldType) -> bool| {
            for f in fields.iter_mut().filter(|f| of(f.kind)) {
                f.at = *at;
                *at += f.kind.size();
            }
        };
        let has =
            |fields: &Vec<Field>, of: &dyn Fn(FieldType) -> bool| fields.iter().any(|f| of(f.kind));
        let byte = |k| matches!(k, FieldType::Byte | FieldType::Fixed(_));
        let four = |k| k == FieldType::Int32;
        let variable = |k| k == FieldType::Variable;
        let eight = |k| matches!(k, FieldType::Int64 | FieldType::Double);
        if reverse {
            place(fields, &mut at, &eight);
            place(fields, &mut at, &four);
            place(fields, &mut at, &variable);
            place(fields, &mut at, &byte);
            bits(fields, &mut at);
            let align = if has(fields, &eight) || !tight {
                8
            } else if has(fields, &four) || has(fields, &variable) {
                4
            } else {
                1
            };
            at = at.next_multiple_of(align);
        } else {
            bits(fields, &mut at);
            self.bool_bytes = at;
            place(fields, &mut at, &byte);
            if !tight || has(fields, &four) || has(fields, &variable) {
                at = at.next_multiple_of(4);
            }
            place(fields, &mut at, &four);
            place(fields, &mut at, &variable);
            if !tight || has(fields, &eight) {
                at = at.next_multiple_of(8);
            }
            place(fields, &mut at, &eight);
        }
        if at == 0 || at > RECORD_BYTES || (self.compact && (reverse || self.bool_bytes == 0)) {
            return Err(format!("records of type {} cannot be laid out", self.name));
        }
        self.record_bytes = at;
        Ok(())
    }

    /// Returns the index of the field of this name.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

/// The types of a file.
#[derive(Clone, Debug)]
pub struct Types(HashMap<String, std::sync::Arc<Type>>);

/// The name of the type that holds types.
pub const XML_TYPE: &str = "DataSeries: XmlType";
/// The name of the type of the index.
pub const INDEX_TYPE: &str = "DataSeries: ExtentIndex";
const BUILT_IN: [&str; 2] = [
    concat!(
        r#"<ExtentType name="DataSeries: XmlType">"#,
        r#"<field type="variable32" name="xmltype"/></ExtentType>"#
    ),
    concat!(
        r#"<ExtentType name="DataSeries: ExtentIndex"><field type="int64" name="offset"/>"#,
        r#"<field type="variable32" name="extenttype"/></ExtentType>"#
    ),
];

impl Default for Types {
    /// The two that every file has.
    fn default() -> Self {
        let built_in = BUILT_IN.iter().filter_map(|xml| Type::parse(xml).ok());
        Self(built_in.map(|t| (t.name.clone(), std::sync::Arc::new(t))).collect())
    }
}

impl Types {
    /// Adds the type with this XML description.
    pub fn add_type(&mut self, xml: &str) -> Result<(), String> {
        let t = Type::parse(xml)?;
        match self.0.insert(t.name.clone(), std::sync::Arc::new(t)) {
            Some(double) => Err(format!("type {} appears twice", double.name)),
            None => Ok(()),
        }
    }
    /// Returns the type of this name.
    pub fn get(&self, name: &str) -> Option<&std::sync::Arc<Type>> {
        self.0.get(name)
    }
}
