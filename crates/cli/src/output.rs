//! What goes to stdout: text, tables and JSON, and how numbers, times and colours look in them.

pub mod clock;
pub mod colour;
pub mod json;
pub mod stdout;
pub mod tables;
pub mod units;
