//! Real programs, recorded, replayed and compared.

pub mod databases;
pub mod failing;
pub mod memory;
pub mod real;
