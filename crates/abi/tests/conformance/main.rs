//! The table against other tellings of the same facts: the running kernel's own, and those of the
//! crates that list calls and structs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

extern crate reanimator_abi as abi;

mod aarch64;
mod btf;
mod calls;
mod operations;
mod plans;
mod print;
mod structs;
