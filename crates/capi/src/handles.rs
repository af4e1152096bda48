//! Handles: the numbers by which C programs name objects. An unknown number is an error.

use crate::ra_trace;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Objects by number. Numbers are never reused.
pub(crate) struct Handles<T> {
    state: &'static str,
    objects: RwLock<Option<HashMap<u64, Arc<Mutex<T>>>>>,
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl<T> Handles<T> {
    /// Creates an empty table. `state` is the word for its objects in error messages.
    pub const fn new(state: &'static str) -> Self {
        Self { state, objects: RwLock::new(None) }
    }

    /// Adds an object, and returns its number. No number is used twice.
    pub fn add(&self, object: T) -> ra_trace {
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.objects
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .insert(number, Arc::new(Mutex::new(object)));
        number
    }

    /// Returns the error for a number without an object.
    fn unknown(&self, number: ra_trace) -> String {
        format!("{number} is no trace that is being {}: it was closed, or never opened", self.state)
    }

    /// Calls `work` with the object of this number. Fails if there is none.
    pub fn with<R>(
        &self,
        number: ra_trace,
        work: impl FnOnce(&mut T) -> Result<R, String>,
    ) -> Result<R, String> {
        let found = self
            .objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|objects| objects.get(&number).cloned());
        let found = found.ok_or_else(|| self.unknown(number))?;
        let mut object = found.lock().map_err(|_| {
            "an earlier mistake inside the library has left this trace unusable".to_owned()
        })?;
        work(&mut object)
    }

    /// Removes the object of this number. Fails while another thread uses it.
    pub fn take(&self, number: ra_trace) -> Result<T, String> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let found = objects
            .as_mut()
            .and_then(|objects| objects.remove(&number))
            .ok_or_else(|| self.unknown(number))?;
        match Arc::try_unwrap(found) {
            Ok(object) => object.into_inner().map_err(|_| {
                "an earlier mistake inside the library has left this trace unusable".to_owned()
            }),
            Err(in_use) => {
                objects.get_or_insert_default().insert(number, in_use);
                Err("another thread is still using this trace".to_owned())
            }
        }
    }
}
