//! What all JSON has in common: a version, and bytes as text. docs/json.md lists the keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The version of the keys. It grows when a key changes its name or its meaning.
const VERSION: u32 = 1;

/// The document with the version of its keys.
pub fn versioned(mut document: Value) -> Value {
    if let Value::Object(keys) = &mut document {
        keys.insert("json".to_owned(), VERSION.into());
    }
    document
}

/// Text as it is; other bytes as `{"bytes": BASE64}`.
pub fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"bytes": STANDARD.encode(bytes)}),
    }
}

/// The first `most` bytes; of text, no part of a character.
pub fn shortened(bytes: &[u8], most: usize) -> Value {
    let cut = &bytes[..bytes.len().min(most)];
    match std::str::from_utf8(cut) {
        // The cut went through a character.
        Err(e) if cut.len() < bytes.len() && e.error_len().is_none() => {
            text(&cut[..e.valid_up_to()])
        }
        _ => text(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(text(b"a\n\\\0\"").to_string(), r#""a\n\\\u0000\"""#);
        assert_eq!(text("\u{e9}".as_bytes()), json!("\u{e9}"));
        assert_eq!(text(b"a\xff"), json!({"bytes": "Yf8="}));
        assert_eq!(shortened("a\u{e9}b".as_bytes(), 2), json!("a"));
        assert_eq!(shortened(b"a\xffb", 2), json!({"bytes": "Yf8="}));
        assert_eq!(versioned(json!({"a": 2})), json!({"a": 2, "json": 1}));
    }
}
