//! The program `reanimator`.
fn main() {}
