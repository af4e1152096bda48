//! The traces that commands read and write: which one, its name, and opening it.

pub mod naming;
pub mod reading;
pub mod unfinished;
