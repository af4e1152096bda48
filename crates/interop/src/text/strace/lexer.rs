//! Splits strace's text into tokens: strings, the names after descriptors, comments, brackets.
//!
//! A text is read once, from its beginning to its end, whatever is in it.

pub(crate) mod split;

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A string in quotes.
    QuotedString,
    /// What strace adds to a number in angle brackets: a path, a socket, a program's name.
    AngleBrackets,
    /// `/* ... */`.
    Comment,
    /// An opening bracket.
    Open,
    /// A closing bracket.
    Close,
    /// `=>`, between the contents of memory before the call and after it.
    Arrow,
    /// Any other character.
    Other,
}

/// Iterates over the tokens of a text, each with the offsets at which it begins and ends.
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    /// The offset of the next token.
    position: usize,
    /// Whether the text before `position` is a number, a word, or a comment on one, so that an
    /// angle bracket may begin a [`TokenKind::AngleBrackets`].
    after_word: bool,
    /// Whether an angle bracket was found that is never closed. Later ones are not tried then, so
    /// that the text is read only once.
    unclosed: bool,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of the text.
    pub fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), position: 0, after_word: false, unclosed: false }
    }

    /// Returns the offset after the text in angle brackets that begins at the current position.
    /// Returns `None` if the angle bracket there is an operator, or is never closed.
    fn angle_brackets_end(&mut self) -> Option<usize> {
        let may_begin = self.after_word && !self.unclosed;
        // `1<<3` is a shift.
        if !may_begin || self.bytes.get(self.position + 1) == Some(&b'<') {
            return None;
        }
        let end = path_end(self.bytes, self.position);
        self.unclosed = end.is_none();
        end
    }
}

impl Iterator for Tokens<'_> {
    /// The kind of a token, the offset of its first byte, and the offset after its last byte.
    type Item = (TokenKind, usize, usize);

    /// Returns the next token and advances behind it, or returns `None` at the end of the text.
    /// Every byte of the text belongs to one token.
    fn next(&mut self) -> Option<Self::Item> {
        let (start, bytes) = (self.position, self.bytes);
        let first = *bytes.get(start)?;
        let second = bytes.get(start + 1).copied();
        let (kind, end) = match first {
            b'"' => (TokenKind::QuotedString, quote_end(bytes, start)),
            b'/' if second == Some(b'*') => (TokenKind::Comment, comment_end(bytes, start + 2)),
            b'<' => match self.angle_brackets_end() {
                Some(end) => (TokenKind::AngleBrackets, end),
                None => (TokenKind::Other, start + 1),
            },
            b'=' if second == Some(b'>') => (TokenKind::Arrow, start + 2),
            b'(' | b'[' | b'{' => (TokenKind::Open, start + 1),
            b')' | b']' | b'}' => (TokenKind::Close, start + 1),
            _ => {
                // The other bytes of the same character in UTF-8.
                let more = bytes[start + 1..].iter().take_while(|b| **b & 0xc0 == 0x80).count();
                (TokenKind::Other, start + 1 + more)
            }
        };
        self.after_word = match kind {
            TokenKind::Other => {
                first.is_ascii_alphanumeric() || first == b'_' || first == b' ' && self.after_word
            }
            TokenKind::Comment => self.after_word,
            _ => false,
        };
        self.position = end;
        Some((kind, start, end))
    }
}

/// Returns the offset after the closing quote of the string whose opening quote is at `start`, or
/// the end of the text.
pub(crate) fn quote_end(bytes: &[u8], start: usize) -> usize {
    let mut offset = start + 1;
    while offset < bytes.len() && bytes[offset] != b'"' {
        offset += if bytes[offset] == b'\\' { 2 } else { 1 };
    }
    (offset + 1).min(bytes.len())
}

/// Returns the offset after the end of the comment that `offset` is inside, or the end of the text.
fn comment_end(bytes: &[u8], mut offset: usize) -> usize {
    while offset < bytes.len() && !bytes[offset..].starts_with(b"*/") {
        offset += 1;
    }
    (offset + 2).min(bytes.len())
}

/// Returns the offset after the bracket that closes the path whose opening bracket is at `start`,
/// or `None` if it is never closed. In a path strace escapes angle brackets (`\74`, `\76`) and
/// quotes. A device's number has brackets of its own. The name of a socket (`TCP:[...]`) may
/// contain `->` and a path in quotes.
fn path_end(bytes: &[u8], start: usize) -> Option<usize> {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let letters = bytes[start + 1..].iter().take_while(|b| is_word(b)).count();
    let is_socket = letters > 0 && bytes[start + 1 + letters..].starts_with(b":[");
    let (mut offset, mut depth) = (start + 1, 1);
    while let Some(&b) = bytes.get(offset) {
        match b {
            b'\\' => offset += 1,
            b'"' if is_socket => {
                offset = quote_end(bytes, offset);
                continue;
            }
            b'>' if is_socket && bytes[offset - 1] != b']' => {}
            b'<' if !is_socket => depth += 1,
            b'>' => depth -= 1,
            _ => {}
        }
        offset += 1;
        if depth == 0 {
            return Some(offset);
        }
    }
    None
}
