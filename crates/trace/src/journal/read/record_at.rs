//! Classifies the bytes at the position of the next record in a frame.

use crate::format::record::{Header, RING_DISCARD, RING_HEAD, ring_step, valid_header};
use std::ops::Range;

/// What is at the position of a record.
pub(super) enum AtRecord {
    Record(Header),
    /// A discarded reservation of the ring buffer.
    Discarded,
    /// Bytes that are not a valid record.
    Invalid,
}

/// Classifies the bytes at the beginning of `rest`, the unread rest of a frame, and returns their
/// length. `ring`: the record follows a ring buffer head. A record whose sequence number is less
/// than `next` is invalid.
pub(super) fn record_at(rest: &[u8], ring: bool, next: u64) -> (AtRecord, usize) {
    let Some((step, body)) =
        (if ring { ring_record_range(rest) } else { plain_record_range(rest) })
    else {
        return (AtRecord::Invalid, rest.len());
    };
    let found = match body.map(|body| valid_header(&rest[body])) {
        None => AtRecord::Discarded,
        Some(Some(header)) if header.seq >= next && header.seq < u64::MAX => {
            AtRecord::Record(header)
        }
        Some(_) => AtRecord::Invalid,
    };
    (found, step)
}

/// Returns the distance to the next record and the range of this one, which is `None` if the
/// reservation was discarded. Returns `None` if the length exceeds the frame.
fn ring_record_range(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let word = u32::from_le_bytes(*rest.first_chunk()?);
    let len = (word & !RING_DISCARD) as usize;
    let step = ring_step(word);
    let body = (word & RING_DISCARD == 0).then_some(RING_HEAD..RING_HEAD + len);
    (step <= rest.len()).then_some((step, body))
}

/// Returns the same as [`ring_record_range`] for a record without a ring buffer head.
fn plain_record_range(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let fits = (size_of::<Header>()..=rest.len()).contains(&len) && len.is_multiple_of(8);
    fits.then_some((len, Some(0..len)))
}
