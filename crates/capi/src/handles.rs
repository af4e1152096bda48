//! Numbers for what C holds: a number that means nothing, or something else, is an error.

use crate::ra_trace;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Things by their numbers, which are never given out twice.
pub(crate) struct Handles<T> {
    what: &'static str,
    all: RwLock<Option<HashMap<u64, Arc<Mutex<T>>>>>,
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl<T> Handles<T> {
    pub const fn new(what: &'static str) -> Self {
        Self { what, all: RwLock::new(None) }
    }

    pub fn add(&self, thing: T) -> ra_trace {
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.all
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .insert(number, Arc::new(Mutex::new(thing)));
        number
    }

    fn none(&self, number: ra_trace) -> String {
        format!("{number} is no trace that is being {}: it was closed, or never opened", self.what)
    }

    /// Does something with the thing of this number.
    pub fn with<R>(
        &self,
        number: ra_trace,
        work: impl FnOnce(&mut T) -> Result<R, String>,
    ) -> Result<R, String> {
        let found = self
            .all
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|all| all.get(&number).cloned());
        let found = found.ok_or_else(|| self.none(number))?;
        let mut thing = found.lock().map_err(|_| {
            "an earlier mistake inside the library has left this trace unusable".to_owned()
        })?;
        work(&mut thing)
    }

    /// Takes the thing out. Refused while another thread uses it.
    pub fn take(&self, number: ra_trace) -> Result<T, String> {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let found =
            all.as_mut().and_then(|all| all.remove(&number)).ok_or_else(|| self.none(number))?;
        match Arc::try_unwrap(found) {
            Ok(thing) => thing.into_inner().map_err(|_| {
                "an earlier mistake inside the library has left this trace unusable".to_owned()
            }),
            Err(used) => {
                all.get_or_insert_default().insert(number, used);
                Err("another thread is still using this trace".to_owned())
            }
        }
    }
}
