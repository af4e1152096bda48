//! The direct descriptors of a ring: files that operations mean by a slot in its table, as the
//! recorded ones did.
//!
//! Which slot a file has is decided here: the recorded slots of one ring are not needed twice. The
//! table does not keep descriptors: a file whose descriptor was closed is taken out.

use crate::issue::RealFd;
use crate::issue::ring::Ring;
use model::processes::Descriptor;
use std::sync::{Arc, Weak};

/// The files in the table.
#[derive(Default)]
pub(super) struct Files {
    slots: Vec<Weak<Descriptor<RealFd>>>,
    /// The kernel refused one: operations take descriptors.
    is_refused: bool,
}

/// Returns whether a descriptor was closed, so that no operation can use it any more.
fn is_closed(descriptor: &Weak<Descriptor<RealFd>>) -> bool {
    descriptor.upgrade().is_none_or(|descriptor| descriptor.real.get() < 0)
}

impl Files {
    /// Returns the slot of the file behind a descriptor, which is put into the table if it is not
    /// there. Returns `None` if the kernel refuses that or the table is full.
    pub fn slot(&mut self, ring: &mut Ring, descriptor: &Arc<Descriptor<RealFd>>) -> Option<u32> {
        let is_it = |slot: &Weak<_>| Weak::as_ptr(slot) == Arc::as_ptr(descriptor);
        if let Some(at) = self.slots.iter().position(is_it) {
            return Some(at as u32);
        }
        if self.is_refused {
            return None;
        }
        let at = self.slots.iter().position(is_closed).unwrap_or(self.slots.len());
        if at >= Ring::FILES {
            return None;
        }
        if ring.set_file(at as u32, descriptor.real.get()).is_err() {
            self.is_refused = true;
            return None;
        }
        let file = Arc::downgrade(descriptor);
        match self.slots.get_mut(at) {
            Some(slot) => *slot = file,
            None => self.slots.push(file),
        }
        Some(at as u32)
    }

    /// Takes the files out of the table whose descriptors were closed.
    pub fn remove_closed(&mut self, ring: &mut Ring) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if slot.strong_count() == 0 && Weak::ptr_eq(slot, &Weak::new()) {
                continue;
            }
            if is_closed(slot) {
                let _ = ring.set_file(at as u32, -1);
                *slot = Weak::new();
            }
        }
    }
}
