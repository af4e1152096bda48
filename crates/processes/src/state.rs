//! What the kernel keeps for processes: threads, descriptor tables, open files.

pub(crate) mod buffers;
pub(crate) mod file;
pub(crate) mod mappings;
pub(crate) mod rings;
pub(crate) mod table;
pub(crate) mod threads;
