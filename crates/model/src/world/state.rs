//! What the kernel keeps for processes: threads, descriptor tables, open files.

pub(in crate::world) mod file;
pub(in crate::world) mod table;
pub(in crate::world) mod threads;
