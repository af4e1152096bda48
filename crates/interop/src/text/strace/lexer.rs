//! Splits strace's text into tokens: strings, the names after descriptors, comments, brackets.
//!
//! A text is read once, from its beginning to its end, whatever is in it.

pub(crate) mod split;

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A string in quotes.
    Quoted,
    /// What strace adds to a number in angle brackets: a path, a socket, a program's name.
    Named,
    /// `/* ... */`.
    Comment,
    /// An opening bracket.
    Open,
    /// A closing bracket.
    Close,
    /// `=>`, between memory before the call and after it.
    Becomes,
    /// Any other byte.
    Other,
}

/// Iterates over the tokens of a text.
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether a name may begin here: after a number, a word, or a comment on one.
    behind_word: bool,
    /// Whether there was an angle bracket that is not closed: later ones are then not tried.
    unclosed: bool,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of the text.
    pub fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, behind_word: false, unclosed: false }
    }

    /// Returns the end of the path in angle brackets that begins here. Returns `None` if none
    /// begins here.
    fn skip_path(&mut self) -> Option<usize> {
        let starts = self.behind_word && !self.unclosed;
        // `1<<3` is no name.
        if !starts || self.bytes.get(self.at + 1) == Some(&b'<') {
            return None;
        }
        let end = path_end(self.bytes, self.at);
        self.unclosed = end.is_none();
        end
    }
}

impl Iterator for Tokens<'_> {
    /// The kind of a token, the byte where it begins, and the byte after it.
    type Item = (Token, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (from, bytes) = (self.at, self.bytes);
        let b = *bytes.get(from)?;
        let (sign, end) = match b {
            b'"' => (Token::Quoted, quote_end(bytes, from)),
            b'/' if bytes.get(from + 1) == Some(&b'*') => {
                (Token::Comment, comment_end(bytes, from + 2))
            }
            b'<' => self.skip_path().map_or((Token::Other, from + 1), |end| (Token::Named, end)),
            b'=' if bytes.get(from + 1) == Some(&b'>') => (Token::Becomes, from + 2),
            b'(' | b'[' | b'{' => (Token::Open, from + 1),
            b')' | b']' | b'}' => (Token::Close, from + 1),
            _ => {
                let more = bytes[from + 1..].iter().take_while(|b| **b & 0xc0 == 0x80).count();
                (Token::Other, from + 1 + more)
            }
        };
        self.behind_word = match sign {
            Token::Other => b.is_ascii_alphanumeric() || b == b'_' || b == b' ' && self.behind_word,
            Token::Comment => self.behind_word,
            _ => false,
        };
        self.at = end;
        Some((sign, from, end))
    }
}

/// Returns the offset after the closing quote of the string that begins at `from`, or the end of
/// the text.
pub(crate) fn quote_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Returns the offset after the end of the comment that `at` is inside, or the end of the text.
fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && !bytes[at..].starts_with(b"*/") {
        at += 1;
    }
    (at + 2).min(bytes.len())
}

/// Returns the offset after the bracket that closes the path whose opening bracket is at `from`. In
/// a path strace escapes angle brackets (`\74`, `\76`) and quotes. A device's number has brackets
/// of its own. The name of a socket may contain `->` and a path in quotes.
fn path_end(bytes: &[u8], from: usize) -> Option<usize> {
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let letters = bytes[from + 1..].iter().take_while(|b| word(b)).count();
    let socket = letters > 0 && bytes[from + 1 + letters..].starts_with(b":[");
    let (mut at, mut deep) = (from + 1, 1);
    while let Some(&b) = bytes.get(at) {
        match b {
            b'\\' => at += 1,
            b'"' if socket => {
                at = quote_end(bytes, at);
                continue;
            }
            b'>' if socket && bytes[at - 1] != b']' => {}
            b'<' if !socket => deep += 1,
            b'>' => deep -= 1,
            _ => {}
        }
        at += 1;
        if deep == 0 {
            return Some(at);
        }
    }
    None
}
