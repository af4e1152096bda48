//! Parses a cell of the column `pieces`: the payloads of a row in the form of [`crate::record`],
//! except that the bytes of data payloads are in the column `data`.

use super::Payload;
use crate::format::record::{PayloadHeader, PayloadKind, padded};
use arrow_buffer::Buffer;
use zerocopy::FromBytes;

/// Where the bytes of data payloads are.
pub(crate) enum DataBytes {
    /// In the cell itself, as in a record.
    Inline,
    /// In the cell of the column `data`, concatenated. Parsing removes them from the front; `None`
    /// means that nothing is left.
    InColumn(Option<Buffer>),
    /// Nowhere: the column `data` was not read, and data payloads get no bytes.
    NotRead,
}

/// Parses a cell without copying bytes. Returns `None` if the cell is invalid or has a payload of a
/// kind that this program does not know.
pub(crate) fn parse_payloads(cell: &Buffer, data: DataBytes) -> Option<Vec<Payload>> {
    parse_payloads_at(cell, (0, cell.len()), data)
}

/// Parses the cell of `len` bytes at offset `start` of `page`, as [`parse_payloads`] does.
pub(crate) fn parse_payloads_at(
    page: &Buffer,
    (start, len): (usize, usize),
    mut data: DataBytes,
) -> Option<Vec<Payload>> {
    let cell = page.get(start..start.checked_add(len)?)?;
    let mut payloads = Vec::new();
    let mut at = 0;
    while at < cell.len() {
        let (head, _) = PayloadHeader::read_from_prefix(&cell[at..]).ok()?;
        at += size_of::<PayloadHeader>();
        let len = head.len as usize;
        let kind = PayloadKind::from_number(head.kind)?;
        let bytes = match &mut data {
            DataBytes::InColumn(rest) if kind == PayloadKind::Data => split_front(rest, len)?,
            DataBytes::NotRead if kind == PayloadKind::Data => empty_buffer(),
            _ => {
                let end = at.checked_add(len).filter(|end| *end <= cell.len())?;
                let payload = page.slice_with_length(start + at, len);
                at = padded(end);
                payload
            }
        };
        payloads.push(Payload {
            arg: head.arg,
            kind,
            flags: head.flags,
            len: u64::from(head.len),
            wanted: head.wanted,
            bytes,
        });
    }
    Some(payloads)
}

/// Removes the first `len` bytes from `rest` and returns them. Returns `None` if there are fewer.
fn split_front(rest: &mut Option<Buffer>, len: usize) -> Option<Buffer> {
    match rest.as_ref().map_or(0, Buffer::len) {
        0 if len == 0 => Some(empty_buffer()),
        all if all == len => rest.take(),
        all if all > len => {
            let whole = rest.as_mut()?;
            let payload = whole.slice_with_length(0, len);
            whole.advance(len);
            Some(payload)
        }
        _ => None,
    }
}

fn empty_buffer() -> Buffer {
    Buffer::from(&[])
}
