//! Types of records: named fields, and where each stands in a record.
//!
//! A nullable field is followed by a hidden bit, 1 if it is null. Bits come first, then bytes,
//! 32-bit numbers, offsets of variable values, 64-bit numbers; a type may ask for the reverse, and
//! for other padding.

use ahash::HashMap;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A bit (`bool`).
    Bool,
    /// A byte (`byte`).
    Byte,
    /// A signed number of 32 bits (`int32`).
    Int32,
    /// A signed number of 64 bits (`int64`).
    Int64,
    /// A floating-point number of 64 bits (`double`).
    Double,
    /// Bytes of any number (`variable32`): the record has their offset in the extent's variable
    /// part.
    Variable,
    /// This many bytes (`fixedwidth`).
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
            Self::Fixed(len) => len,
        }
    }
}

/// The earlier value that was subtracted from a field's value before it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relative {
    /// That of the same field in the record before.
    Itself,
    /// That of the field with this index in the same record.
    Field(usize),
}

/// A bit in a record, which is set if a field is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullBit {
    /// The offset of its byte in the record.
    pub offset: usize,
    /// Its number in that byte; 0 is the lowest.
    pub bit: u8,
}

/// A field of a record type, and where its values are in the fixed part of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub field_type: FieldType,
    /// The offset of its first byte in a record.
    pub offset: usize,
    /// The number of its bit in that byte, if it is a [`FieldType::Bool`]; else 0.
    pub bit: u8,
    /// The bit that says whether it is null; `None` if it cannot be null.
    pub null: Option<NullBit>,
    /// Its values were divided by this number before they were stored; `None` if they were not.
    pub scale: Option<f64>,
    /// An earlier value was subtracted from its values before they were stored; `None` if not.
    pub relative: Option<Relative>,
}

impl Field {
    /// Returns whether the field is null in this record.
    pub(crate) fn is_null(&self, record: &[u8]) -> bool {
        self.null.is_some_and(|null| record[null.offset] >> null.bit & 1 != 0)
    }
}

/// A type of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Its name.
    pub name: String,
    /// Its fields, in the order of their declaration.
    pub fields: Vec<Field>,
    /// The size in bytes of the fixed part of a record.
    pub record_bytes: usize,
    /// How many bytes at the start of a record hold the booleans and null bits; 0 if these are
    /// at its end.
    pub bool_bytes: usize,
    /// Whether null fields are left out of what is stored.
    pub compact: bool,
    /// The indices of the fields, by name.
    index: HashMap<String, usize>,
}

/// The most bytes that a record may have: a type with more is refused.
const MAX_RECORD_BYTES: usize = 1 << 20;

