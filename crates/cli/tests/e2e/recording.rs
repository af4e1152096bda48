//! What a recording does to the program, and what it misses, as it begins, runs and ends.

pub mod aio;
pub mod along;
pub mod attach;
pub mod births;
pub mod ebpf;
pub mod endings;
pub mod filtered;
pub mod killed;
pub mod limits;
pub mod mapped;
pub mod starting;
pub mod unseen;
pub mod uring;
