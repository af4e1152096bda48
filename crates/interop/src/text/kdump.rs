//! Output of FreeBSD's kdump(1): `ktrace -i CMD; kdump [-H] [-T | -E] [-m BYTES]`.
//!
//! It has names and data, so that it can be replayed on Linux. A call becomes the Linux call of the
//! same name, flags go by their names, errors by their meaning. What Linux does not have is
//! counted.

mod import;
mod line;

pub use import::import;
pub use line::{Line, is_kdump};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
pub(crate) use tests::LOG;
