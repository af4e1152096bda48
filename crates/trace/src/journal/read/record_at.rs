//! What stands where a record should begin.

use crate::format::record::{Header, RING_DISCARD, RING_HEAD, ring_step, whole};
use std::ops::Range;

/// What stands there.
pub(super) enum AtRecord {
    Record(Header),
    /// Room in the ring that was given back.
    Discarded,
    /// No record.
    Invalid,
}

/// What stands at the beginning of the rest of a frame, and how many bytes of it. Numbers of
/// records begin at `next`.
pub(super) fn record_at(rest: &[u8], ring: bool, next: u64) -> (AtRecord, usize) {
    let Some((step, body)) = (if ring { in_ring(rest) } else { alone(rest) }) else {
        return (AtRecord::Invalid, rest.len());
    };
    let stands = match body.map(|body| whole(&rest[body])) {
        None => AtRecord::Discarded,
        Some(Some(header)) if header.seq >= next && header.seq < u64::MAX => {
            AtRecord::Record(header)
        }
        Some(_) => AtRecord::Invalid,
    };
    (stands, step)
}

/// In a ring: bytes that come before what follows, and where among them the record is, if it is
/// one. `None`: not even that can be said.
fn in_ring(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let word = u32::from_le_bytes(*rest.first_chunk()?);
    let len = (word & !RING_DISCARD) as usize;
    let step = ring_step(word);
    let body = (word & RING_DISCARD == 0).then_some(RING_HEAD..RING_HEAD + len);
    (step <= rest.len()).then_some((step, body))
}

/// The same of a record without a ring's head.
fn alone(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let fits = (size_of::<Header>()..=rest.len()).contains(&len) && len.is_multiple_of(8);
    fits.then_some((len, Some(0..len)))
}
