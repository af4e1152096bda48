//! A replay's outcome as a table.

use super::skipped;
use crate::output::colour::{Colours, Tone};
use crate::output::units::{bytes, count, counted, duration};
use ::replay::Report;
use std::fmt::Write;

/// The last row: the outcome of the replay. `compared`: results were compared.
pub fn outcome(report: &Report, compared: bool) -> (&'static str, Tone) {
    let raced = report.races + report.state.raced > 0;
    match report.exit_code() {
        1 => ("different", Tone::Bad),
        _ if report.broken_off => ("interrupted", Tone::Fair),
        _ if !compared => ("not compared", Tone::Fair),
        _ if raced => ("the same, except for races of the recorded program", Tone::Good),
        _ => ("the same", Tone::Good),
    }
}

/// The table; the outcome is its last row.
pub fn table(
    report: &Report,
    was_compared: bool,
    colours: Colours,
) -> Result<String, std::fmt::Error> {
    let mut table = Rows::default();
    calls(&mut table, report)?;
    circumstances(&mut table, report)?;
    final_tree(&mut table, report, was_compared)?;
    let (word, tone) = outcome(report, was_compared);
    table.row("outcome", &colours.paint(tone, word))?;
    Ok(table.0)
}

/// The table's text.
#[derive(Default)]
struct Rows(String);

impl Rows {
    fn row(&mut self, name: &str, value: &str) -> std::fmt::Result {
        for (i, part) in wrapped(value).iter().enumerate() {
            let (name, indent) = if i == 0 { (name, "") } else { ("", "  ") };
            writeln!(self.0, "{name:<12} {indent}{part}")?;
        }
        Ok(())
    }
}

/// `text` where `n` is not 0.
fn unless_zero(n: u64, text: impl FnOnce() -> String) -> String {
    if n == 0 { String::new() } else { text() }
}

/// What was prepared, performed, skipped, and came out differently.
fn calls(table: &mut Rows, report: &Report) -> std::fmt::Result {
    let prepared = &report.prepared;
    let assumed = unless_zero(prepared.assumed, || {
        format!(", {} that no call read made as zeros", bytes(prepared.assumed))
    });
    let (names, size) = (count(prepared.files), bytes(prepared.bytes));
    table.row("prepared", &format!("{names} names, {size}{assumed}"))?;
    let (calls, here, recorded) = (count(report.calls), report.elapsed_s, report.recorded_s);
    table.row("calls", &format!("{calls} in {here:.2} s (recorded in {recorded:.2} s)"))?;
    let early = unless_zero(report.early, || {
        format!(", {} of them before the chosen time, uncompared", count(report.early))
    });
    table.row("performed", &format!("{}{early}", count(report.issued)))?;
    table.row("skipped", &count(report.skipped))?;
    for line in skipped::lines(&report.skipped_by) {
        table.row("", &line)?;
    }
    let kinds: Vec<String> =
        report.by_kind.iter().map(|(kind, n)| format!("{} {kind}", count(*n))).collect();
    let kinds = unless_zero(report.divergences.min(kinds.len() as u64), || {
        format!(" ({})", kinds.join(", "))
    });
    table.row("divergences", &format!("{}{kinds}", count(report.divergences)))
}