impl Type {
    /// Parses the XML description of a record type. Fails if it is no XML, or has an option that is
    /// unknown.
    pub fn parse(xml: &str) -> Result<Self, String> {
        let document =
            roxmltree::Document::parse(xml).map_err(|e| format!("a type is not XML: {e}"))?;
        let root = document.root_element();
        let attribute = |name: &str| root.attribute(name).unwrap_or_default();
        let name = attribute("name").to_owned();
        if root.tag_name().name() != "ExtentType" || name.is_empty() {
            return Err("a type without a name".to_owned());
        }
        for option in root
            .attributes()
            .map(|attribute| attribute.name())
            .filter(|name| name.starts_with("pack_") || name.starts_with("opt_"))
        {
            if !["pack_null_compact", "pack_pad_record", "pack_field_ordering"].contains(&option) {
                return Err(format!("type {name} has the unknown option {option}"));
            }
        }
        let compact = match attribute("pack_null_compact") {
            "" | "no" => false,
            "non_bool" => true,
            other => return Err(format!("type {name}: pack_null_compact={other} is unknown")),
        };
        let minimal_padding = match attribute("pack_pad_record") {
            "" | "original" => false,
            "max_column_size" => true,
            other => return Err(format!("type {name}: pack_pad_record={other} is unknown")),
        };
        let largest_first = match attribute("pack_field_ordering") {
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
        this.lay_out(largest_first, minimal_padding)?;
        Ok(this)
    }

    /// Adds the field that an XML node describes, without its offset, which [`Self::lay_out`] sets.
    /// Fails if the name is missing or appears twice, or if the type or an option of it is invalid.
    fn add_field(&mut self, node: &roxmltree::Node<'_, '_>) -> Result<(), String> {
        let attribute = |name: &str| node.attribute(name).unwrap_or_default();
        let name = attribute("name");
        let invalid = |what: &str| Err(format!("field {name} of {} {what}", self.name));
        let field_type = match attribute("type") {
            "bool" => FieldType::Bool,
            "byte" => FieldType::Byte,
            "int32" => FieldType::Int32,
            "int64" => FieldType::Int64,
            "double" => FieldType::Double,
            "variable32" => FieldType::Variable,
            "fixedwidth" => match attribute("size").parse() {
                Ok(size) if size > 0 && size < MAX_RECORD_BYTES => FieldType::Fixed(size),
                _ => return invalid("has no size"),
            },
            other => return invalid(&format!("has the unknown type {other}")),
        };
        if name.is_empty() || self.index.contains_key(name) {
            return invalid("appears twice, or has no name");
        }
        let scale = match attribute("pack_scale") {
            "" => None,
            text => match text.parse::<f64>() {
                Ok(scale) if scale != 0.0 && field_type == FieldType::Double => Some(scale),
                _ => return invalid("has an invalid scale"),
            },
        };
        let relative = match attribute("pack_relative") {
            "" => None,
            _ if !matches!(field_type, FieldType::Int32 | FieldType::Int64 | FieldType::Double) => {
                return invalid("cannot be relative");
            }
            "self" => Some(Relative::Itself),
            other if other == name => Some(Relative::Itself),
            other => match self.index.get(other) {
                Some(&index) if self.fields[index].field_type == field_type => {
                    Some(Relative::Field(index))
                }
                _ => return invalid("is relative to a field that is not there"),
            },
        };
        let null = (attribute("opt_nullable") == "yes").then_some(NullBit { offset: 0, bit: 0 });
        self.index.insert(name.to_owned(), self.fields.len());
        self.fields.push(Field {
            name: name.to_owned(),
            field_type,
            offset: 0,
            bit: 0,
            null,
            scale,
            relative,
        });
        Ok(())
    }

    /// Assigns each field its offset in the fixed part of a record, and sets the record's size.
    /// Booleans and null bits come first, then the other fields by size, as in the original
    /// library; with `largest_first` in the reverse order. With `minimal_padding` there is none
    /// that the sizes of the fields do not require. Fails if the record would be empty or too
    /// large, or if fields of a compact type cannot be left out.
    fn lay_out(&mut self, largest_first: bool, minimal_padding: bool) -> Result<(), String> {
        let mut offset = 0;
        let fields = &mut self.fields;
        let place_bits = |fields: &mut Vec<Field>, offset: &mut usize| {
            let mut bits = 0;
            let start = *offset;
            let mut next_bit = || {
                bits += 1;
                (start + (bits - 1) / 8, ((bits - 1) % 8) as u8)
            };
            for field in fields.iter_mut() {
                if field.field_type == FieldType::Bool {
                    (field.offset, field.bit) = next_bit();
                }
                if field.null.is_some() {
                    let (offset, bit) = next_bit();
                    field.null = Some(NullBit { offset, bit });
                }
            }
            *offset += bits.div_ceil(8);
        };
        let place =
            |fields: &mut Vec<Field>, offset: &mut usize, is_wanted: &dyn Fn(FieldType) -> bool| {
                for field in fields.iter_mut().filter(|field| is_wanted(field.field_type)) {
                    field.offset = *offset;
                    *offset += field.field_type.size();
                }
            };
        let has_any = |fields: &Vec<Field>, is_wanted: &dyn Fn(FieldType) -> bool| {
            fields.iter().any(|field| is_wanted(field.field_type))
        };
        let is_bytes = |t| matches!(t, FieldType::Byte | FieldType::Fixed(_));
        let is_int32 = |t| t == FieldType::Int32;
        let is_variable = |t| t == FieldType::Variable;
        let is_64_bits = |t| matches!(t, FieldType::Int64 | FieldType::Double);
        if largest_first {
            place(fields, &mut offset, &is_64_bits);
            place(fields, &mut offset, &is_int32);
            place(fields, &mut offset, &is_variable);
            place(fields, &mut offset, &is_bytes);
            place_bits(fields, &mut offset);
            let align = if has_any(fields, &is_64_bits) || !minimal_padding {
                8
            } else if has_any(fields, &is_int32) || has_any(fields, &is_variable) {
                4
            } else {
                1
            };
            offset = offset.next_multiple_of(align);
        } else {
            place_bits(fields, &mut offset);
            self.bool_bytes = offset;
            place(fields, &mut offset, &is_bytes);
            if !minimal_padding || has_any(fields, &is_int32) || has_any(fields, &is_variable) {
                offset = offset.next_multiple_of(4);
            }
            place(fields, &mut offset, &is_int32);
            place(fields, &mut offset, &is_variable);
            if !minimal_padding || has_any(fields, &is_64_bits) {
                offset = offset.next_multiple_of(8);
            }
            place(fields, &mut offset, &is_64_bits);
        }
        let cannot_compact = self.compact && (largest_first || self.bool_bytes == 0);
        if offset == 0 || offset > MAX_RECORD_BYTES || cannot_compact {
            return Err(format!("records of type {} cannot be laid out", self.name));
        }
        self.record_bytes = offset;
        Ok(())
    }

    /// Returns the index of the field of this name, or `None` if the type has no such field.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

/// The record types of a file, by name.
#[derive(Clone, Debug)]
pub struct Types(HashMap<String, std::sync::Arc<Type>>);

/// The name of the type whose records are descriptions of types.
pub const XML_TYPE: &str = "DataSeries: XmlType";
/// The name of the type whose records are the index: the offset and type of each extent.
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
    /// Returns the two types that every file has.
    fn default() -> Self {
        let built_in = BUILT_IN.iter().filter_map(|xml| Type::parse(xml).ok());
        let by_name = |t: Type| (t.name.clone(), std::sync::Arc::new(t));
        Self(built_in.map(by_name).collect())
    }
}

impl Types {
    /// Adds the type with this XML description. Fails if it is invalid, or if there is a type of
    /// the same name.
    pub fn add_type(&mut self, xml: &str) -> Result<(), String> {
        let added = Type::parse(xml)?;
        match self.0.insert(added.name.clone(), std::sync::Arc::new(added)) {
            Some(replaced) => Err(format!("type {} appears twice", replaced.name)),
            None => Ok(()),
        }
    }
    /// Returns the type of this name, or `None` if the file has no such type.
    pub fn get(&self, name: &str) -> Option<&std::sync::Arc<Type>> {
        self.0.get(name)
    }
}
