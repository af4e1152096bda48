//! Splits a list at its commas.

use super::{TokenKind, Tokens};
use std::borrow::Cow;

/// Splits a list at the commas that are not in strings or brackets of any kind. Drops comments, and
/// the security contexts that `--secontext` prints after a path or a descriptor. Returns the
/// elements without blanks around them; none if there is no text.
pub(crate) fn split(text: &str) -> Vec<Cow<'_, str>> {
    let (mut parts, mut part) = (Vec::new(), Part::new(text));
    let (mut depth, mut in_context) = (0i32, false);
    // Whether the text before the token ends with a value, and whether with a blank after it.
    let (mut after_value, mut after_blank) = (false, false);
    for (kind, start, end) in Tokens::new(text) {
        let first = text.as_bytes()[start];
        in_context |=
            depth == 0 && first == b'[' && kind == TokenKind::Open && after_value && after_blank;
        match kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth -= 1,
            _ => {}
        }
        if in_context {
            in_context = depth > 0;
            continue;
        }
        let is_blank = kind == TokenKind::Other && first == b' ';
        after_blank = is_blank || after_blank && kind == TokenKind::Comment;
        if !after_blank {
            after_value = match kind {
                TokenKind::QuotedString | TokenKind::AngleBrackets | TokenKind::Comment => true,
                TokenKind::Other => first.is_ascii_alphanumeric() || first == b'.',
                TokenKind::Close => first == b')',
                TokenKind::Open | TokenKind::Arrow => false,
            };
        }
        match kind {
            TokenKind::Other if first == b',' && depth == 0 => {
                parts.push(std::mem::replace(&mut part, Part::new(text)).finish());
            }
            TokenKind::Comment => part.trim_end(),
            _ => part.add(start, end),
        }
    }
    let last = part.finish();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}

/// An element of the list, as far as it was read.
struct Part<'a> {
    /// The whole list.
    text: &'a str,
    /// The range of `text` that the element is, unless it was copied.
    start: usize,
    end: usize,
    /// A copy of the element, if something within it was dropped.
    copy: Option<String>,
}

impl<'a> Part<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, start: 0, end: 0, copy: None }
    }

    /// Appends the range `start..end` of the text. The element is copied only if this does not
    /// follow what it has.
    fn add(&mut self, start: usize, end: usize) {
        let more = self.text.get(start..end);
        match (&mut self.copy, more) {
            (Some(copy), Some(more)) => copy.push_str(more),
            (None, _) if self.start == self.end => (self.start, self.end) = (start, end),
            (None, _) if self.end == start => self.end = end,
            (None, Some(more)) => {
                let mut copy = self.text.get(self.start..self.end).unwrap_or_default().to_owned();
                copy.push_str(more);
                self.copy = Some(copy);
            }
            (_, None) => {}
        }
    }

    /// Removes the blanks at the end.
    fn trim_end(&mut self) {
        match &mut self.copy {
            Some(copy) => copy.truncate(copy.trim_end().len()),
            None => {
                let text = self.text.get(self.start..self.end).unwrap_or_default();
                self.end = self.start + text.trim_end().len();
            }
        }
    }

    /// Returns the element without blanks around it.
    fn finish(self) -> Cow<'a, str> {
        match self.copy {
            Some(copy) => Cow::Owned(copy.trim().to_owned()),
            None => Cow::Borrowed(self.text.get(self.start..self.end).unwrap_or_default().trim()),
        }
    }
}
