//! A replay's outcome as a table.

use crate::units::{bytes, count};
use ::replay::Report;
use std::fmt::Write;

/// The table, which ends with the answer.
pub fn table(report: &Report) -> Result<String, std::fmt::Error> {
    let Report { calls, issued, skipped, divergences, races, state, prepared, .. } = report;
    let mut text = String::new();
    let mut row = |name: &str, value: &str| writeln!(text, "{name:<12} {value}");
    let assumed = if prepared.assumed > 0 {
        format!(", {} never read and assumed to be zeros", bytes(prepared.assumed))
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
    let reasons: Vec<String> =
        report.skipped_by.iter().map(|(why, n)| format!("{} {why}", count(*n))).collect();
    row(
        "skipped",
        &format!(
            "{}{}",
            count(*skipped),
            if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) }
        ),
    )?;
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
        let text = format!(
            "{:.0} us at the median, {:.0} us at p99, {:.0} us at most",
            late.p50_us, late.p99_us, late.max_us
        );
        row("late", &format!("calls began late by {text}"))?;
    }
    if report.explained > 0 {
        row(
            "explained",
            &format!(
                "{} calls came out differently as calls that changed their files were left out",
                count(report.explained)
            ),
        )?;
    }
    let raced = *races + state.raced;
    if raced > 0 {
        let what = "came out differently where overlapping calls leave the order open";
        row(
            "races",
            &format!(
                "{} calls and {} names of the final tree {what}",
                count(*races),
                count(state.raced)
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
    if report.refused > 0 {
        let what = "calls failed for reasons that are not in the file system: taken as recorded";
        row("refused", &format!("{} {what}", count(report.refused)))?;
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
    let unseen = |line: &&String| {
        use trace::world::{BY_OPERATIONS, BY_STORES};
        line.ends_with(BY_OPERATIONS) || line.ends_with(BY_STORES)
    };
    for line in state.excluded_lines.iter().filter(unseen) {
        row("unrecorded", line)?;
    }
    row("outcome", outcome(report))?;
    Ok(text)
}

/// The answer in words.
pub fn outcome(report: &Report) -> &'static str {
    match report.exit_code() {
        _ if report.broken_off => "broken off: what was not performed was not compared",
        0 if report.races + report.state.raced > 0 => {
            "the same, but for races of the recorded program"
        }
        0 => "the same",
        _ => "different",
    }
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
            skipped_by: [("memory", 1_000), ("pipes", 210)].into(),
            state: State { compared: 14, ..State::default() },
            prepared: Prepared { files: 12, bytes: 2_345_678, assumed: 0 },
            elapsed_s: 1.238,
            recorded_s: 3.0,
            ..Report::default()
        }
    }

    #[test]
    fn the_same() {
        insta::assert_snapshot!(table(&report()).expect("a string takes it"), @r#"
        prepared     12 names, 2.3 MB
        calls        45,210 in 1.24 s (recorded in 3.00 s)
        performed    44,000
        skipped      1,210: 1,000 memory, 210 pipes
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
        let text = table(&report).expect("a string takes it");
        assert!(
            text.ends_with("outcome      the same, but for races of the recorded program\n"),
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
        insta::assert_snapshot!(table(&report).expect("a string takes it"), @r#"
        prepared     12 names, 2.3 MB
        calls        45,210 in 1.24 s (recorded in 3.00 s)
        performed    44,000
        skipped      1,210: 1,000 memory, 210 pipes
        divergences  3
        races        1 calls and 0 names of the final tree came out differently where overlapping calls leave the order open
        final tree   14 names compared, 1 different, 2 only in part
        outcome      different
        "#);
    }
}
