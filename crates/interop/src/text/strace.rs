//! Output of strace(1):
//! `strace -f [-t|-tt|-ttt|-r] [-T] [-y|-yy] [-x|-xx] [-v] [-s N] [-o FILE | -ff -o FILE]`.
//!
//! The table says what each argument is: names of flags become numbers again. What strace
//! abbreviates is unknown, and not compared; a string that strace cut is marked as cut.

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
