//! Converts arbitrary bytes to text and back without loss. A byte that is not part of valid UTF-8,
//! and each byte of a control character, becomes `\xNN`; a backslash becomes `\\`. JSON documents
//! and the text columns of tables use this form.

/// Returns `bytes` as escaped text.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => {
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_hex_escape(&mut out, b));
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&b| push_hex_escape(&mut out, b));
    }
    out
}

/// Appends `\xNN` for one byte.
fn push_hex_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Returns the bytes that escaped `text` stands for. A backslash that does not begin an escape
/// stands for itself.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        let (byte, skip) = match (b, after) {
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'x', h, l, ..]) => {
                match (char::from(*h).to_digit(16), char::from(*l).to_digit(16)) {
                    (Some(h), Some(l)) => ((h * 16 + l) as u8, 3),
                    _ => (b, 0),
                }
            }
            _ => (b, 0),
        };
        out.push(byte);
        rest = &after[skip..];
    }
    out
}

/// Serialises a list of operating-system strings as escaped text, for `#[serde(with = ...)]`.
pub(crate) mod os_strings {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    pub fn serialize<S: Serializer>(list: &[OsString], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(|x| super::escape(x.as_bytes())))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<OsString>, D::Error> {
        Ok(Vec::<String>::deserialize(d)?
            .iter()
            .map(|x| OsString::from_vec(super::unescape(x)))
            .collect())
    }
}

/// Serialises bytes as escaped text, for `#[serde(with = ...)]`.
pub(crate) mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::escape(bytes))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        Ok(super::unescape(&String::deserialize(d)?))
    }
}
