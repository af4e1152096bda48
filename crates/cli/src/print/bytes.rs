//! Bytes in JSON: printable ASCII as it is, a backslash as `\\`, every other byte as `\xNN`. Lossless, and readable where the data are.

use std::fmt::Write;

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a string takes it"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a reader does to get the bytes back.
    fn bytes(text: &str) -> Option<Vec<u8>> {
        let mut rest = text.as_bytes();
        let mut bytes = Vec::new();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            if first != b'\\' {
                bytes.push(first);
                continue;
            }
            let (&second, after) = rest.split_first()?;
            rest = after;
            if second == b'\\' {
                bytes.push(second);
            } else {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            }
        }
        Some(bytes)
    }

    #[test]
    fn readable() {
        assert_eq!(text(b"a\\b\0\xff\n\"~"), r#"a\\b\x00\xff\x0a"~"#);
    }

    proptest! {
        #[test]
        fn lossless(original: Vec<u8>) {
            prop_assert_eq!(bytes(&text(&original)), Some(original));
        }
    }
}
