//! Splits a list at its commas.

use super::{Token, Tokens};
use std::borrow::Cow;

/// Splits a list at the commas that are not in strings, names or brackets. Drops comments, and the
/// security contexts that `--secontext` prints after a path or a descriptor.
pub(crate) fn split(text: &str) -> Vec<Cow<'_, str>> {
    let (mut parts, mut part) = (Vec::new(), Part::new(text));
    let (mut deep, mut context) = (0i32, false);
    // Whether a value ends here, and whether a blank follows it.
    let (mut value, mut blank) = (false, false);
    for (sign, from, end) in Tokens::new(text) {
        let b = text.as_bytes()[from];
        context |= deep == 0 && b == b'[' && sign == Token::Open && value && blank;
        match sign {
            Token::Open => deep += 1,
            Token::Close => deep -= 1,
            _ => {}
        }
        if context {
            context = deep > 0;
            continue;
        }
        blank = sign == Token::Other && b == b' ' || blank && sign == Token::Comment;
        if !blank {
            value = match sign {
                Token::Quoted | Token::Named | Token::Comment => true,
                Token::Other => b.is_ascii_alphanumeric() || b == b'.',
                Token::Close => b == b')',
                Token::Open | Token::Becomes => false,
            };
        }
        match sign {
            Token::Other if b == b',' && deep == 0 => {
                parts.push(std::mem::replace(&mut part, Part::new(text)).finish());
            }
            Token::Comment => part.trim_end(),
            _ => part.add(from, end),
        }
    }
    let last = part.finish();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}

/// A part of a list: a range of the text, or a copy if something within was dropped.
struct Part<'a> {
    text: &'a str,
    from: usize,
    end: usize,
    own: Option<String>,
}

impl<'a> Part<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, from: 0, end: 0, own: None }
    }

    /// Appends a part of the text. Parts that follow each other are not copied.
    fn add(&mut self, from: usize, end: usize) {
        let more = self.text.get(from..end);
        match (&mut self.own, more) {
            (Some(own), Some(more)) => own.push_str(more),
            (None, _) if self.from == self.end => (self.from, self.end) = (from, end),
            (None, _) if self.end == from => self.end = end,
            (None, Some(more)) => {
                let mut own = self.text.get(self.from..self.end).unwrap_or_default().to_owned();
                own.push_str(more);
                self.own = Some(own);
            }
            (_, None) => {}
        }
    }

    /// Removes the blanks at the end.
    fn trim_end(&mut self) {
        match &mut self.own {
            Some(own) => own.truncate(own.trim_end().len()),
            None => {
                let text = self.text.get(self.from..self.end).unwrap_or_default();
                self.end = self.from + text.trim_end().len();
            }
        }
    }

    /// Returns the collected text without blanks around it.
    fn finish(self) -> Cow<'a, str> {
        match self.own {
            Some(own) => Cow::Owned(own.trim().to_owned()),
            None => Cow::Borrowed(self.text.get(self.from..self.end).unwrap_or_default().trim()),
        }
    }
}
