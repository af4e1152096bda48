//! What a rule says when it has found something.

use super::definition::{Definition, Level};
use super::files::Files;
use ahash::{HashMap, HashSet};
use std::path::Path;

/// So many places are shown of a finding.
const MOST: usize = 10;

/// What a rule found, with the words of the rule.
#[derive(Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Definition,
    /// How it counts here.
    pub level: Level,
    /// What was found, one sentence.
    pub sentence: String,
    /// What it costs in nanoseconds, summed over threads; 0 for rules of safety.
    pub cost: u64,
    /// The worst places.
    pub evidence: Vec<Evidence>,
    /// The number of all places.
    pub places: u64,
    /// A query or command that shows more.
    pub query: String,
}

/// A place where it was found.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The number of a call: the first one there.
    pub seq: u64,
    /// The file or path, escaped; empty if it has none.
    pub file: String,
    /// What happened there, a few words.
    pub text: String,
    /// What it costs in nanoseconds.
    pub cost: u64,
    /// How much it counts, where the cost does not tell.
    pub(crate) weight: u64,
}

/// What a rule returns.
pub(crate) struct Found {
    pub level: Level,
    pub sentence: String,
    pub cost: u64,
    pub evidence: Vec<Evidence>,
}

/// What a rule can look up at the end.
pub(crate) struct Context<'a> {
    pub files: &'a Files,
    /// For each thread the time from its first call to its last return.
    pub threads: &'a HashMap<u32, (u64, u64)>,
    pub trace: &'a Path,
}

impl Context<'_> {
    /// Returns how long a thread was seen, in nanoseconds.
    pub fn thread_time(&self, tid: u32) -> u64 {
        self.threads.get(&tid).map_or(0, |(first, last)| last.saturating_sub(*first))
    }
}

impl Found {
    /// Creates what a rule of speed returns. Returns `None` without evidence. `sentence` gets the
    /// number of places, and the file of the one that costs most.
    pub fn speed(
        mut evidence: Vec<Evidence>,
        sentence: impl FnOnce(&[Evidence]) -> String,
    ) -> Option<Self> {
        rank(&mut evidence);
        let cost = evidence.iter().fold(0u64, |sum, e| sum.saturating_add(e.cost));
        let sentence = (!evidence.is_empty()).then(|| sentence(&evidence))?;
        Some(Self { level: Level::Speed, sentence, cost, evidence })
    }

    /// Creates what a rule of safety returns. Returns `None` without evidence.
    pub fn safety(
        level: Level,
        mut evidence: Vec<Evidence>,
        sentence: impl FnOnce(&[Evidence]) -> String,
    ) -> Option<Self> {
        rank(&mut evidence);
        let sentence = (!evidence.is_empty()).then(|| sentence(&evidence))?;
        Some(Self { level, sentence, cost: 0, evidence })
    }

    /// Adds the words of the rule, and keeps the worst places.
    pub fn complete(mut self, rule: &'static Definition, context: &Context<'_>) -> Finding {
        let places = self.evidence.len() as u64;
        self.evidence.truncate(MOST);
        Finding {
            rule,
            level: self.level,
            sentence: self.sentence,
            cost: self.cost,
            evidence: self.evidence,
            places,
            query: query(rule.query, &context.trace.to_string_lossy()),
        }
    }
}

/// Returns a query or command with the path of the trace in it, quoted as SQL or the shell asks.
fn query(query: &str, trace: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if query.starts_with("SELECT") {
        query.replace("{trace}", &trace.replace('\'', "''"))
    } else if trace.chars().all(is_plain) {
        query.replace("{trace}", trace)
    } else {
        query.replace("{trace}", &format!("'{}'", trace.replace('\'', "'\\''")))
    }
}

/// Sorts the places: those that cost or count most first, then the earliest.
fn rank(evidence: &mut [Evidence]) {
    evidence.sort_by_key(|e| (std::cmp::Reverse((e.cost, e.weight)), e.seq));
}

/// Returns where it is, for a sentence: `of /a`, or `of 3 files (most: /a)`.
pub(crate) fn of_files(evidence: &[Evidence]) -> String {
    let Some(first) = evidence.first() else { return String::new() };
    let files: HashSet<&str> = evidence.iter().map(|e| &e.file[..]).collect();
    match files.len() {
        1 => format!("of {}", first.file),
        n => format!("of {} files (most: {})", count(n as u64), first.file),
    }
}

/// Formats a number with commas: `1,204`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats bytes in powers of 1024: `512 B`, `4.0 KiB`, `16 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    let (mut value, mut unit) = (n as f64, 0);
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match (unit, value) {
        (0, _) => format!("{n} B"),
        (_, v) if v < 9.95 => format!("{v:.1} {}", UNITS[unit]),
        (_, v) => format!("{v:.0} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [count(0), count(999), count(1204), count(1_000_000)],
            ["0", "999", "1,204", "1,000,000"]
        );
        assert_eq!([bytes(512), bytes(4096), bytes(16 << 20)], ["512 B", "4.0 KiB", "16 MiB"]);
    }

    #[test]
    fn paths_in_queries_are_quoted() {
        assert_eq!(query("stat {trace}", "a/b.ra"), "stat a/b.ra");
        assert_eq!(query("stat {trace}", "it's.ra"), r"stat 'it'\''s.ra'");
        assert_eq!(query("SELECT '{trace}/x'", "it's.ra"), "SELECT 'it''s.ra/x'");
    }

    #[test]
    fn the_worst_comes_first() {
        let of = |seq, cost, weight| Evidence { seq, cost, weight, ..Evidence::default() };
        let mut places = vec![of(3, 5, 0), of(2, 9, 0), of(1, 5, 7), of(0, 5, 0)];
        rank(&mut places);
        assert_eq!(places.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 1, 0, 3]);
    }
}
