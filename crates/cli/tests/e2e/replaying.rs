//! What a replay performs, compares and leaves behind.

pub mod choices;
pub mod filesystems;
pub mod links;
pub mod orders;
pub mod others;
pub mod outcomes;
pub mod private;
pub mod refused;
pub mod rings;
pub mod spaces;
pub mod transfer;
