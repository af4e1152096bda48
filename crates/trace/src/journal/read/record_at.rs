//! Classifies the next bytes of a frame: a record, or not.

use crate::format::record::{Header, RING_DISCARD, RING_HEAD, ring_step, valid_header};
use std::ops::Range;

/// What the next bytes of a frame are.
pub(super) enum NextBytes {
    /// A valid record with this head.
    Record(Header),
    /// A discarded reservation of the ring buffer.
    Discarded,
    /// Bytes that are not a valid record.
    Invalid,
}

/// Classifies the bytes at the beginning of `rest`, the unread rest of a frame. Returns what they
/// are, and the number of bytes up to the next record. `has_ring_head` is whether a record follows
/// a ring buffer head. A record whose sequence number is less than `next_seq` is invalid.
pub(super) fn classify_record(
    rest: &[u8],
    has_ring_head: bool,
    next_seq: u64,
) -> (NextBytes, usize) {
    let Some((len, body)) =
        (if has_ring_head { ring_record_range(rest) } else { plain_record_range(rest) })
    else {
        return (NextBytes::Invalid, rest.len());
    };
    let kind = match body.map(|body| valid_header(&rest[body])) {
        None => NextBytes::Discarded,
        Some(Some(header)) if header.seq >= next_seq && header.seq < u64::MAX => {
            NextBytes::Record(header)
        }
        Some(_) => NextBytes::Invalid,
    };
    (kind, len)
}

/// Returns the number of bytes up to the next record, and the range of this one; no range if the
/// reservation in the ring buffer was discarded. Returns `None` if the length exceeds the frame.
fn ring_record_range(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let ring_length = u32::from_le_bytes(*rest.first_chunk()?);
    let len = (ring_length & !RING_DISCARD) as usize;
    let distance = ring_step(ring_length);
    let record = (ring_length & RING_DISCARD == 0).then_some(RING_HEAD..RING_HEAD + len);
    (distance <= rest.len()).then_some((distance, record))
}

/// Returns the same as [`ring_record_range`] for a record without a ring buffer head.
fn plain_record_range(rest: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let fits = (size_of::<Header>()..=rest.len()).contains(&len) && len.is_multiple_of(8);
    fits.then_some((len, Some(0..len)))
}
