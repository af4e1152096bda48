//! Decodes values from the bits of a packet.

use super::layout::{Fields, Int, Type};
use super::value::Value;

/// The structs around a value, as far as they are decoded, the innermost last. Lengths and tags are
/// looked up there.
pub(crate) type Scopes<'t> = Vec<(&'t Fields, Vec<Value<'t>>)>;

/// How deep values nest, and how many elements an array has: more is damage.
const MAX_DEPTH: usize = 64;
const MAX_ELEMENTS: u64 = 1 << 20;
/// Values that a packet may have beyond one for each of its bits: empty ones take no bits, and an
/// event of nothing else would take time and no input.
const EMPTY_VALUES: u64 = 256;

/// A reader of a packet's bits.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// The offset of the next bit.
    pub position: u64,
    /// The offset in bits at which the packet's content ends.
    pub end: u64,
    /// The last reading of the stream's clock.
    pub clock: u64,
    /// How many values are around the current one.
    depth: usize,
    /// How many values the event may still have.
    elements_left: u64,
    /// How many values of the packet were read.
    values: u64,
}

impl<'a> Bits<'a> {
    /// Creates a decoder at the first bit of `bytes`. `clock` is the last reading of the stream's
    /// clock.
    pub fn new(bytes: &'a [u8], clock: u64) -> Self {
        let end = bytes.len() as u64 * 8;
        Self { bytes, position: 0, end, clock, depth: 0, elements_left: MAX_ELEMENTS, values: 0 }
    }

    /// Prepares for another event: resets the limits on nesting and on elements, which each event
    /// has for itself.
    pub fn begin_event(&mut self) {
        (self.depth, self.elements_left) = (0, MAX_ELEMENTS);
    }

    /// Advances to the next multiple of `align` bits.
    fn align(&mut self, align: u32) {
        // The metadata's reader takes powers of two only.
        let mask = u64::from(align) - 1;
        self.position = (self.position + mask) & !mask;
    }

    /// Reads an integer of any size, alignment and byte order. Updates the clock if the integer is
    /// a reading of it. Fails if it reaches beyond the packet.
    fn read_int(&mut self, int: &Int) -> Result<u64, String> {
        self.align(int.align);
        let size = u64::from(int.size);
        if self.position + size > self.end {
            return Err("an event reaches beyond its packet".to_owned());
        }
        let (first, last) =
            ((self.position / 8) as usize, ((self.position + size - 1) / 8) as usize);
        if let Some(value) = self.read_aligned_int(int, first) {
            return Ok(value);
        }
        let part = &self.bytes[first..=last];
        let wide = if int.big_endian {
            let shift = 7 - (self.position + size - 1) % 8;
            part.iter().fold(0u128, |w, b| w << 8 | u128::from(*b)) >> shift
        } else {
            part.iter().rev().fold(0u128, |w, b| w << 8 | u128::from(*b)) >> (self.position % 8)
        };
        self.position += size;
        let value = wide as u64 & (u64::MAX >> (64 - int.size));
        if int.is_clock {
            self.update_clock(value, int.size);
        }
        Ok(value)
    }

    /// Reads an integer that is little-endian and consists of whole bytes, as nearly all do.
    /// Returns `None` if it has another form.
    fn read_aligned_int(&mut self, int: &Int, first: usize) -> Option<u64> {
        if int.big_endian || !self.position.is_multiple_of(8) {
            return None;
        }
        let rest = self.bytes.get(first..)?;
        let value = match int.size {
            8 => u64::from(*rest.first()?),
            16 => u64::from(u16::from_le_bytes(*rest.first_chunk()?)),
            32 => u64::from(u32::from_le_bytes(*rest.first_chunk()?)),
            64 => u64::from_le_bytes(*rest.first_chunk()?),
            _ => return None,
        };
        self.position += u64::from(int.size);
        if int.is_clock {
            self.update_clock(value, int.size);
        }
        Some(value)
    }

