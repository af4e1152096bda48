//! A cell of the column `pieces`: the pieces of a row as they stood in its records, but for the bytes of data pieces, which stand in the column `data`.

use super::Piece;
use crate::format::record::{PieceHeader, PieceKind, padded};
use arrow::buffer::Buffer;
use zerocopy::FromBytes;

/// Where the bytes of data pieces are.
pub(crate) enum Inside {
    /// In the cell itself, as in a record.
    Here,
    /// In the column `data`; `None`: nothing is left there.
    There(Option<Buffer>),
    /// They were not read.
    Nowhere,
}

/// Takes a cell apart, copying nothing. `None`: it is not sound, or knows more kinds than this program.
pub(crate) fn pieces(cell: &Buffer, data: Inside) -> Option<Vec<Piece>> {
    pieces_at(cell, (0, cell.len()), data)
}

/// The same with the cell that stands at `start`, `len` bytes of `page`.
pub(crate) fn pieces_at(
    page: &Buffer,
    (start, len): (usize, usize),
    mut data: Inside,
) -> Option<Vec<Piece>> {
    let cell = page.get(start..start.checked_add(len)?)?;
    let mut all = Vec::new();
    let mut at = 0;
    while at < cell.len() {
        let (head, _) = PieceHeader::read_from_prefix(&cell[at..]).ok()?;
        at += size_of::<PieceHeader>();
        let len = head.len as usize;
        let kind = PieceKind::from_number(head.kind)?;
        let bytes = match &mut data {
            Inside::There(rest) if kind == PieceKind::Data => cut(rest, len)?,
            Inside::Nowhere if kind == PieceKind::Data => empty(),
            _ => {
                let end = at.checked_add(len).filter(|end| *end <= cell.len())?;
                let piece = page.slice_with_length(start + at, len);
                at = padded(end);
                piece
            }
        };
        all.push(Piece {
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
            let piece = whole.slice_with_length(0, len);
            whole.advance(len);
            Some(piece)
        }
        _ => None,
    }
}

fn empty() -> Buffer {
    Buffer::from(&[])
}
