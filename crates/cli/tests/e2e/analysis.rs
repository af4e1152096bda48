//! What `stat` says of a trace, against strace, DuckDB and a computation in Python; and what
//! `findings` finds in programs that have a habit, and in those that nearly have it.

mod findings;
mod input;
mod others;

use crate::harness::place::Place;
use crate::harness::run::run;
use serde_json::Value;
use std::path::Path;

/// The document of `stat --json OPTION..`.
#[track_caller]
fn stat(place: &Place, trace: &Path, options: &[&str]) -> Value {
    let mut command = place.reanimator(["stat", "--json", "--top", "0"]);
    let ran = run(command.args(options).arg(trace)).ok("stat");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
}

/// The rows of a document.
#[track_caller]
fn rows(document: &Value) -> &Vec<Value> {
    document["rows"].as_array().unwrap()
}
