//! Text that FreeBSD's kdump(1) wrote: `ktrace -i CMD; kdump [-H] [-T | -E] [-m BYTES]`. Names and data are in it, so that it can be performed on Linux: calls go by
//! the Linux call of that name, flags by their names, errors by their meaning. What there is none for is counted.

mod import;
mod line;

pub use import::import;
pub use line::{Line, is_kdump};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
pub(crate) use tests::LOG;
