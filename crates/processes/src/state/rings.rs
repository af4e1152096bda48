//! Rings of io_uring: the files that are registered with each, which operations mean by an index.

use crate::Processes;
use crate::arguments::Operands;
use crate::state::file::Descriptor;
use abi::{registered_file, registered_index};
use ahash::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use trace::call::Call;
use trace::record::PayloadKind;

/// The rings whose creation is in the trace.
pub(crate) struct Rings<T> {
    /// The number of each ring, by the id of its open file.
    numbers: HashMap<u64, u32>,
    /// The registered files of each ring, by its number and their index.
    files: BTreeMap<(u32, u32), Arc<Descriptor<T>>>,
}

impl<T> Default for Rings<T> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), files: BTreeMap::new() }
    }
}

impl<T> Rings<T> {
    /// Returns whether a ring is open, as far as the trace tells.
    pub fn has_any(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Returns file `index` of a ring.
    pub fn file(&self, ring: u32, index: u32) -> Option<&Arc<Descriptor<T>>> {
        self.files.get(&(ring, index))
    }

    /// Takes file `index` out of a ring.
    pub fn remove(&mut self, ring: u32, index: u32) -> Option<Arc<Descriptor<T>>> {
        self.files.remove(&(ring, index))
    }

    /// Takes all files out of a ring.
    fn remove_all(&mut self, ring: u32) -> impl Iterator<Item = Arc<Descriptor<T>>> + use<T> {
        let mut later = self.files.split_off(&(ring, 0));
        let mut after = later.split_off(&(ring.saturating_add(1), 0));
        self.files.append(&mut after);
        later.into_values()
    }
}

impl<T: Default> Processes<T> {
    /// Notes the number of the ring that a call has created, if it has created one that is
    /// recorded. Its descriptor is the last one that was opened.
    pub(crate) fn note_created_ring(&mut self, call: &Call, operands: &Operands<T>) {
        if let (Some(ring), Some((_, descriptor))) = (call.created_ring(), operands.opened.last()) {
            self.rings.numbers.insert(descriptor.file.id, ring);
        }
    }

    /// Returns the number of the ring that descriptor `fd` of thread `tid` means, or `None` if it
    /// means something else or the creation of the ring is not in the trace.
    pub fn ring_number(&self, tid: u32, fd: i32) -> Option<u32> {
        if !self.rings.has_any() {
            return None;
        }
        self.rings.numbers.get(&self.descriptor(tid, fd)?.file.id).copied()
    }

    /// Makes the open files of the descriptors that the call passes the registered files of a ring.
    pub(crate) fn register_files(&mut self, call: &Call, operands: &mut Operands<T>) {
        let of = operands.fds[0].as_ref().map(|ring| ring.file.id);
        let Some(&ring) = of.and_then(|id| self.rings.numbers.get(&id)) else { return };
        operands.closed.extend(self.rings.remove_all(ring));
        let Some(payload) = call.payload(2, PayloadKind::Bytes) else { return };
        let (numbers, _) = payload.bytes.as_slice().as_chunks::<4>();
        for (index, number) in (0..).zip(numbers) {
            let open = self.descriptor(call.tid, i32::from_le_bytes(*number)).cloned();
            if let Some(open) = open {
                self.rings.files.insert((ring, index), open);
            }
        }
    }

    /// Registers the file that an operation has opened with its ring, if the operation asked for
    /// that. Returns the number that means it, or `None` if it is an ordinary descriptor.
    pub(crate) fn put_into_ring(
        &mut self,
        call: &Call,
        descriptor: &Arc<Descriptor<T>>,
        operands: &mut Operands<T>,
    ) -> Option<i32> {
        let word = call.sqe_word()?;
        let index = word.slot()?.unwrap_or(call.ret as u32);
        let old = self.rings.files.insert((word.ring(), index), descriptor.clone());
        operands.closed.extend(old);
        Some(registered_file(index))
    }

    /// Returns the registered file that `number` means for an operation, or `None` if it is an
    /// ordinary descriptor or the trace does not tell.
    pub(crate) fn find_registered(&self, call: &Call, number: i32) -> Option<Arc<Descriptor<T>>> {
        let index = registered_index(number)?;
        let ring = call.sqe_word().map(abi::SqeWord::ring);
        if let Some(known) = ring.and_then(|ring| self.rings.file(ring, index)) {
            return Some(known.clone());
        }
        // It was registered by a call that does not show which files. The engine saw the file.
        let table = self.tables.get(&self.threads.get(&call.tid)?.table)?;
        let seen = call.fd_snapshot.known()?;
        let key = (u64::from(seen.dev), seen.ino);
        let same = |d: &&Arc<Descriptor<T>>| d.file.inode.key == key;
        table.slots.values().map(|slot| &slot.descriptor).find(same).cloned()
    }

    /// Adds to the descriptors that are being closed the registered files of rings that are not
    /// open any more.
    pub(crate) fn close_rings(&mut self, closed: &mut Vec<Arc<Descriptor<T>>>) {
        if !self.rings.has_any() {
            return;
        }
        for i in 0..closed.len() {
            let id = closed[i].file.id;
            if !self.rings.numbers.contains_key(&id) {
                continue;
            }
            let is_open = self
                .tables
                .values()
                .any(|table| table.slots.values().any(|slot| slot.descriptor.file.id == id));
            if !is_open && let Some(ring) = self.rings.numbers.remove(&id) {
                closed.extend(self.rings.remove_all(ring));
            }
        }
    }
}
