//! What was measured, as tables.

use super::{Measured, median};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

/// Names of calls that are shown: those that took longest.
const CALLS: usize = 12;
/// What is shown of times, and the fewest calls of which it can be told.
const QUANTILES: [(&str, f64); 4] =
    [("p50_us", 1.0), ("p95_us", 20.0), ("p99_us", 100.0), ("p999_us", 1000.0)];

/// The tables, and in words which differences exceed the spread of the repeats.
/// `compared`: whether results were.
pub fn of(measured: &[Measured<'_>], compared: bool) -> String {
    format!(
        "{}\n\n{}\n\n{}",
        targets(measured, compared),
        latencies(measured),
        differences(measured)
    )
}

fn new(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn targets(measured: &[Measured<'_>], compared: bool) -> Table {
    let mut table = new(&["target", "elapsed", "of repeats", "calls/s", "MB/s", "outcome"]);
    for m in measured {
        let (low, high) = range(m);
        let elapsed = m.elapsed().max(1e-9);
        let (calls, bytes) =
            (median(m.runs.iter().map(|r| r.calls)), median(m.runs.iter().map(|r| r.bytes)));
        table.add_row([
            m.target.name.clone(),
            format!("{elapsed:.3} s"),
            format!("{low:.3}-{high:.3} s"),
            format!("{:.0}", calls / elapsed),
            format!("{:.1}", bytes / elapsed / 1e6),
            match m.runs.iter().any(|r| r.different) {
                _ if !compared => "not compared",
                true => "different",
                false => "the same",
            }
            .to_owned(),
        ]);
    }
    table
}

fn range(m: &Measured<'_>) -> (f64, f64) {
    let times = || m.runs.iter().map(|r| r.elapsed_s);
    (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max))
}

/// The calls that took longest, over all targets.
pub fn names(measured: &[Measured<'_>], most: usize) -> Vec<String> {
    let mut totals = std::collections::BTreeMap::<&str, f64>::new();
    for (name, latency) in measured.iter().flat_map(|m| &m.runs).flat_map(|r| &r.latency) {
        *totals.entry(name).or_default() += latency["total_s"].as_f64().unwrap_or(0.0);
    }
    let mut names: Vec<(&str, f64)> = totals.into_iter().collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1));
    names.into_iter().take(most).map(|(name, _)| name.to_owned()).collect()
}

/// A name's times on a target in each repeat.
fn times(m: &Measured<'_>, name: &str, whose: &str, what: &str) -> Vec<f64> {
    m.runs.iter().filter_map(|r| r.latency.get(name)?[whose][what].as_f64()).collect()
}

/// Whether all of `longer` are longer than all of `shorter`, by more than a tenth: what a histogram tells apart.
fn beyond(longer: &[f64], shorter: &[f64]) -> bool {
    let (least, most) = (
        longer.iter().copied().fold(f64::INFINITY, f64::min),
        shorter.iter().copied().fold(0.0, f64::max),
    );
    longer.len() > 1 && least > most * 1.1
}

fn latencies(measured: &[Measured<'_>]) -> Table {
    let mut table = new(&["microseconds", "calls", "where", "p50", "p95", "p99", "p99.9"]);
    for name in names(measured, CALLS) {
        let Some(first) = measured.first() else { continue };
        let calls = median(times(first, &name, "replayed", "count").into_iter());
        let fastest = QUANTILES.map(|(what, ..)| {
            let all = measured.iter().map(|m| times(m, &name, "replayed", what));
            all.min_by(|a, b| median(a.iter().copied()).total_cmp(&median(b.iter().copied())))
                .unwrap_or_default()
        });
        let mut row = |label: &str, number: String, place: &str, m: &Measured<'_>, whose: &str| {
            let cell = |i: usize| {
                let (what, fewest) = QUANTILES[i];
                let here = times(m, &name, whose, what);
                let mark =
                    if whose == "replayed" && beyond(&here, &fastest[i]) { "*" } else { " " };
                if calls < fewest {
                    "- ".to_owned()
                } else {
                    format!("{:.1}{mark}", median(here.into_iter()))
                }
            };
            table.add_row(
                [label.to_owned(), number, place.to_owned()]
                    .into_iter()
                    .chain((0..QUANTILES.len()).map(cell)),
            );
        };
        row(&name, format!("{calls:.0}"), "recorded", first, "recorded");
        for m in measured {
            row("", String::new(), &m.target.name, m, "replayed");
        }
    }
    table
}

/// Whether the targets' times overlap.
fn differences(measured: &[Measured<'_>]) -> String {
    let mut text = String::new();
    for (i, a) in measured.iter().enumerate() {
        for b in &measured[i + 1..] {
            let (faster, slower) = if a.elapsed() <= b.elapsed() { (a, b) } else { (b, a) };
            let by = slower.elapsed() / faster.elapsed().max(1e-9);
            let what = match (range(faster).1 < range(slower).0, faster.runs.len()) {
                (_, 1) => "one replay each does not tell whether that is chance",
                (true, _) => "beyond the spread of the repeats",
                (false, _) => "within the spread of the repeats: no difference shown",
            };
            let _ = writeln!(
                text,
                "{} takes {by:.2} times as long as {}: {what}",
                slower.target.name, faster.target.name
            );
        }
    }
    if measured.len() > 1 {
        text.push_str("*: longer than on the fastest target, beyond the spread of the repeats; -: too few calls to say\n");
    }
    text
}
