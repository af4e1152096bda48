//! What was measured, as tables.

use super::spread::{Verdict, compare};
use super::{Bench, Measured, median};
use crate::output::colour::{Colours, Tone};
use crate::output::tables::{new_table, recording_overhead};
use crate::output::units::format_counted;
use comfy_table::{Cell, Table};
use std::fmt::Write;

/// Names of calls that are shown: those that took longest.
const CALLS: usize = 12;
/// What is shown of times, and the fewest calls of which it can be told.
const QUANTILES: [(&str, f64); 4] =
    [("p50_us", 1.0), ("p95_us", 20.0), ("p99_us", 100.0), ("p999_us", 1000.0)];

/// Returns the report as text: the tables, failed targets, and which differences exceed the spread
/// of the repeats.
pub fn report(bench: &Bench<'_>, colours: Colours) -> String {
    let mut text = head(bench);
    let _ = write!(text, "\n{}\n", target_table(bench, colours));
    for m in &bench.measured {
        if let Some(why) = &m.failed {
            let failed = colours.paint(Tone::Bad, "failed");
            let _ = writeln!(text, "\n{} {failed}, so it has no times:\n  {why}", m.target.name);
        }
    }
    let timed = bench.timed();
    if !timed.is_empty() {
        let _ = write!(text, "\n{}\n\n{}", latency_table(&timed), describe_differences(&timed));
    }
    text
}

/// Returns the first lines of the report: what was recorded where, and how often it was replayed.
fn head(bench: &Bench<'_>) -> String {
    let mut text = format!("{}, recorded", bench.trace);
    if !bench.host.is_empty() {
        let _ = write!(text, " on {}", bench.host);
    }
    let _ = write!(text, " in {:.3} s", bench.recorded_s);
    if !bench.engine.is_empty() {
        let _ = write!(text, " ({})", bench.engine);
    }
    text.push('\n');
    if let Some(cost) = recording_overhead(&bench.engine) {
        let _ = writeln!(text, "{cost}");
    }
    // Fewer than asked for, if it was interrupted.
    let most = bench.timed().iter().map(|m| m.runs.len()).max().unwrap_or(bench.repeats);
    let least = bench.timed().iter().map(|m| m.runs.len()).min().unwrap_or(most);
    let range = if least < most { format!("{least} to ") } else { String::new() };
    let repeats = format_counted(most as u64, "repeat", "repeats");
    let what = "on each target, in turn; times are medians of the repeats";
    let _ = writeln!(text, "{range}{repeats} {what}");
    text
}

/// Returns the table with a row for each target: durations, calls and bytes per second, and the
/// outcome.
fn target_table(bench: &Bench<'_>, colours: Colours) -> Table {
    let mut table = new_table(&["target", "elapsed", "of repeats", "calls/s", "MB/s", "outcome"]);
    colours.apply_to(&mut table);
    for m in &bench.measured {
        let name = Cell::new(&m.target.name);
        if m.failed.is_some() || m.runs.is_empty() {
            let none = || Cell::new("-");
            let (word, tone) =
                if m.failed.is_some() { ("failed", Tone::Bad) } else { ("not run", Tone::Fair) };
            table.add_row([name, none(), none(), none(), none(), tone.cell(word)]);
            continue;
        }
        let (low, high) = range(m);
        let elapsed = m.elapsed().max(1e-9);
        let (calls, bytes) =
            (median(m.runs.iter().map(|r| r.calls)), median(m.runs.iter().map(|r| r.bytes)));
        let (word, tone) = match m.runs.iter().any(|r| r.different) {
            _ if !bench.compared => ("not compared", Tone::Fair),
            true => ("different", Tone::Bad),
            false => ("the same", Tone::Good),
        };
        table.add_row([
            name,
            Cell::new(format!("{elapsed:.3} s")),
            Cell::new(format!("{low:.3}-{high:.3} s")),
            Cell::new(format!("{:.0}", calls / elapsed)),
            Cell::new(format!("{:.1}", bytes / elapsed / 1e6)),
            tone.cell(word),
        ]);
    }
    table
}

/// Returns the durations of the shortest and the longest replay on a target, in seconds.
pub fn range(m: &Measured<'_>) -> (f64, f64) {
    let times = || m.runs.iter().map(|r| r.elapsed_s);
    (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max))
}

