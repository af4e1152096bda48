//! The versions of the formats that this program writes.

/// The major version of the trace format. A reader refuses a trace with a higher one.
pub const MAJOR: u32 = 1;
/// The minor version of the trace format. It grows with each addition that older readers may
/// ignore.
pub const MINOR: u32 = 3;
/// The version of the journal format, an ASCII digit. A journal is only read by a program with the
/// same version.
pub(crate) const JOURNAL: u8 = b'3';
