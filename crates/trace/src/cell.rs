//! A cell of the column `pieces`: the pieces of a row as they stood in its records, but for the bytes of data pieces, which stand in the column `data`.

use crate::call::Piece;
use crate::record::{PieceHeader, PieceKind};
use arrow::buffer::Buffer;
use zerocopy::FromBytes;

/// Where the bytes of data pieces are.
pub(crate) enum Inside {
    /// In the cell itself, as in a record.
    Here,
    /// In the column `data`.
    There(Buffer),
    /// They were not read.
    Nowhere,
}

/// Takes a cell apart, copying nothing. `None`: it is not sound, or knows more kinds than this program.
pub(crate) fn pieces(cell: &Buffer, mut data: Inside) -> Option<Vec<Piece>> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < cell.len() {
        let (head, _) = PieceHeader::read_from_prefix(&cell[at..]).ok()?;
        at += size_of::<PieceHeader>();
        let len = head.len as usize;
        let kind = PieceKind::from_number(head.kind)?;
        let bytes = match &mut data {
            Inside::There(rest) if kind == PieceKind::Data => {
                let piece = (len <= rest.len()).then(|| rest.slice_with_length(0, len))?;
                *rest = rest.slice(len);
                piece
            }
            Inside::Nowhere if kind == PieceKind::Data => Buffer::from(&[]),
            _ => {
                let end = at.checked_add(len)?;
                let piece = (end <= cell.len()).then(|| cell.slice_with_length(at, len))?;
                at = end.next_multiple_of(8);
                piece
            }
        };
        all.push(Piece { arg: head.arg, kind, flags: head.flags, len: u64::from(head.len), wanted: head.wanted, bytes });
    }
    Some(all)
}
