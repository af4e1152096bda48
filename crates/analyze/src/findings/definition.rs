//! What a rule is: its words, its thresholds, and what it looks at.

use super::evidence::{Context, Found};
use super::files::{FileId, Files};
use super::settings::Values;
use super::view::View;
use abi::IoClass;

/// How a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Data can be lost, or the program fails.
    High,
    /// Data can be lost under conditions that are rare, or that the trace does not show.
    Note,
    /// It costs time.
    Speed,
}

impl Level {
    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Note => "note",
            Self::Speed => "speed",
        }
    }
}

/// What the value of a threshold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes, written as `4096`, `4K`, `16M`.
    Bytes,
    /// A part of 1, written as `0.1`.
    Share,
    /// A ratio.
    Times,
    /// Nanoseconds, written as `100ms`, `1s`.
    Time,
}

/// A number of a rule that the user can set.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    /// Its name.
    pub key: &'static str,
    /// What it is.
    pub unit: Unit,
    /// The value without `--set`.
    pub value: f64,
    /// What it limits, a few words.
    pub means: &'static str,
}

/// The words and numbers of a rule.
#[derive(Debug)]
pub struct Definition {
    /// The name.
    pub name: &'static str,
    /// The level of its worst finding.
    pub level: Level,
    /// What it means, one sentence.
    pub means: &'static str,
    /// When it is found, one sentence that names its thresholds.
    pub when: &'static str,
    /// How its cost is computed; empty for rules of safety.
    pub cost: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    /// A query or command that shows more. `{trace}` stands for the path of the trace.
    pub query: &'static str,
    /// Its thresholds.
    pub thresholds: &'static [Threshold],
    /// The classes of calls that it is shown. A trace without some of them cannot decide it.
    pub classes: &'static [IoClass],
    /// Whether it must know the files of descriptors.
    pub needs_files: bool,
    /// Whether it must know the offsets at which data move.
    pub needs_offsets: bool,
}

/// A rule at work.
pub(crate) trait Rule {
    /// Looks at a call that has returned.
    fn call(&mut self, call: &View<'_>);
    /// The last descriptor of an open file is closed.
    fn closed(&mut self, _handle: u64, _files: &Files) {}
    /// A process is about to end, or the trace. `pid` is `None` for all.
    fn process_ended(&mut self, _pid: Option<u32>, _at: u64) {}
    /// Says what was found.
    fn finish(&mut self, context: &Context<'_>) -> Option<Found>;
}

/// A rule in the list of rules.
pub(crate) struct Entry {
    pub definition: &'static Definition,
    pub create: fn(&Values<'_>) -> Box<dyn Rule>,
}

/// Returns whether a file is one that rules about files concern: it is known, and has content that
/// is kept.
pub(crate) fn regular(files: &Files, file: Option<FileId>) -> Option<FileId> {
    file.filter(|file| files.get(*file).is_regular())
}
