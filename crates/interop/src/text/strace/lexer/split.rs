//! A list at its commas.

use super::{Scan, Sign};
use std::borrow::Cow;

/// Splits at commas that stand in nothing else. Comments go, and the security contexts that
/// `--secontext` puts behind a path or a descriptor.
pub(crate) fn split(text: &str) -> Vec<Cow<'_, str>> {
    let (mut parts, mut part) = (Vec::new(), Part::new(text));
    let (mut deep, mut context) = (0i32, false);
    // Whether a value ends here, and whether there is a blank behind it.
    let (mut value, mut blank) = (false, false);
    for (sign, from, end) in Scan::new(text) {
        let b = text.as_bytes()[from];
        context |= deep == 0 && b == b'[' && sign == Sign::Open && value && blank;
        match sign {
            Sign::Open => deep += 1,
            Sign::Close => deep -= 1,
            _ => {}
        }
        if context {
            context = deep > 0;
            continue;
        }
        blank = sign == Sign::Other && b == b' ' || blank && sign == Sign::Comment;
        if !blank {
            value = match sign {
                Sign::Quoted | Sign::Named | Sign::Comment => true,
                Sign::Other => b.is_ascii_alphanumeric() || b == b'.',
                Sign::Close => b == b')',
                Sign::Open | Sign::Becomes => false,
            };
        }
        match sign {
            Sign::Other if b == b',' && deep == 0 => {
                parts.push(std::mem::replace(&mut part, Part::new(text)).finish());
            }
            Sign::Comment => part.trim(),
            _ => part.add(from, end),
        }
    }
    let last = part.finish();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}

/// What has been taken of a text: a piece of it, or what is left of a piece from which something
/// was cut.
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

    /// Takes the blanks at the end away.
    fn trim(&mut self) {
        match &mut self.own {
            Some(own) => own.truncate(own.trim_end().len()),
            None => {
                let text = self.text.get(self.from..self.end).unwrap_or_default();
                self.end = self.from + text.trim_end().len();
            }
        }
    }

    fn finish(self) -> Cow<'a, str> {
        match self.own {
            Some(own) => Cow::Owned(own.trim().to_owned()),
            None => Cow::Borrowed(self.text.get(self.from..self.end).unwrap_or_default().trim()),
        }
    }
}
