//! What stands out in a trace: habits that cost time, and habits that lose data in a crash.
//!
//! One pass follows the calls in the order of time ([`pass`]) and shows each to the rules
//! (`crates/analyze/src/rules`), as a [`view::View`]. A rule keeps a few numbers for each file or
//! handle that it may concern, and says at the end what it found.

pub(crate) mod definition;
pub(crate) mod evidence;
pub(crate) mod files;
mod pass;
pub(crate) mod settings;
pub(crate) mod view;

pub use definition::{Definition, Level, Threshold, Unit};
pub use evidence::{Evidence, Finding};
pub use settings::{Mistake, Settings};

use crate::rules::RULES;
use abi::IoClass;
use definition::Entry;
use evidence::Context;
use trace::{Error, Trace, Verdict};

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The number of calls that were looked at.
    pub calls: u64,
    /// The time from the first call to the last return in nanoseconds.
    pub elapsed: u64,
    /// The time during which at least one thread was in a call on files, in nanoseconds.
    pub io: u64,
    /// Rules of safety first, then rules of speed, those that cost most first.
    pub found: Vec<Finding>,
    /// Rules that could not be decided.
    pub undecided: Vec<Undecided>,
    /// What else limits the answer, a sentence each.
    pub notes: Vec<String>,
}

/// A rule that the trace does not let decide.
#[derive(Debug, Clone)]
pub struct Undecided {
    /// The rule.
    pub rule: &'static Definition,
    /// Why, and what to do.
    pub why: String,
}

/// Which calls a trace can have, by the filter that it was recorded with.
pub struct Recorded<'a> {
    /// Whether calls with this number were recorded.
    pub number: &'a dyn Fn(u32) -> bool,
    /// Whether calls were chosen by their outcome or by paths.
    pub chosen: bool,
}

/// Returns the definitions of all rules, those of safety first.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    RULES.iter().map(|entry| entry.definition)
}

/// Applies the rules that `settings` selects to the calls of the trace.
pub fn find(
    trace: &Trace,
    settings: &Settings,
    recorded: &Recorded<'_>,
) -> Result<Findings, Error> {
    let mut undecided = Vec::new();
    let mut entries: Vec<&'static Entry> = Vec::new();
    for entry in RULES.iter().filter(|entry| settings.selects(entry.definition)) {
        match lacks(trace, entry.definition, recorded) {
            Some(why) => undecided.push(Undecided { rule: entry.definition, why }),
            None => entries.push(entry),
        }
    }
    let rules = entries.iter().map(|e| (e.definition, (e.create)(&settings.of(e.definition))));
    let seen = pass::run(trace, rules.collect())?;
    let mut all = Findings {
        calls: seen.calls,
        elapsed: elapsed(trace),
        io: seen.io,
        undecided,
        ..Findings::default()
    };
    let context = Context { files: &seen.files, threads: &seen.threads, trace: trace.path() };
    for (rule, mut state) in seen.rules {
        if let Some(why) = seen.coverage.lacks(rule) {
            all.undecided.push(Undecided { rule, why });
            continue;
        }
        let found = state.finish(&context).map(|finding| finding.complete(rule, &context));
        all.found.extend(found.filter(|finding| {
            rule.level != Level::Speed || settings.is_worth(finding.cost, all.io)
        }));
    }
    let order = |f: &Finding| (f.level, std::cmp::Reverse(f.cost));
    all.found.sort_by_key(order);
    if seen.files.is_full() {
        all.notes.push(format!(
            "the trace has more than {} files or paths: those that came later were not looked at",
            files::MOST
        ));
    }
    if trace.summary().verdict == Verdict::Incomplete {
        all.notes.push(
            "the trace is incomplete: what it lacks is not looked at (`reanimator info` says what)"
                .to_owned(),
        );
    }
    let held = trace.summary().held_ns;
    if held > all.elapsed / 100 {
        all.notes.push(format!(
            "the recorder held calls back for {} ms in all, so that no record was lost; costs \
             contain that",
            held / 1_000_000
        ));
    }
    Ok(all)
}

/// Returns the time from the first call of the trace to the last return, in nanoseconds.
fn elapsed(trace: &Trace) -> u64 {
    let summary = trace.summary();
    summary.last.unwrap_or(0).saturating_sub(summary.first.unwrap_or(0))
}

/// Returns why the trace cannot decide a rule, from what is known before its calls are read.
fn lacks(trace: &Trace, rule: &Definition, recorded: &Recorded<'_>) -> Option<String> {
    let filter = &trace.recording_info().filter;
    if recorded.chosen {
        return Some(format!(
            "the trace was recorded with -e {}, which chooses by outcome or path; record without",
            trace::text::escape(filter.as_bytes())
        ));
    }
    let missing = |class: &IoClass| {
        abi::rows()
            .filter(|row| row.io_class(&row.spec) == *class && row.number < abi::OPERATIONS)
            .find(|row| !(recorded.number)(row.number))
    };
    if let Some((class, row)) = rule.classes.iter().find_map(|c| missing(c).map(|row| (c, row))) {
        return Some(format!(
            "the trace was recorded with a filter that leaves out calls of class {} ({}); record \
             without -e",
            class.name(),
            row.name()
        ));
    }
    let summary = trace.summary();
    let all = rule.level != Level::Speed;
    (all && summary.lost > 0).then(|| {
        format!(
            "{} records are lost, and the call that makes it safe may be among them; record \
                 again with a larger --buffer",
            summary.lost
        )
    })
}
