//! Descriptors that processes pass to each other in messages (unix(7), `SCM_RIGHTS`).
//!
//! Which message a process received follows from its data and the identities of the descriptors in
//! it. Of several messages with the same data and files, the oldest is taken: sockets deliver
//! messages in order.

use crate::Processes;
use crate::arguments::Operands;
use crate::state::file::Descriptor;
use abi::layout::control::received_descriptors;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use trace::call::Call;
use trace::record::{Identity, PayloadKind};
use zerocopy::FromBytes;

/// The largest number of messages that are kept until a call receives them.
const MAX_MESSAGES: usize = 4096;

/// A message with descriptors that no call has received.
pub(crate) struct Sent<T> {
    /// The hash of its data ([`hash_message`]).
    data_hash: u64,
    /// The descriptors in it; `None`: not known.
    descriptors: Vec<Option<Arc<Descriptor<T>>>>,
}

impl<T: Default> Processes<T> {
    /// Notes the descriptors in a message that a call sends, if the call succeeds.
    pub(crate) fn note_sent(&mut self, call: &Call) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        let table = self.tables.get(&thread.table_id);
        let descriptors: Vec<_> =
            descriptors_in_message(call).map(|fd| table.and_then(|t| t.get(fd)).cloned()).collect();
        if descriptors.is_empty() || !call.succeeded() {
            return;
        }
        if self.sent_messages.len() >= MAX_MESSAGES {
            self.sent_messages.pop_front();
        }
        self.sent_messages.push_back(Sent { data_hash: hash_message(call), descriptors });
    }

    /// Installs the descriptors that a call received in a message. Each is the same open file as
    /// the one that was sent.
    pub(crate) fn install_received(&mut self, call: &Call, operands: &mut Operands<T>) {
        let fds: Vec<i32> = descriptors_in_message(call).collect();
        if fds.is_empty() {
            return;
        }
        let files: Vec<_> = call
            .payloads
            .iter()
            .filter(|p| p.kind == PayloadKind::Identity)
            .map(|p| parse_inode(p.bytes.as_slice()))
            .collect();
        let data_hash = hash_message(call);
        let is_same_file = |d: &Option<Arc<Descriptor<T>>>, file: &(u64, u64)| {
            d.as_ref().is_none_or(|d| {
                [d.file.inode.key, *file].contains(&(0, 0)) || d.file.inode.key == *file
            })
        };
        let matches_message = |message: &Sent<T>| {
            message.data_hash == data_hash
                && message.descriptors.len() == fds.len()
                && message.descriptors.iter().zip(&files).all(|(d, file)| is_same_file(d, file))
        };
        let sent = self
            .sent_messages
            .iter()
            .position(matches_message)
            .and_then(|index| self.sent_messages.remove(index));
        let mut descriptors = sent.map(|message| message.descriptors).unwrap_or_default();
        descriptors.resize_with(fds.len(), || None);
        for (fd, descriptor) in fds.into_iter().zip(descriptors) {
            let descriptor = descriptor.unwrap_or_else(|| {
                let file = self.new_open_file(b"received", Identity::default(), 0, false);
                self.new_descriptor(file)
            });
            self.install_descriptor(call, operands, fd, descriptor, false);
        }
    }
}

/// Returns the numbers of the descriptors in a message (`SCM_RIGHTS`), as the call that sent or
/// received it has them.
fn descriptors_in_message(call: &Call) -> impl Iterator<Item = i32> + '_ {
    call.payloads
        .iter()
        .filter(|p| p.kind == PayloadKind::Control)
        .flat_map(|p| received_descriptors(p.bytes.as_slice()))
}

/// Returns the device and inode number of an identity payload; zeros mean that they are not known.
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
