//! What two overlapping calls' results prove of their order.
//!
//! A read that brought a write's bytes came after it, and one that brought others came before; a read that met the file's end where a write goes on came before it, and
//! so did a call that found the file shorter than the write made it.

use crate::issue::Real;
use abi::{Effect, Form, Is, Kind, Len, Ret, Shape};
use model::world::Bound;
use std::borrow::Cow;
use trace::Call;
use trace::record::{AT_EXIT, PieceKind};

/// The size that a call found its file to have, by a seek to its end or in a struct.
pub(crate) fn size_found(
    call: &Call,
    shape: &Shape,
    bound: &Bound<Real>,
) -> Option<((u64, u64), u64)> {
    const SEEK_END: u64 = 2;
    let fd = usize::from(shape.uses.fd?);
    let file = &bound.fds[fd].as_ref().filter(|d| d.file.is_stored() && call.succeeded())?.file;
    let told = || {
        shape.args.iter().enumerate().find_map(|(i, a)| match a.kind {
            Kind::Out(_, l) => Some(call.word(
                i as u8,
                l.fields.iter().find(|f| f.is == Is::Size && f.size == 8)?.at as u8,
            )),
            _ => None,
        })
    };
    let size = if shape.effect == Effect::Seek {
        (call.args[2] == SEEK_END).then(|| (call.ret as u64).wrapping_sub(call.args[1]))
    } else {
        told()
    };
    Some((file.inode.key, size?))
}

/// Bytes of a regular file that a call moved.
pub(crate) struct Access<'a> {
    call: &'a Call,
    pub inode: (u64, u64),
    pub start: u64,
    pub end: u64,
    pub writes: bool,
    /// It wrote at the file's end, wherever that was when it acted.
    pub appends: bool,
    /// It brought less than was asked for: it met the file's end.
    short: bool,
}

impl<'a> Access<'a> {
    /// What `call` moved, if it moved data between its memory and a file, and it is known where.
    pub fn of(call: &'a Call, shape: &Shape, bound: &Bound<Real>) -> Option<Self> {
        if shape.ret != Ret::Bytes || shape.copies.is_some() || !call.succeeded() {
            return None;
        }
        let fd = usize::from(shape.uses.fd?);
        let file = &bound.fds[fd].as_ref().filter(|d| d.file.is_stored())?.file;
        let start = bound.offset?;
        let asked = shape.args.iter().find_map(|a| match a.kind {
            Kind::Out(Len::Ret { max: Some(n), unit: 1 }, l) if l.form == Form::Data => {
                Some(call.args[n as usize])
            }
            _ => None,
        });
        let (end, short) = (
            start.saturating_add(call.ret as u64),
            asked.is_some_and(|asked| (call.ret as u64) < asked),
        );
        Some(Self {
            call,
            inode: file.inode.key,
            start,
            end,
            writes: shape.changes,
            appends: shape.changes && file.appends(),
            short,
        })
    }

    /// The bytes that both moved.
    pub fn common(&self, other: &Self) -> Option<(u64, u64)> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (self.inode == other.inode && start < end).then_some((start, end))
    }

    /// The bytes of which two overlapping writes leave open who wrote them.
    pub fn contests(&self, other: &Self) -> Option<(u64, u64)> {
        if self.inode == other.inode && (self.appends || other.appends) {
            return Some((self.start.min(other.start), u64::MAX));
        }
        self.common(other).filter(|_| self.agrees(other) != Some(true))
    }

    /// Whether both moved the same bytes where they meet; `None` if they do not meet, or nobody knows.
    pub fn agrees(&self, other: &Self) -> Option<bool> {
        let (start, end) = self.common(other)?;
        Some(self.bytes(start, end)? == other.bytes(start, end)?)
    }

    /// Whether this read came after that write; `None`: nothing proves it.
    pub fn saw(&self, write: &Self) -> Option<bool> {
        if self.inode == write.inode
            && self.short
            && write.start <= self.end
            && self.end < write.end
        {
            return Some(false);
        }
        self.agrees(write)
    }

    fn bytes(&self, start: u64, end: u64) -> Option<Cow<'a, [u8]>> {
        let (mut from, len) = ((start - self.start) as usize, (end - start) as usize);
        let mut all = Vec::new();
        for piece in
            self.call.pieces.iter().filter(|p| p.kind == PieceKind::Data && p.flags & AT_EXIT != 0)
        {
            let bytes = piece.bytes.as_slice();
            if all.is_empty() && from + len <= bytes.len() {
                return Some(Cow::Borrowed(&bytes[from..from + len]));
            }
            let part = bytes.get(from..).unwrap_or_default();
            all.extend_from_slice(&part[..part.len().min(len - all.len())]);
            from = from.saturating_sub(bytes.len());
            if (bytes.len() as u64) < piece.wanted {
                break;
            }
        }
        (all.len() == len).then_some(Cow::Owned(all))
    }
}
