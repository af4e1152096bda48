//! Parses strings and paths.

use crate::text::strace::lexer::{TokenKind, Tokens, quote_end};

/// Parses a string in quotes. Returns its bytes, and whether strace cut it, as `...` after it says.
/// Returns `None` if the text does not begin with a quote, after an `@` of an abstract socket.
pub(crate) fn parse_string(text: &str) -> Option<(Vec<u8>, bool)> {
    let bytes = text.strip_prefix('@').unwrap_or(text).as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let end = quote_end(bytes, 0);
    let inside = bytes.get(1..end)?;
    Some((unescape(inside.strip_suffix(b"\"").unwrap_or(inside)), bytes[end..].starts_with(b"...")))
}

/// Replaces the escape sequences of C in a string by the bytes that they stand for.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut position = 0;
    while let Some(&b) = text.get(position) {
        position += 1;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some(&escaped) = text.get(position) else { break };
        position += 1;
        match escaped {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'v' => out.push(0x0b),
            b'f' => out.push(0x0c),
            b'a' => out.push(0x07),
            b'b' => out.push(0x08),
            b'x' => {
                let digits: Vec<u8> = text[position..]
                    .iter()
                    .copied()
                    .take(2)
                    .take_while(u8::is_ascii_hexdigit)
                    .collect();
                position += digits.len();
                out.push(
                    std::str::from_utf8(&digits)
                        .ok()
                        .and_then(|d| u8::from_str_radix(d, 16).ok())
                        .unwrap_or(0),
                );
            }
            b'0'..=b'7' => {
                let digits: Vec<u8> = text[position - 1..]
                    .iter()
                    .copied()
                    .take(3)
                    .take_while(|d| (b'0'..=b'7').contains(d))
                    .collect();
                position += digits.len() - 1;
                out.push(digits.iter().fold(0u32, |v, d| v * 8 + u32::from(d - b'0')) as u8);
            }
            other => out.push(other),
        }
    }
    out
}

/// Returns the path in `3</path>`, `4</dev/null<char 1:3>>` or `AT_FDCWD</path>`, and whether it is
/// followed by `(deleted)`.
pub(crate) fn parse_path(text: &str) -> Option<(Vec<u8>, bool)> {
    let (_, start, end) = Tokens::new(text).find(|(kind, ..)| *kind == TokenKind::AngleBrackets)?;
    let name = text[start + 1..end - 1].split('<').next()?;
    Some((unescape(name.as_bytes()), text[end..].starts_with("(deleted)")))
}