/// Returns the names of the `most` calls that took longest in sum over all targets, the slowest
/// first.
pub fn slowest_calls(measured: &[&Measured<'_>], most: usize) -> Vec<String> {
    let mut totals = std::collections::BTreeMap::<&str, f64>::new();
    for (name, latency) in measured.iter().flat_map(|m| &m.runs).flat_map(|r| &r.latency) {
        *totals.entry(name).or_default() += latency["total_s"].as_f64().unwrap_or(0.0);
    }
    let mut names: Vec<(&str, f64)> = totals.into_iter().collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1));
    names.into_iter().take(most).map(|(name, _)| name.to_owned()).collect()
}

/// Returns one figure of a call's latency from each repeat on a target. `side` is `recorded` or
/// `replayed`, `what` the figure's key, such as `p50_us`.
pub fn times(m: &Measured<'_>, name: &str, side: &str, what: &str) -> Vec<f64> {
    m.runs.iter().filter_map(|r| r.latency.get(name)?[side][what].as_f64()).collect()
}

/// Returns whether all of `longer` exceed all of `shorter` by more than a tenth, which is the
/// resolution of the histograms.
fn is_clearly_longer(longer: &[f64], shorter: &[f64]) -> bool {
    let (least, most) = (
        longer.iter().copied().fold(f64::INFINITY, f64::min),
        shorter.iter().copied().fold(0.0, f64::max),
    );
    longer.len() > 1 && least > most * 1.1
}

/// Returns the table of latency quantiles for the slowest calls: the recorded ones, and a row for
/// each target. A star marks what is clearly longer than on the fastest target.
fn latency_table(measured: &[&Measured<'_>]) -> Table {
    let mut table = new_table(&["times in µs", "calls", "where", "p50", "p95", "p99", "p99.9"]);
    for name in slowest_calls(measured, CALLS) {
        let Some(first) = measured.first() else { continue };
        let calls = median(times(first, &name, "replayed", "count").into_iter());
        let fastest = QUANTILES.map(|(what, ..)| {
            let all = measured.iter().map(|m| times(m, &name, "replayed", what));
            all.min_by(|a, b| median(a.iter().copied()).total_cmp(&median(b.iter().copied())))
                .unwrap_or_default()
        });
        let mut row = |label: &str, number: String, place: &str, m: &Measured<'_>, side: &str| {
            let cell = |i: usize| {
                let (what, fewest) = QUANTILES[i];
                let here = times(m, &name, side, what);
                let mark = if side == "replayed" && is_clearly_longer(&here, &fastest[i]) {
                    "*"
                } else {
                    " "
                };
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

/// Returns, in words, which targets differ by more than the spread of their repeats, and how many
/// repeats would decide about the others.
fn describe_differences(measured: &[&Measured<'_>]) -> String {
    let (mut text, mut unclear, mut wanted) = (String::new(), Vec::new(), Some(0));
    for (i, a) in measured.iter().enumerate() {
        for b in &measured[i + 1..] {
            let times = |m: &Measured<'_>| m.runs.iter().map(|r| r.elapsed_s).collect::<Vec<f64>>();
            let (faster, slower) = if a.elapsed() <= b.elapsed() { (a, b) } else { (b, a) };
            let by = slower.elapsed() / faster.elapsed().max(1e-9);
            let (slow, fast) = (&slower.target.name, &faster.target.name);
            match compare(&times(a), &times(b)) {
                Verdict::Differ => {
                    let _ = writeln!(
                        text,
                        "{slow} took {by:.2} times as long as {fast}, beyond the spread of the \
                         repeats"
                    );
                }
                Verdict::Unclear(n) => {
                    unclear.push(format!("{slow} and {fast} ({by:.2} times)"));
                    wanted = wanted.zip(n).map(|(most, n)| n.max(most));
                }
            }
        }
    }
    if !unclear.is_empty() {
        let one = measured.iter().any(|m| m.runs.len() < 2);
        let decide = match wanted {
            _ if one => "one repeat shows no spread: try --repeat 5".to_owned(),
            Some(n) => format!("about {n} repeats would decide (--repeat {n})"),
            None => "not even 1000 repeats would decide".to_owned(),
        };
        let _ = writeln!(text, "within the spread of the repeats: {}", unclear.join(", "));
        let _ = writeln!(text, "  {decide}");
    }
    if measured.len() > 1 {
        text.push_str("*: longer than on the fastest target in all repeats");
        text.push_str("; -: too few calls to say\n");
    } else {
        text.push_str("-: too few calls to say\n");
    }
    text
}