    /// Advances the clock to a reading of its lower `size` bits, which may have wrapped around.
    fn update_clock(&mut self, value: u64, size: u32) {
        if size >= 64 {
            self.clock = value;
            return;
        }
        let span = 1u64 << size;
        let now = self.clock & !(span - 1) | value;
        self.clock = if now < self.clock { now.wrapping_add(span) } else { now };
    }

    /// Returns the integer with its sign extended to 64 bits, if its type is signed.
    fn extend_sign(value: u64, int: &Int) -> i64 {
        let shift = 64 - int.size;
        (value << shift).cast_signed() >> shift
    }

    /// Reads a value of this type. `scopes` are the structs around it, in whose fields lengths and
    /// tags are looked up.
    pub fn read_value<'t>(
        &mut self,
        kind: &'t Type,
        scopes: &mut Scopes<'t>,
    ) -> Result<Value<'t>, String> {
        self.depth += 1;
        self.elements_left =
            self.elements_left.checked_sub(1).ok_or("an event of too many values")?;
        self.values += 1;
        if self.values > self.position + EMPTY_VALUES {
            return Err("more values than bits".to_owned());
        }
        if self.depth > MAX_DEPTH {
            return Err("values nested too deep".to_owned());
        }
        let value = match kind {
            Type::Int(int) => {
                let value = self.read_int(int)?;
                if int.signed {
                    Value::Signed(Self::extend_sign(value, int), int.base)
                } else {
                    Value::Unsigned(value, int.base)
                }
            }
            Type::Float(exponent, mantissa, align) => {
                Value::Float(self.read_float(exponent + mantissa, *align)?)
            }
            Type::String => Value::Text(self.read_string()?.to_vec()),
            Type::Enum(int, names) => {
                let value = self.read_int(int)?;
                let value = if int.signed {
                    i128::from(Self::extend_sign(value, int))
                } else {
                    i128::from(value)
                };
                Value::Enum(value, names)
            }
            Type::Struct(fields, align) => {
                self.align(*align);
                scopes.push((fields, Vec::with_capacity(fields.len())));
                for (_, kind) in fields.iter() {
                    let value = self.read_value(kind, scopes)?;
                    if let Some((_, here)) = scopes.last_mut() {
                        here.push(value);
                    }
                }
                Value::Struct(fields, scopes.pop().unwrap_or_default().1)
            }
            Type::Variant(tag, options) => {
                let chosen = find_field(scopes, tag)
                    .and_then(|v| v.enum_names().next())
                    .ok_or_else(|| format!("no value of {tag} selects a variant"))?;
                let option = options
                    .iter()
                    .find(|(name, _)| **name == *chosen.strip_prefix('_').unwrap_or(chosen));
                let (_, kind) = option.ok_or_else(|| format!("{tag} has no {chosen}"))?;
                self.read_value(kind, scopes)?
            }
            Type::Array(n, kind) => self.read_array(*n, kind, scopes)?,
            Type::Sequence(field, kind) => {
                let n = find_field(scopes, field)
                    .and_then(Value::to_register)
                    .ok_or_else(|| format!("the length {field} is missing"))?;
                self.read_array(n, kind, scopes)?
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Reads a number of `size` bits, which are those of an IEEE 754 number.
    fn read_float(&mut self, size: u32, align: u32) -> Result<f64, String> {
        let bits = self.read_int(&Int {
            size,
            align,
            signed: false,
            big_endian: false,
            base: 10,
            is_character: false,
            is_clock: false,
        })?;
        Ok(if size == 32 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits) })
    }

    /// Reads an event's header and returns the number of its class. Of an extended header, that is
    /// the inner number. Headers as LTTng writes them are not decoded into values, as that would
    /// take most of the time.
    pub fn read_header<'t>(
        &mut self,
        header: &'t Type,
        scopes: &mut Scopes<'t>,
    ) -> Result<Option<u64>, String> {
        let begin = self.position;
        if let Type::Struct(fields, align) = header {
            self.align(*align);
            match &fields[..] {
                [(tag, Type::Enum(int, names)), (v, Type::Variant(by, options))]
                    if **tag == *"id" && **v == *"v" && by == tag && !int.signed =>
                {
                    let id = self.read_int(int)?;
                    let chosen = names
                        .iter()
                        .find(|(_, from, to)| (*from..=*to).contains(&i128::from(id)))
                        .map(|(name, _, _)| name.strip_prefix('_').unwrap_or(name));
                    if let Some((_, Type::Struct(inner, align))) =
                        options.iter().find(|(name, _)| Some(&**name) == chosen)
                    {
                        self.align(*align);
                        if let Some(inner) = self.read_id_field(inner)? {
                            return Ok(inner.or(Some(id)));
                        }
                    }
                }
                fields => {
                    if let Some(id) = self.read_id_field(fields)? {
                        return Ok(id);
                    }
                }
            }
        }
        self.position = begin;
        let head = self.read_value(header, scopes)?;
        let inner = head.get("v").and_then(|v| v.get("id"));
        Ok(inner.or_else(|| head.get("id")).and_then(Value::to_register))
    }

    /// Reads fields that are all integers, and returns the one called `id`. The outer `None` means
    /// that not all are integers, and that nothing was read.
    fn read_id_field(&mut self, fields: &Fields) -> Result<Option<Option<u64>>, String> {
        if !fields.iter().all(|(_, t)| matches!(t, Type::Int(_))) {
            return Ok(None);
        }
        let mut id = None;
        for (name, kind) in fields {
            if let Type::Int(int) = kind {
                let value = self.read_int(int)?;
                id = if **name == *"id" { Some(value) } else { id };
            }
        }
        Ok(Some(id))
    }

    /// Skips a value of this type.
    pub fn skip<'t>(&mut self, kind: &'t Type, scopes: &mut Scopes<'t>) -> Result<(), String> {
        match kind {
            Type::Int(int) => self.read_int(int).map(drop),
            // Lengths and tags within are looked up in values.
            Type::Struct(fields, align)
                if fields.iter().all(|(_, t)| matches!(t, Type::Int(_) | Type::String)) =>
            {
                self.align(*align);
                fields.iter().try_for_each(|(_, t)| self.skip(t, scopes))
            }
            Type::String => self.read_string().map(drop),
            _ => self.read_value(kind, scopes).map(drop),
        }
    }

    /// Reads the bytes up to a NUL.
    fn read_string(&mut self) -> Result<&'a [u8], String> {
        self.align(8);
        let start = (self.position / 8) as usize;
        let rest = self.bytes.get(start..(self.end / 8) as usize).unwrap_or_default();
        let len = rest.iter().position(|b| *b == 0).ok_or("a string without an end")?;
        self.position += (len as u64 + 1) * 8;
        Ok(&rest[..len])
    }

    /// Reads `n` elements of a type. An array of characters becomes a text, which ends at the first
    /// NUL.
    fn read_array<'t>(
        &mut self,
        n: u64,
        kind: &'t Type,
        scopes: &mut Scopes<'t>,
    ) -> Result<Value<'t>, String> {
        if n > MAX_ELEMENTS {
            return Err(format!("an array of {n} elements"));
        }
        if let Type::Int(int) = kind
            && int.is_character
            && int.size == 8
        {
            self.align(int.align);
            let start = (self.position / 8) as usize;
            let bytes = self
                .bytes
                .get(start..start + n as usize)
                .filter(|_| self.position + n * 8 <= self.end)
                .ok_or("a string reaches beyond its packet")?;
            self.position += n * 8;
            return Ok(Value::Text(bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec()));
        }
        self.align(kind.align());
        let elements: Result<Vec<Value<'t>>, String> =
            (0..n).map(|_| self.read_value(kind, scopes)).collect();
        Ok(Value::Array(elements?))
    }
}

/// Returns the value of a field that was read already, searching from the innermost struct
/// outwards.
fn find_field<'v, 't>(scopes: &'v Scopes<'t>, name: &str) -> Option<&'v Value<'t>> {
    scopes
        .iter()
        .rev()
        .find_map(|(fields, values)| {
            fields.iter().zip(values).rev().find(|((n, _), _)| &**n == name)
        })
        .map(|(_, v)| v)
}
