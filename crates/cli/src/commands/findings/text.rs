//! The findings for people.

use crate::messages::failure::printable;
use crate::output::colour::{Colours, Tone};
use crate::output::tables::recording_overhead;
use crate::output::units::{format_count, format_counted, format_digits};
use analyze::{Evidence, Finding, Findings, Level};
use console::measure_text_width;
use trace::{Trace, Verdict};

/// The columns where stdout is no terminal, and the most that lines are wrapped at on one.
const WIDTH: usize = 100;
/// The columns of the words that stand before each part of a finding.
const HEAD: usize = 10;

/// Returns the number of columns of a line.
pub fn width() -> usize {
    let term = console::Term::stdout();
    let size = term.size_checked().filter(|_| term.is_term());
    size.map_or(WIDTH, |(_, width)| usize::from(width).clamp(40, 140))
}

/// Returns all findings, with a line about the trace above.
pub fn to_text(trace: &Trace, findings: &Findings) -> String {
    let colours = Colours::for_stream(&std::io::stdout());
    let width = width();
    let mut text = head(trace, findings, width);
    let mut rank = 0;
    for finding in &findings.found {
        text.push('\n');
        rank += usize::from(finding.level == Level::Speed);
        put_finding(finding, findings, rank, (colours, width), &mut text);
    }
    if findings.found.is_empty() {
        let is_complete = trace.summary().verdict == Verdict::Complete;
        text.push_str(match (findings.undecided.is_empty(), is_complete) {
            (true, true) => "nothing found\n",
            (true, false) => "nothing found in what was recorded\n",
            (false, _) => "nothing found by the rules that could be decided\n",
        });
    }
    if !findings.undecided.is_empty() {
        text.push_str("\nNot decided:\n");
        let mut whys: Vec<(&str, Vec<&str>)> = Vec::new();
        for undecided in &findings.undecided {
            match whys.iter_mut().find(|(why, _)| *why == undecided.why) {
                Some((_, rules)) => rules.push(undecided.rule.name),
                None => whys.push((&undecided.why, vec![undecided.rule.name])),
            }
        }
        for (why, rules) in whys {
            wrap("", &format!("{}: {}", rules.join(", "), printable(why)), width, &mut text);
        }
    }
    for note in &findings.notes {
        wrap("note", note, width, &mut text);
    }
    text
}

/// Returns the lines above the findings.
fn head(trace: &Trace, findings: &Findings, width: usize) -> String {
    let name = printable(&trace.path().to_string_lossy());
    let overhead = recording_overhead(&trace.recording_info().engine);
    let words = format!(
        "{name}: {} in {}; at least one thread was in a call on files for {}{}",
        format_counted(findings.calls, "call", "calls"),
        format_digits(findings.elapsed),
        format_digits(findings.io),
        overhead.map(|words| format!(" ({words})")).unwrap_or_default()
    );
    let mut text = String::new();
    wrap_at(0, &words, width, &mut text);
    text
}

/// Appends a finding. `rank` is its number among those of speed.
fn put_finding(
    finding: &Finding,
    findings: &Findings,
    rank: usize,
    (colours, width): (Colours, usize),
    text: &mut String,
) {
    let name = finding.rule.name;
    match finding.level {
        Level::Speed => {
            text.push_str(&colours.paint(Tone::Fair, &format!("{rank}. {name}")));
            let share = 100.0 * finding.cost as f64 / (findings.io.max(1)) as f64;
            text.push_str(&format!("  {}", format_digits(finding.cost)));
            if finding.cost <= findings.io {
                text.push_str(&format!(", {share:.0} % of the time in calls on files"));
            }
        }
        Level::High => text.push_str(&colours.paint(Tone::Bad, &format!("SAFETY {name}"))),
        Level::Note => {
            text.push_str(&colours.paint(Tone::Fair, &format!("SAFETY {name}")));
            text.push_str("  (note)");
        }
    }
    text.push('\n');
    wrap("", &finding.sentence, width, text);
    for (i, evidence) in finding.evidence.iter().enumerate() {
        let words = place(evidence, finding.level == Level::Speed);
        wrap(if i == 0 { "where" } else { "" }, &words, width, text);
    }
    let more = finding.places.saturating_sub(finding.evidence.len() as u64);
    if more > 0 {
        wrap("", &format!("and {} more", format_count(more)), width, text);
    }
    if finding.level == Level::Speed {
        wrap("cost", finding.rule.cost, width, text);
    }
    wrap("remedy", finding.rule.remedy, width, text);
    // Not wrapped, so that it can be copied.
    text.push_str(&format!("  {:<8}{}\n", "look", printable(&finding.query)));
    wrap("source", finding.rule.source, width, text);
}

/// Returns the line of a place.
fn place(evidence: &Evidence, is_speed: bool) -> String {
    let file = if evidence.file.is_empty() { "" } else { &evidence.file };
    let cost =
        if is_speed { format!(" ({})", format_digits(evidence.cost)) } else { String::new() };
    let gap = if file.is_empty() { "" } else { ": " };
    format!("{file}{gap}{}{cost}, call {}", evidence.text, evidence.seq)
}

/// Appends words with a head before them, wrapped to so many columns.
pub fn wrap(head: &str, words: &str, width: usize, text: &mut String) {
    text.push_str(&format!("  {head:<8}"));
    wrap_at(HEAD, words, width, text);
}

/// Appends words, wrapped; lines after the first are indented.
fn wrap_at(indent: usize, words: &str, width: usize, text: &mut String) {
    let mut used = indent;
    for (i, word) in words.split(' ').enumerate() {
        let long = measure_text_width(word);
        if i > 0 && used + 1 + long > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        } else if i > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += long;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped() {
        let mut text = String::new();
        wrap("cost", "one two three four", 20, &mut text);
        wrap("", "averyverylongwordthatdoesnotfit x", 20, &mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "  cost    one two",
                "          three four",
                "          averyverylongwordthatdoesnotfit",
                "          x"
            ]
        );
    }
}
