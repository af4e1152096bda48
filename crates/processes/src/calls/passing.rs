//! Descriptors that processes pass to each other in messages (unix(7), `SCM_RIGHTS`).
//!
//! Which message a process received is told by what the descriptors are that came with it. Of
//! several that passed the same files and had the same data, it is taken for the oldest: sockets
//! keep the order of what is sent to them.

use crate::Processes;
use crate::arguments::Operands;
use crate::state::file::Descriptor;
use abi::layout::control::received_descriptors;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use trace::call::Call;
use trace::record::{Identity, PayloadKind};
use zerocopy::FromBytes;

/// Messages on their way that are remembered.
const MOST: usize = 4096;

/// A message with descriptors that no call has received.
pub(crate) struct Sent<T> {
    data: u64,
    descriptors: Vec<Option<Arc<Descriptor<T>>>>,
}

impl<T: Default> Processes<T> {
    /// Notes the descriptors in a message that a call begins to send.
    pub(crate) fn note_sent(&mut self, call: &Call) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        let table = self.tables.get(&thread.table);
        let descriptors: Vec<_> =
            sent_descriptors(call).map(|fd| table.and_then(|t| t.get(fd)).cloned()).collect();
        if descriptors.is_empty() || !call.succeeded() {
            return;
        }
        if self.sent.len() >= MOST {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { data: hash_message(call), descriptors });
    }

    /// Installs the descriptors that a call received in a message. Each is the same open file as
    /// the one that was sent.
    pub(crate) fn install_received(&mut self, call: &Call, operands: &mut Operands<T>) {
        let numbers: Vec<i32> = sent_descriptors(call).collect();
        if numbers.is_empty() {
            return;
        }
        let files: Vec<_> = call
            .payloads
            .iter()
            .filter(|p| p.kind == PayloadKind::Identity)
            .map(|p| parse_inode(p.bytes.as_slice()))
            .collect();
        let data = hash_message(call);
        let same = |d: &Option<Arc<Descriptor<T>>>, file: &(u64, u64)| {
            d.as_ref().is_none_or(|d| {
                [d.file.inode.key, *file].contains(&(0, 0)) || d.file.inode.key == *file
            })
        };
        let alike = |s: &Sent<T>| {
            s.data == data
                && s.descriptors.len() == numbers.len()
                && s.descriptors.iter().zip(&files).all(|(d, file)| same(d, file))
        };
        let sent = self.sent.iter().position(alike).and_then(|at| self.sent.remove(at));
        let mut descriptors = sent.map(|s| s.descriptors).unwrap_or_default();
        descriptors.resize_with(numbers.len(), || None);
        for (fd, descriptor) in numbers.into_iter().zip(descriptors) {
            let descriptor = descriptor.unwrap_or_else(|| {
                let file = self.new_open_file(b"received", Identity::default(), 0, false);
                self.new_descriptor(file)
            });
            self.install_descriptor(call, operands, fd, descriptor, false);
        }
    }
}

/// Returns the numbers of the descriptors in a message.
fn sent_descriptors(call: &Call) -> impl Iterator<Item = i32> + '_ {
    call.payloads
        .iter()
        .filter(|p| p.kind == PayloadKind::Control)
        .flat_map(|p| received_descriptors(p.bytes.as_slice()))
}

/// Returns the device and inode number; zeros mean that they are not known.
fn parse_inode(payload: &[u8]) -> (u64, u64) {
    Identity::read_from_prefix(payload).map_or((0, 0), |(identity, _)| (identity.dev, identity.ino))
}

/// Returns a hash of a message's data, by which the sender and the receiver of descriptors are
/// matched.
fn hash_message(call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.payloads
        .iter()
        .filter(|p| p.kind == PayloadKind::Data)
        .for_each(|p| hasher.write(p.bytes.as_slice()));
    call.ret.hash(&mut hasher);
    hasher.finish()
}
