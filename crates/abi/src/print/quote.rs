//! Prints strings as strace does: with C escapes, octal escapes for other bytes, or in hexadecimal
//! on request; `...` follows a shortened string.

use super::put;

/// Which strings are printed in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hex {
    /// No string.
    Never,
    /// Strings with bytes that are not printable ASCII.
    Binary,
    /// All strings.
    Always,
}

/// Appends the first `most` bytes in quotation marks. `more`: the string had more bytes than
/// `bytes`.
pub fn quote(bytes: &[u8], most: usize, more: bool, hex: Hex, text: &mut String) {
    let cut = more || bytes.len() > most;
    let bytes = &bytes[..bytes.len().min(most)];
    text.reserve(bytes.len() + 5);
    text.push('"');
    let readable = |b: &u8| (b' '..=b'~').contains(b) || (b'\t'..=b'\r').contains(b);
    if hex == Hex::Always || (hex == Hex::Binary && !bytes.iter().all(readable)) {
        for byte in bytes {
            put!(text, "\\x{byte:02x}");
        }
    } else {
        for (i, &byte) in bytes.iter().enumerate() {
            escape(text, byte, bytes.get(i + 1).copied());
        }
    }
    text.push_str(if cut { "\"..." } else { "\"" });
}

/// Appends one byte, escaped if necessary. `next` is the byte after it.
fn escape(text: &mut String, byte: u8, next: Option<u8>) {
    match byte {
        b'"' => text.push_str("\\\""),
        b'\\' => text.push_str("\\\\"),
        b'\t' => text.push_str("\\t"),
        b'\n' => text.push_str("\\n"),
        0x0b => text.push_str("\\v"),
        0x0c => text.push_str("\\f"),
        b'\r' => text.push_str("\\r"),
        b' '..=b'~' => text.push(char::from(byte)),
        // A digit after a short octal escape would be read as part of it.
        _ if next.is_some_and(|n| n.is_ascii_digit()) => put!(text, "\\{byte:03o}"),
        _ => put!(text, "\\{byte:o}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_strace_prints_them() {
        let quote = |bytes: &[u8], most, more, hex| {
            let mut text = String::new();
            quote(bytes, most, more, hex, &mut text);
            text
        };
        let quoted = |bytes: &[u8]| quote(bytes, 32, false, Hex::Never);
        assert_eq!(quoted(b"a\"b\\c\n\t\x00\x1f7\xff"), r#""a\"b\\c\n\t\0\0377\377""#);
        assert_eq!(quote(b"abcd", 3, false, Hex::Never), "\"abc\"...");
        assert_eq!(quote(b"abc", 3, true, Hex::Never), "\"abc\"...");
        assert_eq!(quote(b"ab\n", 9, false, Hex::Binary), "\"ab\\n\"");
        assert_eq!(quote(b"ab\0", 9, false, Hex::Binary), "\"\\x61\\x62\\x00\"");
        assert_eq!(quote(b"ab", 9, false, Hex::Always), "\"\\x61\\x62\"");
    }
}
