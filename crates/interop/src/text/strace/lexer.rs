//! The signs of strace's text that belong together: strings, the names behind descriptors,
//! comments, brackets.
//!
//! Each text is walked once, from its beginning to its end, whatever is in it.

pub(crate) mod split;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
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
    /// `=>`, between what was there before the call and after it.
    Becomes,
    /// Any other byte.
    Other,
}

/// Walks over a text.
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// A name may begin here: behind a number, a word, or a comment on one.
    behind_word: bool,
    /// There was an angle bracket that nothing closes: no later one is looked at.
    unclosed: bool,
}

impl<'a> Scan<'a> {
    /// From the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, behind_word: false, unclosed: false }
    }

    fn named(&mut self) -> Option<usize> {
        let starts = self.behind_word && !self.unclosed;
        // A shift is none.
        if !starts || self.bytes.get(self.at + 1) == Some(&b'<') {
            return None;
        }
        let end = name_end(self.bytes, self.at);
        self.unclosed = end.is_none();
        end
    }
}

impl Iterator for Scan<'_> {
    /// What it is, where it begins and where it ends.
    type Item = (Sign, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (from, bytes) = (self.at, self.bytes);
        let b = *bytes.get(from)?;
        let (sign, end) = match b {
            b'"' => (Sign::Quoted, quote_end(bytes, from)),
            b'/' if bytes.get(from + 1) == Some(&b'*') => {
                (Sign::Comment, comment_end(bytes, from + 2))
            }
            b'<' => self.named().map_or((Sign::Other, from + 1), |end| (Sign::Named, end)),
            b'=' if bytes.get(from + 1) == Some(&b'>') => (Sign::Becomes, from + 2),
            b'(' | b'[' | b'{' => (Sign::Open, from + 1),
            b')' | b']' | b'}' => (Sign::Close, from + 1),
            _ => {
                let more = bytes[from + 1..].iter().take_while(|b| **b & 0xc0 == 0x80).count();
                (Sign::Other, from + 1 + more)
            }
        };
        self.behind_word = match sign {
            Sign::Other => b.is_ascii_alphanumeric() || b == b'_' || b == b' ' && self.behind_word,
            Sign::Comment => self.behind_word,
            _ => false,
        };
        self.at = end;
        Some((sign, from, end))
    }
}

/// Behind the closing quote of the string that begins at `from`, or the end.
pub(crate) fn quote_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && !bytes[at..].starts_with(b"*/") {
        at += 1;
    }
    (at + 2).min(bytes.len())
}

/// Behind the bracket that closes the name whose opening one is at `from`. In a path strace escapes
/// angle brackets (`\74`, `\76`) and quotes; a device's number stands in brackets of its own, and
/// of a socket `->` and a path in quotes are part.
fn name_end(bytes: &[u8], from: usize) -> Option<usize> {
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
