//! The pages, the examples in them, and the promise that a system call is one row.

pub mod examples;
pub mod one_row;
pub mod pages;
