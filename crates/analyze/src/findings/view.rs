//! A call as rules see it.

use super::files::{At, FileId, Files, PathId};
use abi::{CallSpec, IoClass, Kind, Len, Role, SyncScope};
use linux_raw_sys::general::{O_DIRECT, O_DSYNC, O_TRUNC};
use processes::OpenFile;
use trace::Call;
use trace::record::PayloadKind;

/// A name that a call used.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// What the call does with it.
    pub role: Role,
    /// Its path, cleaned.
    pub path: PathId,
    /// What was there before the call, as far as earlier calls tell.
    pub before: At,
}

/// A call that has returned.
pub struct View<'a> {
    /// The call itself.
    pub call: &'a Call,
    /// Its row.
    pub spec: &'static CallSpec,
    /// The sort of work, with what waits for a peer apart.
    pub class: IoClass,
    /// What it makes durable.
    pub sync: Option<SyncScope>,
    /// Nanoseconds from entry to return.
    pub duration: u64,
    /// The errno, if it failed.
    pub errno: Option<i32>,
    /// What its first descriptor leads to; of an open, what it opened.
    pub handle: Option<&'a OpenFile>,
    /// The file of that.
    pub file: Option<FileId>,
    /// The status flags (`O_*`) of the descriptor.
    pub status: u32,
    /// Where in the file data moved or were to move.
    pub offset: Option<u64>,
    /// How many bytes were to move; `None` if the call moves none or it is not known.
    pub asked: Option<u64>,
    /// How many bytes moved.
    pub moved: u64,
    /// The names that it used.
    pub names: [Option<Name>; 2],
    /// Whether it created the file that it opened.
    pub is_new: bool,
    /// All files and paths.
    pub files: &'a Files,
}

impl View<'_> {
    /// Returns the number of the call.
    pub fn seq(&self) -> u64 {
        self.call.seq
    }
    /// Returns when it returned.
    pub fn left(&self) -> u64 {
        self.call.entered.saturating_add(self.duration)
    }
    /// Returns the end of the bytes that moved.
    pub fn end(&self) -> Option<u64> {
        self.offset.map(|offset| offset.saturating_add(self.moved))
    }
    /// Returns whether what it wrote is on disk when it returns.
    pub fn is_durable(&self) -> bool {
        self.status & O_DSYNC != 0
    }
    /// Returns whether it is an open that empties the file.
    pub fn truncates(&self) -> bool {
        self.opens() && self.handle.is_some_and(|handle| handle.status() & O_TRUNC != 0)
    }
    /// Returns whether the descriptor bypasses the page cache.
    pub fn is_direct(&self) -> bool {
        self.status & O_DIRECT != 0
    }
    /// Returns the name that has this role.
    pub fn name(&self, role: Role) -> Option<&Name> {
        self.names.iter().flatten().find(|name| name.role == role)
    }
    /// Returns whether it opened something.
    pub fn opens(&self) -> bool {
        self.class == IoClass::Open && self.errno.is_none()
    }
    /// Returns the file, if it is a regular one.
    pub fn regular(&self) -> Option<FileId> {
        super::definition::regular(self.files, self.file)
    }
}

/// Returns how many bytes a call was to move, or `None` if it moves none or that is not known.
pub(super) fn asked_bytes(call: &Call, spec: &CallSpec) -> Option<u64> {
    if let Some(copies) = spec.copies {
        return match copies.len {
            Len::Arg { n, unit } => Some(call.args[usize::from(n)].saturating_mul(unit.into())),
            _ => None,
        };
    }
    if !spec.uses.moves_data {
        return None;
    }
    spec.args.iter().enumerate().find_map(|(i, arg)| match arg.kind {
        Kind::In(len, _) | Kind::Out(len, _) | Kind::InOut(len, _) => match len {
            Len::Arg { n, unit } => Some(call.args[usize::from(n)].saturating_mul(unit.into())),
            Len::Ret { max: Some(n), unit } => {
                Some(call.args[usize::from(n)].saturating_mul(unit.into()))
            }
            _ => None,
        },
        Kind::InIov { .. } | Kind::OutIov { .. } => {
            let vectors = call.payload(i as u8, PayloadKind::Iovecs)?;
            let (each, _) = vectors.bytes.as_slice().as_chunks::<16>();
            let len = |v: &[u8; 16]| v[8..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
            Some(trace::saturating_sum(each.iter().map(len)))
        }
        _ => None,
    })
}
