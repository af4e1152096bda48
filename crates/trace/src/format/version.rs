//! The versions of the formats that this program writes.

/// That of a trace. A reader refuses one above its own.
pub const MAJOR: u32 = 1;
/// Grows when something is added that older readers may ignore.
pub const MINOR: u32 = 3;
/// That of a journal, which is read by the same version only.
pub(crate) const JOURNAL: u8 = b'3';
