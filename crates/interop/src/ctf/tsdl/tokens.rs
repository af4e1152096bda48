//! Words, texts, numbers and signs of the metadata; and its text, out of LTTng's packets.

const PACKET: u32 = 0x75d1_1d57;
const PACKET_HEAD: usize = 37;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Word(String),
    Text(String),
    Number(i128),
    Sign(&'static str),
}

const SIGNS: [&str; 17] =
    [":=", "...", "->", "{", "}", "(", ")", "[", "]", "<", ">", ";", ",", "=", ":", ".", "-"];

/// The text of a metadata file: LTTng writes it in packets.
pub(crate) fn text(bytes: &[u8]) -> Result<String, String> {
    let word = |at: usize, big: bool| {
        let b: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    };
    let Some(big) = [false, true].into_iter().find(|big| word(0, *big) == Some(PACKET)) else {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (content, whole) = (
            word(at + 24, big).unwrap_or(0) as usize / 8,
            word(at + 28, big).unwrap_or(0) as usize / 8,
        );
        if word(at, big) != Some(PACKET) || content < PACKET_HEAD || whole < content {
            return Err(format!("the metadata have no packet at byte {at}"));
        }
        out.extend_from_slice(
            bytes.get(at + PACKET_HEAD..at + content).ok_or("the metadata ends within a packet")?,
        );
        at += whole;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// All tokens of a text.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if first == '"' {
            let (mut text, mut chars) = (String::new(), rest[1..].char_indices());
            rest = loop {
                match chars.next() {
                    Some((at, '"')) => break &rest[1 + at + 1..],
                    Some((_, '\\')) => {
                        text.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c }));
                    }
                    Some((_, c)) => text.push(c),
                    None => return Err("a string without an end".to_owned()),
                }
            };
            tokens.push(Token::Text(text));
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let digits = rest[..end].trim_end_matches(['u', 'U', 'l', 'L']);
            let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => i128::from_str_radix(hex, 16),
                None if digits.len() > 1 && digits.starts_with('0') => {
                    i128::from_str_radix(digits, 8)
                }
                None => digits.parse(),
            };
            tokens.push(Token::Number(value.map_err(|_| format!("{digits} is not a number"))?));
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            let sign = SIGNS
                .iter()
                .find(|s| rest.starts_with(**s))
                .ok_or_else(|| format!("unexpected {first:?}"))?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
    }
}
