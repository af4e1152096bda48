//! Says what is in a trace: how many calls of which sort, how long they took, what they moved.
//!
//! It reads only the columns that an answer needs ([`trace::Trace::columns`]), on all CPUs and in
//! bounded memory, and compares no hash of a file: `reanimator verify` does that. It changes
//! nothing and prints nothing.
#![forbid(unsafe_code)]

mod findings;
mod ordered;
mod rules;
mod stat;

pub use findings::{
    Definition, Evidence, Finding, Findings, Level, Mistake, Recorded, Settings, Threshold,
    Undecided, Unit, definitions, find,
};
pub use stat::{By, Order, Request, Row, Selection, SortBy, Stat, Totals, stat};
