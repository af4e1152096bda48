//! The subcommands. Each has its options, its help and what it does in a module of its own.

pub mod bench;
pub mod convert;
pub mod doctor;
pub mod findings;
pub mod info;
pub mod print;
pub mod record;
pub mod recover;
pub mod replay;
pub mod stat;
pub mod syscalls;
pub mod verify;
