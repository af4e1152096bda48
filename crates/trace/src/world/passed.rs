//! Descriptors that processes pass to each other in messages (unix(7), `SCM_RIGHTS`).
//!
//! No record says which message a process received. It is taken for the oldest one sent that passed as many descriptors and had the same data: sockets keep the order
//! of what is sent to them, and messages in different sockets seldom look alike.

use super::World;
use super::bound::Bound;
use super::file::Descriptor;
use crate::call::Call;
use crate::record::{Identity, PieceKind};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Messages on their way that are remembered.
const MOST: usize = 4096;

/// A message with descriptors that nobody has received.
pub(super) struct Sent<T> {
    data: u64,
    descriptors: Vec<Option<Arc<Descriptor<T>>>>,
}

impl<T: Default> World<T> {
    /// A call that may send descriptors begins.
    pub(super) fn send(&mut self, call: &Call) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        let table = self.tables.get(&thread.table);
        let descriptors: Vec<_> = passed(call).map(|fd| table.and_then(|t| t.get(fd)).cloned()).collect();
        if descriptors.is_empty() || !call.succeeded() {
            return;
        }
        if self.sent.len() >= MOST {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { data: data(call), descriptors });
    }

    /// A call that received descriptors returned.
    pub(super) fn receive(&mut self, call: &Call, bound: &mut Bound<T>) {
        let numbers: Vec<i32> = passed(call).collect();
        if numbers.is_empty() {
            return;
        }
        let alike = |s: &Sent<T>| s.descriptors.len() == numbers.len() && s.data == data(call);
        let sent = self.sent.iter().position(alike).and_then(|at| self.sent.remove(at));
        let mut descriptors = sent.map(|s| s.descriptors).unwrap_or_default();
        descriptors.resize_with(numbers.len(), || None);
        for (fd, descriptor) in numbers.into_iter().zip(descriptors) {
            let descriptor = descriptor.unwrap_or_else(|| {
                let file = self.file(b"received", Identity::default(), 0);
                self.describe(file)
            });
            self.install(call, bound, fd, descriptor, false);
        }
    }
}

/// The descriptors in a message.
fn passed(call: &Call) -> impl Iterator<Item = i32> + '_ {
    call.pieces.iter().filter(|p| p.kind == PieceKind::Control).flat_map(|p| rights(p.bytes.as_slice()))
}

fn data(call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.pieces.iter().filter(|p| p.kind == PieceKind::Data).for_each(|p| hasher.write(p.bytes.as_slice()));
    call.ret.hash(&mut hasher);
    hasher.finish()
}

/// The descriptors in `SCM_RIGHTS` messages (cmsg(3)).
fn rights(mut control: &[u8]) -> Vec<i32> {
    let mut fds = Vec::new();
    while let Some((head, _)) = control.split_first_chunk::<16>() {
        let word = |at: usize| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = (word(0) as u32 as usize).clamp(16, control.len());
        if (word(8), word(12)) == (1, 1) {
            fds.extend(control[16..len].chunks_exact(4).map(|n| i32::from_le_bytes(n.try_into().expect("chunks of four"))));
        }
        control = control.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    fds
}
