//! Text that strace(1) wrote: `strace -f [-t|-tt|-ttt|-r] [-T] [-y|-yy] [-x|-xx] [-v] [-s N] [-o FILE | -ff -o FILE]`.
//!
//! Arguments are read by the table: what strace prints symbolically becomes a number again by the argument's own names. What is abbreviated there is not known here, and
//! so not compared; a string that was cut is marked as cut.

pub mod import;
pub(crate) mod lexer;
mod line;
pub(crate) mod value;

pub use import::import;
pub use line::{Body, Line, is_strace};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_births;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_forms;
#[cfg(test)]
pub(crate) use tests::LOG;
