//! Where a record's parts lie: the one place that knows, for engines, the journal and sealing. The
//! program in the kernel has the same layout from `crates/capture/src/ebpf/bpf/record.h`, which
//! says the same offsets to its compiler.

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

/// Bytes of a BPF ring's head of a record (`struct bpf_ringbuf_hdr`, kernel/bpf/ringbuf.c): a `u32`
/// length of what follows, which may be more than the record's own, with the two upper bits as
/// flags, and a `u32` that means nothing here. What follows is padded to a multiple of 8.
pub const RING_HEAD: usize = 8;
/// The bit of a ring's length that says that the record is none.
pub const RING_DISCARD: u32 = 1 << 30;
/// Where [`Header::seq`] stands in a record.
pub const SEQ: usize = offset_of!(Header, seq);

/// Bytes from a payload's or a record's bytes to what follows them: a multiple of 8.
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// Bytes from a ring's head of a record, whose length is `word`, to the next one.
pub const fn ring_step(word: u32) -> usize {
    padded(RING_HEAD + (word & !RING_DISCARD) as usize)
}

/// Puts a payload behind those that are there.
pub(crate) fn put_payload(to: &mut Vec<u8>, head: PayloadHeader, bytes: &[u8]) {
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(bytes);
    to.resize(padded(to.len()), 0);
}

/// Writes into the head of a record that is there as a whole what was not known before.
pub(crate) fn complete(record: &mut [u8], payloads: u16, seq: u64) {
    let len = record.len() as u32;
    record[offset_of!(Header, len)..][..4].copy_from_slice(&len.to_le_bytes());
    record[offset_of!(Header, payloads)..][..2].copy_from_slice(&payloads.to_le_bytes());
    record[SEQ..][..8].copy_from_slice(&seq.to_le_bytes());
}

/// The head of the record at the beginning of `bytes`, if it and its payloads lie in them.
pub(crate) fn whole(bytes: &[u8]) -> Option<Header> {
    let (header, _) = Header::read_from_prefix(bytes).ok()?;
    let len = header.len as usize;
    let body = bytes.get(size_of::<Header>()..len).filter(|_| len == padded(len))?;
    (Payloads::new(body).count_whole() == Some(usize::from(header.payloads))).then_some(header)
}

/// The payloads of a record, as they lie in its body.
#[derive(Clone, Copy)]
pub(crate) struct Payloads<'a> {
    rest: &'a [u8],
}

impl<'a> Payloads<'a> {
    /// Payloads in `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }
    /// How many, if they fill the body exactly.
    pub fn count_whole(mut self) -> Option<usize> {
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
