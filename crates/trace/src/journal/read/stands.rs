//! What stands where a record should begin.

use crate::journal::read::Pieces;
use crate::journal::{RING_DISCARD, RING_HEAD};
use crate::record::Header;
use std::ops::Range;
use zerocopy::FromBytes;

/// What stands there.
pub(super) enum Stands {
    Record(Header),
    /// Room in the ring that was given back.
    Nothing,
    /// No record.
    Rubbish,
}

/// What stands at the beginning of the rest of a frame, and how many bytes of it. Numbers of
/// records begin at `next`.
pub(super) fn at(rest: &[u8], ring: bool, next: u64) -> (Stands, usize) {
    let Some((step, body)) = (if ring { in_ring(rest) } else { alone(rest) }) else {
        return (Stands::Rubbish, rest.len());
    };
    let stands = match body.map(|body| whole_record(&rest[body])) {
        None => Stands::Nothing,
        Some(Some(header)) if header.seq >= next && header.seq < u64::MAX => Stands::Record(header),
        Some(_) => Stands::Rubbish,
    };
    (stands, step)
}

/// In a ring: bytes that come before what follows, and where among them the record is, if it is
/// one. `None`: not even that can be said.
fn in_ring(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let word = u32::from_le_bytes(*rest.first_chunk()?);
    let len = (word & !RING_DISCARD) as usize;
    let step = (RING_HEAD + len).next_multiple_of(8);
    let body = (word & RING_DISCARD == 0).then_some(RING_HEAD..RING_HEAD + len);
    (step <= rest.len()).then_some((step, body))
}

/// The same of a record without a ring's head.
fn alone(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let whole = (size_of::<Header>()..=rest.len()).contains(&len) && len.is_multiple_of(8);
    whole.then_some((len, Some(0..len)))
}

/// The head of the record at the beginning of `bytes`, if it and its pieces lie in them.
fn whole_record(bytes: &[u8]) -> Option<Header> {
    let (header, _) = Header::read_from_prefix(bytes).ok()?;
    let len = header.len as usize;
    let body = bytes.get(size_of::<Header>()..len).filter(|_| len.is_multiple_of(8))?;
    (Pieces::new(body).count_whole() == Some(usize::from(header.pieces))).then_some(header)
}
