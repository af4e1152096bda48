//! A replay's outcome as a table.

use super::skipped;
use crate::colour::{Colours, Tone};
use crate::units::{bytes, count, counted, duration};
use ::replay::Report;
use std::fmt::Write;

/// The answer. `compared`: results were.
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

/// The table, which ends with the answer.
pub fn table(
    report: &Report,
    was_compared: bool,
    colours: Colours,
) -> Result<String, std::fmt::Error> {
    let Report { calls, issued, skipped, divergences, races, state, prepared, .. } = report;
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        for (i, part) in wrapped(value).iter().enumerate() {
            let (name, indent) = if i == 0 { (name, "") } else { ("", "  ") };
            writeln!(text, "{name:<12} {indent}{part}")?;
        }
        Ok::<(), std::fmt::Error>(())
    };
    let assumed = if prepared.assumed > 0 {
        format!(", {} that no call read made as zeros", bytes(prepared.assumed))
    } else {
        String::new()
    };
    row(
        "prepared",
        &format!("{} names, {}{assumed}", count(prepared.files), bytes(prepared.bytes)),
    )?;
    row(
        "calls",
        &format!(
            "{} in {:.2} s (recorded in {:.2} s)",
            count(*calls),
            report.elapsed_s,
            report.recorded_s
        ),
    )?;
    let early = if report.early > 0 {
        format!(", {} of them before the chosen time, uncompared", count(report.early))
    } else {
        String::new()
    };
    row("performed", &format!("{}{early}", count(*issued)))?;
    row("skipped", &count(*skipped))?;
    for line in skipped::lines(&report.skipped_by) {
        row("", &line)?;
    }
    let kinds: Vec<String> = report
        .by_kind
        .iter()
        .filter(|_| *divergences > 0)
        .map(|(kind, n)| format!("{} {kind}", count(*n)))
        .collect();
    row(
        "divergences",
        &format!(
            "{}{}",
            count(*divergences),
            if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) }
        ),
    )?;
    if let Some(late) = &report.lateness {
        let [p50, p99, most] =
            [late.p50_us, late.p99_us, late.max_us].map(|us| duration((us * 1000.0) as u64));
        let text = format!("calls started {p50} late at the median, {p99} at p99, {most} at most");
        row("late", &text)?;
    }
    if report.explained > 0 {
        row(
            "explained",
            &format!(
                "{} differently, because calls that changed their files were left out",
                counted(report.explained, "call came out", "calls came out")
            ),
        )?;
    }
    let raced = *races + state.raced;
    if raced > 0 {
        row(
            "races",
            &format!(
                "{} and {} of the final tree depend on which overlapping call came first",
                counted(*races, "call", "calls"),
                counted(state.raced, "name", "names")
            ),
        )?;
    }
    if report.copied > 0 {
        row(
            "copied",
            &format!(
                "{} clones: the root's file system does not share blocks",
                count(report.copied)
            ),
        )?;
    }
    if !report.emulated.is_empty() {
        let operations: Vec<String> =
            report.emulated.iter().map(|(name, n)| format!("{} {name}", count(*n))).collect();
        let what = "the root's file system cannot do it, other calls did";
        row("emulated", &format!("{}: {what}", operations.join(", ")))?;
    }
    let others = &report.others;
    if others.files > 0 {
        let failed = if others.failed > 0 {
            format!(", {} could not be made here", count(others.failed))
        } else {
            String::new()
        };
        row(
            "others",
            &format!(
                "{} changes of {} files by processes that were not recorded{failed}: {}",
                count(others.changes),
                count(others.files),
                others.lines.iter().take(3).cloned().collect::<Vec<_>>().join(", ")
            ),
        )?;
    }
    let excluded = if state.excluded == 0 {
        String::new()
    } else {
        format!(", {} only in part", count(state.excluded))
    };
    let compared = format!(
        "{} names compared, {} different{excluded}",
        count(state.compared),
        count(state.different)
    );
    row("final tree", if state.compared == 0 { "not compared" } else { &compared })?;
    if was_compared && report.broken_off {
        row("", "the replay ended early: what it did not perform is not compared")?;
    }
    let unseen = |line: &&String| {
        use model::world::{BY_OPERATIONS, BY_STORES};
        line.ends_with(BY_OPERATIONS) || line.ends_with(BY_STORES)
    };
    for line in state.excluded_lines.iter().filter(unseen) {
        row("unrecorded", line)?;
    }
    let (word, tone) = outcome(report, was_compared);
    row("outcome", &colours.paint(tone, word))?;
    Ok(text)
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
        insta::assert_snapshot!(table(&report(), true, Colours::default()).expect("a string takes it"), @r#"
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
        insta::assert_snapshot!(table(&report, true, Colours::default()).expect("a string takes it"), @r#"
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
