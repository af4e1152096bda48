//! replay

pub mod prepare;
pub mod state;
