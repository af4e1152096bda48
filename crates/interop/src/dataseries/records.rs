//! The records of system calls: their types, and which field is which argument.

pub mod arguments;
pub mod dirents;
pub mod flags;
pub mod schema;
