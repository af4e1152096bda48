//! What the tests have in common: programs that are run, places, traces that are made by hand.

pub mod forge;
pub mod place;
pub mod proof;
pub mod python;
pub mod run;
pub mod tracee;
pub mod tree;
