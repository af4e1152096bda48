//! Decides which fields of a struct abbreviated output shows: those that strace 6 shows without
//! `-v`.

use super::field;
use crate::layout::Brief;
use crate::{Field, FieldKind, Layout};
use linux_raw_sys::general::{S_IFBLK, S_IFCHR, S_IFMT};

/// Returns whether field `f` of a struct with these bytes is shown. `whole`: all fields are
/// printed.
pub(super) fn shows(layout: &Layout, f: &Field, bytes: &[u8], whole: bool) -> bool {
    match f.brief {
        Brief::IfSet => field(f, bytes).is_some_and(|n| n != 0),
        _ if whole => true,
        Brief::Shown => true,
        Brief::OfDevice => is_device(layout, bytes),
        Brief::OfOthers => !is_device(layout, bytes),
        Brief::Unmarked => {
            layout.fields.iter().all(|f| matches!(f.brief, Brief::Unmarked | Brief::IfSet))
        }
    }
}

/// Returns whether the struct describes a device node.
fn is_device(layout: &Layout, bytes: &[u8]) -> bool {
    let mode =
        layout.fields.iter().find(|f| f.kind == FieldKind::Mode).and_then(|f| field(f, bytes));
    matches!(mode.map(|mode| mode as u32 & S_IFMT), Some(S_IFCHR | S_IFBLK))
}
