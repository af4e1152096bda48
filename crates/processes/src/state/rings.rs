//! Rings of io_uring, and the files registered with each, to which operations refer by an index.

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
    ring_numbers: HashMap<u64, u32>,
    /// The registered files, by the number of the ring and the index of the file.
    files: BTreeMap<(u32, u32), Arc<Descriptor<T>>>,
}

impl<T> Default for Rings<T> {
    fn default() -> Self {
        Self { ring_numbers: HashMap::default(), files: BTreeMap::new() }
    }
}

impl<T> Rings<T> {
    /// Returns whether a recorded ring is open.
    pub fn has_any(&self) -> bool {
        !self.ring_numbers.is_empty()
    }

    /// Returns the registered file with this index.
    pub fn file(&self, ring: u32, index: u32) -> Option<&Arc<Descriptor<T>>> {
        self.files.get(&(ring, index))
    }

    /// Removes and returns the registered file with this index.
    pub fn remove(&mut self, ring: u32, index: u32) -> Option<Arc<Descriptor<T>>> {
        self.files.remove(&(ring, index))
    }

    /// Removes and returns all registered files of a ring.
    fn remove_all(&mut self, ring: u32) -> impl Iterator<Item = Arc<Descriptor<T>>> + use<T> {
        let mut removed = self.files.split_off(&(ring, 0));
        let mut of_later_rings = removed.split_off(&(ring.saturating_add(1), 0));
        self.files.append(&mut of_later_rings);
        removed.into_values()
    }
}

impl<T: Default> Processes<T> {
    /// Remembers the number of the ring that a call has created, if its operations are recorded.
    /// Its descriptor is the last one that was opened.
    pub(crate) fn note_created_ring(&mut self, call: &Call, operands: &Operands<T>) {
        if let (Some(ring), Some((_, descriptor))) = (call.created_ring(), operands.opened.last()) {
            self.rings.ring_numbers.insert(descriptor.file.id, ring);
        }
    }

    /// Returns the number of the ring that descriptor `fd` of thread `tid` means, or `None` if it
    /// means something else or the creation of the ring is not in the trace.
    pub fn ring_number(&self, tid: u32, fd: i32) -> Option<u32> {
        if !self.rings.has_any() {
            return None;
        }
        self.rings.ring_numbers.get(&self.descriptor(tid, fd)?.file.id).copied()
    }

    /// Applies a call that registers files with a ring: the files of the descriptors that it passes
    /// replace those that were registered before.
    pub(crate) fn register_files(&mut self, call: &Call, operands: &mut Operands<T>) {
        let ring_file = operands.fds[0].as_ref().map(|ring| ring.file.id);
        let Some(&ring) = ring_file.and_then(|id| self.rings.ring_numbers.get(&id)) else { return };
        operands.closed.extend(self.rings.remove_all(ring));
        let Some(payload) = call.payload(2, PayloadKind::Bytes) else { return };
        let (fds, _) = payload.bytes.as_slice().as_chunks::<4>();
        for (index, fd) in (0..).zip(fds) {
            let descriptor = self.descriptor(call.tid, i32::from_le_bytes(*fd)).cloned();
            if let Some(descriptor) = descriptor {
                self.rings.files.insert((ring, index), descriptor);
            }
        }
    }

    /// Registers the file that an operation has opened with its ring, if the operation asked for
    /// that. Returns the number by which operations refer to it. Returns `None` if the operation
    /// created an ordinary descriptor.
    pub(crate) fn register_opened_file(
        &mut self,
        call: &Call,
        descriptor: &Arc<Descriptor<T>>,
        operands: &mut Operands<T>,
    ) -> Option<i32> {
        let word = call.sqe_word()?;
        let index = word.slot()?.unwrap_or(call.ret as u32);
        let replaced = self.rings.files.insert((word.ring(), index), descriptor.clone());
        operands.closed.extend(replaced);
        Some(registered_file(index))
    }

    /// Returns the registered file to which `fd` refers in an operation. Returns `None` if `fd` is
    /// an ordinary descriptor, or the file is not known.
    pub(crate) fn find_registered(&self, call: &Call, fd: i32) -> Option<Arc<Descriptor<T>>> {
        let index = registered_index(fd)?;
        let ring = call.sqe_word().map(abi::SqeWord::ring);
        if let Some(registered) = ring.and_then(|ring| self.rings.file(ring, index)) {
            return Some(registered.clone());
        }
        // A call that does not show its files has registered the file. The engine has seen it.
        let table = self.tables.get(&self.threads.get(&call.tid)?.table_id)?;
        let snapshot = call.fd_snapshot.known()?;
        let inode_key = (u64::from(snapshot.dev), snapshot.ino);
        let is_same_file = |d: &&Arc<Descriptor<T>>| d.file.inode.key == inode_key;
        table.slots.values().map(|slot| &slot.descriptor).find(is_same_file).cloned()
    }

    /// Adds to the descriptors that are being closed the registered files of rings that are not
    /// open any more.
    pub(crate) fn close_rings(&mut self, closed: &mut Vec<Arc<Descriptor<T>>>) {
        if !self.rings.has_any() {
            return;
        }
        for i in 0..closed.len() {
            let id = closed[i].file.id;
            if !self.rings.ring_numbers.contains_key(&id) {
                continue;
            }
            let is_open = self
                .tables
                .values()
                .any(|table| table.slots.values().any(|slot| slot.descriptor.file.id == id));
            if !is_open && let Some(ring) = self.rings.ring_numbers.remove(&id) {
                closed.extend(self.rings.remove_all(ring));
            }
        }
    }
}
