//! Bytes as text and back, without loss: `\xNN` for what is not UTF-8 or not printable, `\\` for a
//! backslash. JSON documents and people's columns use it.

/// The text of `bytes`.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => {
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push(&mut out, b));
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&b| push(&mut out, b));
    }
    out
}

fn push(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The bytes of `text`; a backslash that begins no escape stands for itself.
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

/// `#[serde(with = ...)]` for lists of operating-system strings.
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

/// `#[serde(with = ...)]` for bytes.
pub(crate) mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::escape(bytes))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        Ok(super::unescape(&String::deserialize(d)?))
    }
}
