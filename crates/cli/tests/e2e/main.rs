//! End to end: real programs run bare and recorded, their traces are replayed into empty
//! directories, and everything is compared.
//!
//! A test that needs something this machine does not have fails and says what: nothing is skipped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod analysis;
mod commands;
mod documents;
mod formats;
mod harness;
mod hostile;
mod programs;
mod recording;
mod replaying;
