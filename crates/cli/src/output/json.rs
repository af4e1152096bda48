//! What all JSON has in common: a version, and bytes as text. docs/json.md lists the keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The version of the keys. It grows when a key changes its name or its meaning.
const VERSION: u32 = 1;

/// Adds the key `json` to the document, with the version of its keys.
pub fn with_version(mut document: Value) -> Value {
    if let Value::Object(keys) = &mut document {
        keys.insert("json".to_owned(), VERSION.into());
    }
    document
}

/// Returns bytes as a JSON string, or as `{"bytes": BASE64}` if they are not UTF-8.
pub fn bytes_to_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"bytes": STANDARD.encode(bytes)}),
    }
}

/// Returns the first `most` bytes as [`bytes_to_json`] does. A character of UTF-8 is not cut in
/// two.
pub fn shorten_to_json(bytes: &[u8], most: usize) -> Value {
    let cut = &bytes[..bytes.len().min(most)];
    match std::str::from_utf8(cut) {
        // The cut went through a character.
        Err(e) if cut.len() < bytes.len() && e.error_len().is_none() => {
            bytes_to_json(&cut[..e.valid_up_to()])
        }
        _ => bytes_to_json(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(bytes_to_json(b"a\n\\\0\"").to_string(), r#""a\n\\\u0000\"""#);
        assert_eq!(bytes_to_json("\u{e9}".as_bytes()), json!("\u{e9}"));
        assert_eq!(bytes_to_json(b"a\xff"), json!({"bytes": "Yf8="}));
        assert_eq!(shorten_to_json("a\u{e9}b".as_bytes(), 2), json!("a"));
        assert_eq!(shorten_to_json(b"a\xffb", 2), json!({"bytes": "Yf8="}));
        assert_eq!(with_version(json!({"a": 2})), json!({"a": 2, "json": 1}));
    }
}