/// What else has to do with the outcome: rows that only some replays have.
fn circumstances(table: &mut Rows, report: &Report) -> std::fmt::Result {
    if let Some(late) = &report.lateness {
        let [p50, p99, most] =
            [late.p50_us, late.p99_us, late.max_us].map(|us| duration((us * 1000.0) as u64));
        let text = format!("calls started {p50} late at the median, {p99} at p99, {most} at most");
        table.row("late", &text)?;
    }
    if report.explained > 0 {
        let calls = counted(report.explained, "call came out", "calls came out");
        let why = "because calls that changed their files were left out";
        table.row("explained", &format!("{calls} differently, {why}"))?;
    }
    let (races, raced) = (report.races, report.state.raced);
    if races + raced > 0 {
        let (calls, names) = (counted(races, "call", "calls"), counted(raced, "name", "names"));
        let why = "depend on which overlapping call came first";
        table.row("races", &format!("{calls} and {names} of the final tree {why}"))?;
    }
    if report.copied > 0 {
        let why = "the root's file system does not share blocks";
        table.row("copied", &format!("{} clones: {why}", count(report.copied)))?;
    }
    if !report.emulated.is_empty() {
        let operations: Vec<String> =
            report.emulated.iter().map(|(name, n)| format!("{} {name}", count(*n))).collect();
        let what = "the root's file system cannot do it, other calls did";
        table.row("emulated", &format!("{}: {what}", operations.join(", ")))?;
    }
    let others = &report.others;
    if others.files > 0 {
        let failed = unless_zero(others.failed, || {
            format!(", {} could not be made here", count(others.failed))
        });
        let (changes, files) = (count(others.changes), count(others.files));
        let first = others.lines.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let by = "by processes that were not recorded";
        table
            .row("others", &format!("{changes} changes of {files} files {by}{failed}: {first}"))?;
    }
    Ok(())
}

/// The rows on the comparison of the final tree.
fn final_tree(table: &mut Rows, report: &Report, was_compared: bool) -> std::fmt::Result {
    use model::processes::{BY_OPERATIONS, BY_STORES};
    let state = &report.state;
    let part = unless_zero(state.excluded, || format!(", {} only in part", count(state.excluded)));
    let (names, different) = (count(state.compared), count(state.different));
    let compared = format!("{names} names compared, {different} different{part}");
    table.row("final tree", if state.compared == 0 { "not compared" } else { &compared })?;
    if was_compared && report.broken_off {
        table.row("", "the replay ended early: what it did not perform is not compared")?;
    }
    let has_no_call = |line: &&String| line.ends_with(BY_OPERATIONS) || line.ends_with(BY_STORES);
    for line in state.excluded_lines.iter().filter(has_no_call) {
        table.row("unrecorded", line)?;
    }
    Ok(())
}

/// A text in lines that fit beside the names of rows within 80 columns.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 65 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::replay::report::{Prepared, State};

    fn report() -> Report {
        Report {
            calls: 45_210,
            issued: 44_000,
            skipped: 1_210,
            skipped_by: [("memory", 1_000), ("unknown descriptor", 210)].into(),
            state: State { compared: 14, ..State::default() },
            prepared: Prepared { files: 12, bytes: 2_345_678, assumed: 0 },
            elapsed_s: 1.238,
            recorded_s: 3.0,
            ..Report::default()
        }
    }

    #[test]
    fn the_same() {
        insta::assert_snapshot!(table(&report(), true, Colours::default()).expect("a string takes \
            it"), @r#"
        prepared     12 names, 2.3 MB
        calls        45,210 in 1.24 s (recorded in 3.00 s)
        performed    44,000
        skipped      1,210
                     1,000 no effect on stored files: 1,000 memory
                     210 may matter, as files that they changed are compared only in
                       part: 210 unknown descriptor
        divergences  0
        final tree   14 names compared, 0 different
        outcome      the same
        "#);
    }

    #[test]
    fn races() {
        let mut report = report();
        report.races = 2;
        report.state.raced = 1;
        let text = table(&report, true, Colours::default()).expect("a string takes it");
        assert!(
            text.ends_with("outcome      the same, except for races of the recorded program\n"),
            "{text}"
        );
    }

    #[test]
    fn different() {
        let mut report = report();
        report.divergences = 3;
        report.races = 1;
        report.state.different = 1;
        report.state.excluded = 2;
        insta::assert_snapshot!(table(&report, true, Colours::default()).expect("a string takes \
            it"), @r#"
        prepared     12 names, 2.3 MB
        calls        45,210 in 1.24 s (recorded in 3.00 s)
        performed    44,000
        skipped      1,210
                     1,000 no effect on stored files: 1,000 memory
                     210 may matter, as files that they changed are compared only in
                       part: 210 unknown descriptor
        divergences  3
        races        1 call and 0 names of the final tree depend on which overlapping
                       call came first
        final tree   14 names compared, 1 different, 2 only in part
        outcome      different
        "#);
    }
}
