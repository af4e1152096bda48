//! What single commands print.

pub mod benchmark;
pub mod install;
pub mod json;
pub mod print;
pub mod terminal;
