//! Bytes of files that calls read or wrote, and what they prove about the order of two overlapping
//! calls.
//!
//! A read that brought a write's bytes came after it, and one that brought others came before; a
//! read that met the file's end where a write goes on came before it.

use crate::claims::{Claim, Resource, ResourceState, Span};
use std::borrow::Cow;
use trace::Call;
use trace::record::{AT_EXIT, PayloadKind};

/// What a call read from a file or wrote to it.
#[derive(Clone, Copy)]
pub(crate) struct DataAccess<'a> {
    call: &'a Call,
    pub span: Span,
    pub writes: bool,
    /// It wrote at the file's end, wherever that was when it acted.
    pub appends: bool,
    /// It brought less than was asked for: it met the file's end.
    met_end: bool,
}

impl<'a> DataAccess<'a> {
    /// Returns the range and data that `call` accessed, if they are known.
    pub fn of(call: &'a Call, claims: &[Claim]) -> Option<Self> {
        claims.iter().find_map(|claim| match claim.resource {
            Resource::Bytes(span) if claim.after != ResourceState::Unknown => Some(Self {
                call,
                span,
                writes: claim.changes,
                appends: claim.after == ResourceState::Appended,
                met_end: claim.before == ResourceState::Last,
            }),
            _ => None,
        })
    }

    /// Returns the range that both accessed.
    pub fn common_range(&self, other: &Self) -> Option<(u64, u64)> {
        let (mine, theirs) = (self.span, other.span);
        let (start, end) = (mine.start.max(theirs.start), mine.end.min(theirs.end));
        (mine.file == theirs.file && start < end).then_some((start, end))
    }

    /// Returns the range that two overlapping writes wrote differently, so that it is not
    /// determined which came last.
    pub fn contested_range(&self, other: &Self) -> Option<(u64, u64)> {
        if self.span.file == other.span.file && (self.appends || other.appends) {
            return Some((self.span.start.min(other.span.start), u64::MAX));
        }
        self.common_range(other).filter(|_| self.same_bytes(other) != Some(true))
    }

    /// Returns whether both moved the same bytes in their common range. Returns `None` if they have
    /// none, or the bytes are not known.
    fn same_bytes(&self, other: &Self) -> Option<bool> {
        let (start, end) = self.common_range(other)?;
        Some(self.data(start, end)? == other.data(start, end)?)
    }

    /// Returns whether this read came after that write. Returns `None` if the data do not prove it.
    pub fn observed(&self, write: &Self) -> Option<bool> {
        let (mine, theirs) = (self.span, write.span);
        let before = self.met_end && theirs.start <= mine.end && mine.end < theirs.end;
        if mine.file == theirs.file && before {
            return Some(false);
        }
        self.same_bytes(write)
    }

    /// Returns the moved bytes from `start` to `end` of the file, if all are known. What operations
    /// of io_uring and libaio write is recorded at their submission, all else at the exit.
    fn data(&self, start: u64, end: u64) -> Option<Cow<'a, [u8]>> {
        let (mut from, len) = ((start - self.span.start) as usize, (end - start) as usize);
        let mut all = Vec::new();
        let data = || self.call.payloads.iter().filter(|p| p.kind == PayloadKind::Data);
        let at_exit = |p: &trace::Payload| p.flags & AT_EXIT != 0;
        let any_at_exit = data().any(at_exit);
        for payload in data().filter(|p| at_exit(p) == any_at_exit) {
            let data = payload.bytes.as_slice();
            if all.is_empty() && from + len <= data.len() {
                return Some(Cow::Borrowed(&data[from..from + len]));
            }
            let part = data.get(from..).unwrap_or_default();
            all.extend_from_slice(&part[..part.len().min(len - all.len())]);
            from = from.saturating_sub(data.len());
            if (data.len() as u64) < payload.wanted {
                break;
            }
        }
        (all.len() == len).then_some(Cow::Owned(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::call::Payload;
    use trace::record::FdSnapshot;

    fn call(flags: u8, bytes: &[u8]) -> Call {
        let len = bytes.len() as u64;
        let bytes = bytes.to_vec().into();
        Call {
            seq: 0,
            entered: 0,
            exited: Some(1),
            pid: 1,
            tid: 1,
            nr: 0,
            flags: 0,
            args: [0; 6],
            ret: len as i64,
            fd_snapshot: FdSnapshot::default(),
            payloads: vec![Payload {
                arg: 1,
                kind: PayloadKind::Data,
                flags,
                len,
                wanted: len,
                bytes,
            }],
        }
    }

    fn access(call: &Call, writes: bool) -> DataAccess<'_> {
        let span = Span { file: (1, 2), start: 0, end: call.ret as u64 };
        DataAccess { call, span, writes, appends: false, met_end: false }
    }

    /// A write's data are captured when it is submitted, or when it returns.
    #[test]
    fn a_read_that_brought_the_bytes_of_a_write_came_after_it() {
        let read = call(AT_EXIT, b"new");
        for flags in [0, AT_EXIT] {
            let (same, other) = (call(flags, b"new"), call(flags, b"old"));
            assert_eq!(access(&read, false).observed(&access(&same, true)), Some(true));
            assert_eq!(access(&read, false).observed(&access(&other, true)), Some(false));
        }
    }
}
