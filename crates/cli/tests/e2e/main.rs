//! End to end: real programs run bare and recorded, their traces replayed into empty directories, everything compared.
//!
//! A test that needs something this machine does not have fails and says what: nothing is skipped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod along;
mod attach;
mod benchmark;
mod births;
mod choices;
mod convert;
mod databases;
mod duckdb;
mod ebpf;
mod endings;
mod examples;
mod failing;
mod filesystems;
mod filtered;
mod forge;
mod format;
mod hostile;
mod install;
mod json;
mod killed;
mod limits;
mod links;
mod memory;
mod mutations;
mod one_row;
mod orders;
mod others;
mod outcomes;
mod pages;
mod place;
mod print;
mod private;
mod proof;
mod python;
mod real;
mod refused;
mod run;
mod schema;
mod spaces;
mod starting;
mod styles;
mod terminal;
mod tracee;
mod transfer;
mod tree;
mod unseen;
mod versions;
