//! replay

pub mod prepare;
pub mod state;
pub mod tree;
