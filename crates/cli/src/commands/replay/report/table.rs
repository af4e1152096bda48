//! A replay's outcome as a table.

use super::skipped;
use crate::output::colour::{Colours, Tone};
use crate::output::units::{format_bytes, format_count, format_counted, format_duration};
use ::replay::Report;
use std::fmt::Write;

/// Returns the outcome of the replay in words, and the colour for them. `compared` is whether
/// results were compared at all.
pub fn describe_outcome(report: &Report, compared: bool) -> (&'static str, Tone) {
    let raced = report.races + report.state.raced > 0;
    match report.exit_code() {
        1 => ("different", Tone::Bad),
        _ if report.broken_off => ("interrupted", Tone::Fair),
        _ if !compared => ("not compared", Tone::Fair),
        _ if raced => ("the same, except for races of the recorded program", Tone::Good),
        _ => ("the same", Tone::Good),
    }
}

/// Returns the table of a replay's results. Its last row is the outcome.
pub fn outcome_table(
    report: &Report,
    was_compared: bool,
    colours: Colours,
) -> Result<String, std::fmt::Error> {
    let mut table = Rows::default();
    add_call_rows(&mut table, report)?;
    add_special_rows(&mut table, report)?;
    add_final_tree_rows(&mut table, report, was_compared)?;
    let (word, tone) = describe_outcome(report, was_compared);
    table.add_row("outcome", &colours.paint(tone, word))?;
    Ok(table.0)
}

/// The table's text.
#[derive(Default)]
struct Rows(String);

impl Rows {
    /// Adds a row with a name and a value. A long value continues on lines below.
    fn add_row(&mut self, name: &str, value: &str) -> std::fmt::Result {
        for (i, part) in wrap(value).iter().enumerate() {
            let (name, indent) = if i == 0 { (name, "") } else { ("", "  ") };
            writeln!(self.0, "{name:<12} {indent}{part}")?;
        }
        Ok(())
    }
}

/// Returns `text`, or an empty string if `n` is 0.
fn unless_zero(n: u64, text: impl FnOnce() -> String) -> String {
    if n == 0 { String::new() } else { text() }
}

/// Adds the rows about calls: how many were prepared, performed and skipped, and how many diverged.
fn add_call_rows(table: &mut Rows, report: &Report) -> std::fmt::Result {
    let prepared = &report.prepared;
    let assumed = unless_zero(prepared.assumed, || {
        format!(", {} that no call read made as zeros", format_bytes(prepared.assumed))
    });
    let (names, size) = (format_count(prepared.files), format_bytes(prepared.bytes));
    table.add_row("prepared", &format!("{names} names, {size}{assumed}"))?;
    let (calls, here, recorded) = (format_count(report.calls), report.elapsed_s, report.recorded_s);
    table.add_row("calls", &format!("{calls} in {here:.2} s (recorded in {recorded:.2} s)"))?;
    let early = unless_zero(report.early, || {
        format!(", {} of them before the chosen time, uncompared", format_count(report.early))
    });
    table.add_row("performed", &format!("{}{early}", format_count(report.issued)))?;
    table.add_row("skipped", &format_count(report.skipped))?;
    for line in skipped::skipped_lines(&report.skipped_by) {
        table.add_row("", &line)?;
    }
    let kinds: Vec<String> =
        report.by_kind.iter().map(|(kind, n)| format!("{} {kind}", format_count(*n))).collect();
    let kinds = unless_zero(report.divergences.min(kinds.len() as u64), || {
        format!(" ({})", kinds.join(", "))
    });
    table.add_row("divergences", &format!("{}{kinds}", format_count(report.divergences)))
}

/// Adds the rows that only some replays have: delays, races, emulated operations, and changes by
/// processes that were not recorded.
fn add_special_rows(table: &mut Rows, report: &Report) -> std::fmt::Result {
    if let Some(late) = &report.lateness {
        let [p50, p99, most] =
            [late.p50_us, late.p99_us, late.max_us].map(|us| format_duration((us * 1000.0) as u64));
        let text = format!("calls started {p50} late at the median, {p99} at p99, {most} at most");
        table.add_row("late", &text)?;
    }
    if report.explained > 0 {
        let calls = format_counted(report.explained, "call came out", "calls came out");
        let why = "because calls that changed their files were left out";
        table.add_row("explained", &format!("{calls} differently, {why}"))?;
    }
    let (races, raced) = (report.races, report.state.raced);
    if races + raced > 0 {
        let (calls, names) =
            (format_counted(races, "call", "calls"), format_counted(raced, "name", "names"));
        let why = "depend on which overlapping call came first";
        table.add_row("races", &format!("{calls} and {names} of the final tree {why}"))?;
    }
    if report.copied > 0 {
        let why = "the root's file system does not share blocks";
        table.add_row("copied", &format!("{} clones: {why}", format_count(report.copied)))?;
    }
    let rings = &report.rings;
    if rings.rings > 0 {
        let operations = format_counted(rings.operations, "operation", "operations");
        let by = format_counted(rings.rings, "ring or context", "rings and contexts");
        let most = format_count(rings.most_at_once.into());
        table.add_row("rings", &format!("{operations} by {by}, at most {most} at once"))?;
    }
    if !report.emulated.is_empty() {
        let operations: Vec<String> = report
            .emulated
            .iter()
            .map(|(name, n)| format!("{} {name}", format_count(*n)))
            .collect();
        let what = "the root's file system cannot do it, other calls did";
        table.add_row("emulated", &format!("{}: {what}", operations.join(", ")))?;
    }
    let others = &report.others;
    if others.files > 0 {
        let failed = unless_zero(others.failed, || {
            format!(", {} could not be made here", format_count(others.failed))
        });
        let (changes, files) = (format_count(others.changes), format_count(others.files));
        let first = others.lines.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let by = "by processes that were not recorded";
        table.add_row(
            "others",
            &format!("{changes} changes of {files} files {by}{failed}: {first}"),
        )?;
    }
    Ok(())
}

/// Adds the rows about the comparison of the final tree.
fn add_final_tree_rows(table: &mut Rows, report: &Report, was_compared: bool) -> std::fmt::Result {
    use model::processes::{BY_OPERATIONS, BY_STORES};
    let state = &report.state;
    let part =
        unless_zero(state.excluded, || format!(", {} only in part", format_count(state.excluded)));
    let (names, different) = (format_count(state.compared), format_count(state.different));
    let compared = format!("{names} names compared, {different} different{part}");
    table.add_row("final tree", if state.compared == 0 { "not compared" } else { &compared })?;
    if was_compared && report.broken_off {
        table.add_row("", "the replay ended early: what it did not perform is not compared")?;
    }
    let has_no_call = |line: &&String| line.ends_with(BY_OPERATIONS) || line.ends_with(BY_STORES);
    for line in state.excluded_lines.iter().filter(has_no_call) {
        table.add_row("unrecorded", line)?;
    }
    Ok(())
}

/// Breaks a text into lines that fit beside the names of rows within 80 columns.
fn wrap(text: &str) -> Vec<String> {
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
        insta::assert_snapshot!(outcome_table(&report(), true, Colours::default()).expect("a string takes \
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
        let text = outcome_table(&report, true, Colours::default()).expect("a string takes it");
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
        insta::assert_snapshot!(outcome_table(&report, true, Colours::default()).expect("a string takes \
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
