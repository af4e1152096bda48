//! Numbers for texts: the values of a key.

use ahash::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Distinct texts, numbered from 1. 0 stands for no text.
#[derive(Default)]
pub(super) struct Texts {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Texts {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of a text, which is added if it is new. Texts beyond 4 billion share the
    /// number of the last one.
    pub fn number(&self, text: &str) -> u32 {
        let mut inner = self.lock();
        if let Some(number) = inner.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(inner.texts.len() + 1).unwrap_or(u32::MAX);
        inner.texts.push(text.into());
        inner.numbers.insert(text.into(), number);
        number
    }

    /// Returns the text with a number, or `None` for 0.
    pub fn text(&self, number: u32) -> Option<String> {
        let at = (number as usize).checked_sub(1)?;
        self.lock().texts.get(at).map(ToString::to_string)
    }
}
