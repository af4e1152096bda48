//! Why a replay performed none of the calls that were to be performed.

use super::report::skipped::CHOSEN;
use super::selection::SelectionArgs;
use crate::messages::failure::Advise;
use crate::output::units::{format_counted, format_duration};
use ::replay::Report;
use anyhow::{Result, anyhow};
use model::Tables;
use std::collections::BTreeSet;
use trace::{Item, ReadOptions, Trace};

/// Names and processes that are shown as examples.
const SOME: usize = 5;

/// Returns the error for a replay that performed no call: why, and what to do.
pub fn no_calls_error(report: &Report, choice: &SelectionArgs, trace: &Trace) -> anyhow::Error {
    let filters = describe_filters(choice);
    let by = |why: &str| report.skipped_by.get(why).copied().unwrap_or_default();
    let why = match () {
        () if report.calls == 0 && filters.is_empty() => "the trace has no calls".to_owned(),
        () if report.early > 0 => {
            let early = format_counted(report.early, "call", "calls");
            format!("{filters} comes after all of the {early} that could be performed")
        }
        () if filters.is_empty() => {
            format!(
                "none of the {} acts on a stored file",
                format_counted(report.calls, "call", "calls")
            )
        }
        () => {
            let left_out = CHOSEN.iter().map(|why| by(why)).sum();
            format!("{filters} leaves out {}", format_counted(left_out, "call", "calls"))
        }
    };
    let error: Result<()> = Err(anyhow!("nothing to replay: {why}"));
    let error = match () {
        () if report.early > 0 || by("after the chosen time") > 0 => {
            let summary = trace.summary();
            let (first, last) = (summary.first.unwrap_or(0), summary.last.unwrap_or(0));
            let lasted = format_duration(last.saturating_sub(first));
            error.advise(format!(
                "--from and --until count from the first call; the recording lasted {lasted}"
            ))
        }
        () if by("process not chosen") > 0 => {
            error.advise(format!("the trace has calls of the processes {}", example_pids(trace)))
        }
        () if !choice.include.is_empty() || by("file not chosen") > 0 => error.advise(format!(
            "globs match whole paths ('**/NAME' in any directory); the trace has files like {}",
            example_files(trace)
        )),
        () => error.advise("`reanimator print` shows the calls; only those on files are replayed"),
    };
    error.err().unwrap_or_else(|| anyhow!("nothing to replay"))
}

/// Returns the options that leave calls out, as the user typed them.
fn describe_filters(choice: &SelectionArgs) -> String {
    let mut filters = Vec::new();
    let mut add = |option: &str, values: Vec<String>| {
        filters.extend(values.into_iter().map(|value| format!("{option} {value}")));
    };
    add("--only-pid", choice.only_pid.iter().map(u32::to_string).collect());
    add("--include", choice.include.iter().map(|glob| format!("'{glob}'")).collect());
    add("--exclude", choice.exclude.iter().map(|glob| format!("'{glob}'")).collect());
    add("--skip", choice.skip.iter().cloned().collect());
    let seconds =
        |time: Option<u64>| time.map(|t| (t as f64 / 1e9).to_string()).into_iter().collect();
    add("--from", seconds(choice.from));
    add("--until", seconds(choice.until));
    filters.join(" ")
}

/// Joins the first [`SOME`] names with commas, and adds `...` if there are more.
fn join_some(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.take(SOME + 1).collect();
    if names.len() > SOME {
        names[SOME] = "...".to_owned();
    }
    names.join(", ")
}

/// Returns some process ids of the trace's calls.
fn example_pids(trace: &Trace) -> String {
    let calls = trace.read(ReadOptions { data: false }).filter_map(|item| match item {
        Ok(Item::Call(call)) => Some(call.pid),
        _ => None,
    });
    join_some(calls.collect::<BTreeSet<_>>().into_iter().map(|pid| pid.to_string()))
}

/// Returns the paths of some files of the trace that are not directories.
fn example_files(trace: &Trace) -> String {
    let rows = trace.files().unwrap_or_default();
    let is_directory = |row: &model::files::Row| {
        let state = row.initial.as_ref();
        state.is_some_and(|state| state.kind == model::files::FileType::Directory)
    };
    join_some(
        rows.iter().filter(|row| !is_directory(row)).map(|row| trace::text::escape(&row.path)),
    )
}
