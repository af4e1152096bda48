//! Text that perf(1) wrote: `perf trace [-o FILE]`, and `perf script` of `perf record -e 'raw_syscalls:*'`.
//!
//! The first has names of arguments and, if perf could load its BPF programs, strings; zeros are left out there. The second has the registers and nothing else. Neither has data.

mod import;
mod line;

pub use import::import;
pub use line::{Line, is_perf};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{SCRIPT, TRACE};
