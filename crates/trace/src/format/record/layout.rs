//! The layout of a record in memory, shared by the engines, the journal and sealing. The eBPF
//! program has the same layout in `crates/capture/src/ebpf/bpf/record.h`, which asserts the same
//! offsets at compile time.

use super::{FdSnapshot, Header, Identity, PayloadHeader};
use std::mem::offset_of;
use zerocopy::{FromBytes, IntoBytes};

const _: () = {
    assert!(size_of::<Header>() == 128 && offset_of!(Header, seq) == 8);
    assert!(offset_of!(Header, entered) == 32 && offset_of!(Header, args) == 56);
    assert!(offset_of!(Header, fd_snapshot) == 104 && size_of::<FdSnapshot>() == 24);
    assert!(size_of::<PayloadHeader>() == 16 && offset_of!(PayloadHeader, len) == 4);
    assert!(size_of::<Identity>() == 88 && offset_of!(Identity, status) == 40);
    assert!(offset_of!(Identity, created) == 72);
};

/// The number of bytes that a BPF ring buffer puts before each record (`struct bpf_ringbuf_hdr`,
/// kernel/bpf/ringbuf.c): a `u32` length of the reservation, whose two upper bits are flags, and a
/// `u32` that is ignored here. The reservation may be longer than the record in it. It is padded to
/// a multiple of 8.
pub const RING_HEAD: usize = 8;
/// The bit of the ring buffer's length that marks a discarded reservation, which holds no record.
pub const RING_DISCARD: u32 = 1 << 30;
/// The offset of [`Header::seq`] in a record, in bytes.
pub const SEQ: usize = offset_of!(Header, seq);

/// Rounds a length in bytes up to a multiple of 8.
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// Returns the number of bytes from the head of one ring buffer record to the next one.
/// `ring_length` is the first `u32` of the head, with its flags.
pub const fn ring_step(ring_length: u32) -> usize {
    padded(RING_HEAD + (ring_length & !RING_DISCARD) as usize)
}

/// Appends a payload to a record: its head, its bytes, and zeros up to a multiple of 8.
pub(crate) fn append_payload(buffer: &mut Vec<u8>, head: PayloadHeader, bytes: &[u8]) {
    buffer.extend_from_slice(head.as_bytes());
    buffer.extend_from_slice(bytes);
    buffer.resize(padded(buffer.len()), 0);
}

/// Writes the length, the number of payloads and the sequence number into the head of a record that
/// is otherwise finished. `record` is exactly the record's bytes.
pub(crate) fn fill_in_header(record: &mut [u8], payloads: u16, seq: u64) {
    let len = record.len() as u32;
    record[offset_of!(Header, len)..][..4].copy_from_slice(&len.to_le_bytes());
    record[offset_of!(Header, payloads)..][..2].copy_from_slice(&payloads.to_le_bytes());
    record[SEQ..][..8].copy_from_slice(&seq.to_le_bytes());
}

/// Returns the head of the record at the beginning of `bytes`. Returns `None` if the record or one
/// of its payloads extends past the end, or if the number of payloads is wrong.
pub(crate) fn valid_header(bytes: &[u8]) -> Option<Header> {
    let (header, _) = Header::read_from_prefix(bytes).ok()?;
    let len = header.len as usize;
    let body = bytes.get(size_of::<Header>()..len).filter(|_| len == padded(len))?;
    (Payloads::new(body).count_if_complete() == Some(usize::from(header.payloads)))
        .then_some(header)
}

/// Iterates over the payloads in the body of a record, and stops at the first one that does not
/// fit.
#[derive(Clone, Copy)]
pub(crate) struct Payloads<'a> {
    rest: &'a [u8],
}

impl<'a> Payloads<'a> {
    /// Iterates over the payloads of a record. `body` is the record without its [`Header`].
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }
    /// Returns the number of payloads if they fill the body exactly, else `None`.
    pub fn count_if_complete(mut self) -> Option<usize> {
        let n = self.by_ref().count();
        self.rest.is_empty().then_some(n)
    }
}

impl<'a> Iterator for Payloads<'a> {
    type Item = (PayloadHeader, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = PayloadHeader::read_from_prefix(self.rest).ok()?;
        let len = head.len as usize;
        let bytes = rest.get(..len)?;
        self.rest = rest.get(padded(len)..)?;
        Some((head, bytes))
    }
}
