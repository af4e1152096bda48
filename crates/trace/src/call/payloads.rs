//! A cell of the column `pieces`: the payloads of a row as they stood in its records, but for the
//! bytes of data payloads, which stand in the column `data`.

use super::Payload;
use crate::format::record::{PayloadHeader, PayloadKind, padded};
use arrow::buffer::Buffer;
use zerocopy::FromBytes;

/// Where the bytes of data payloads are.
pub(crate) enum DataBytes {
    /// In the cell itself, as in a record.
    Inline,
    /// In the column `data`; `None`: nothing is left there.
    InColumn(Option<Buffer>),
    /// They were not read.
    NotRead,
}

/// Takes a cell apart, copying nothing. `None`: it is not sound, or knows more kinds than this
/// program.
pub(crate) fn payloads(cell: &Buffer, data: DataBytes) -> Option<Vec<Payload>> {
    payloads_at(cell, (0, cell.len()), data)
}

/// The same with the cell that stands at `start`, `len` bytes of `page`.
pub(crate) fn payloads_at(
    page: &Buffer,
    (start, len): (usize, usize),
    mut data: DataBytes,
) -> Option<Vec<Payload>> {
    let cell = page.get(start..start.checked_add(len)?)?;
    let mut all = Vec::new();
    let mut at = 0;
    while at < cell.len() {
        let (head, _) = PayloadHeader::read_from_prefix(&cell[at..]).ok()?;
        at += size_of::<PayloadHeader>();
        let len = head.len as usize;
        let kind = PayloadKind::from_number(head.kind)?;
        let bytes = match &mut data {
            DataBytes::InColumn(rest) if kind == PayloadKind::Data => cut(rest, len)?,
            DataBytes::NotRead if kind == PayloadKind::Data => empty(),
            _ => {
                let end = at.checked_add(len).filter(|end| *end <= cell.len())?;
                let payload = page.slice_with_length(start + at, len);
                at = padded(end);
                payload
            }
        };
        all.push(Payload {
            arg: head.arg,
            kind,
            flags: head.flags,
            len: u64::from(head.len),
            wanted: head.wanted,
            bytes,
        });
    }
    Some(all)
}

/// The first `len` bytes, which are taken off.
fn cut(rest: &mut Option<Buffer>, len: usize) -> Option<Buffer> {
    match rest.as_ref().map_or(0, Buffer::len) {
        0 if len == 0 => Some(empty()),
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

fn empty() -> Buffer {
    Buffer::from(&[])
}
