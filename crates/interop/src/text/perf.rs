//! Output of perf(1): `perf trace [-o FILE]`, and `perf script` of `perf record -e
//! 'raw_syscalls:*'`.
//!
//! The first has names of arguments, without those that are zero, and strings if perf could load
//! its BPF programs. The second has only registers. Neither has data.

mod import;
mod line;

pub use import::import;
pub use line::{Line, is_perf};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{SCRIPT, TRACE};
