//! What is said of a trace: findings.

mod findings;
