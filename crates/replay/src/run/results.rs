//! The report: what the calls came to, and how the final tree compares.

use crate::execute::{Shared, Unperformed};
use crate::initial::CreatedFiles;
use crate::issue::refusal::OUTSIDE;
use crate::report::{self, Divergence, Spread, State};
use crate::schedule::DispatchResult;
use crate::verify::state;
use crate::{Error, OnDivergence, Options, Progress, Report, Verify};
use model::files::{Final, Row};
use model::processes::{BY_OPERATIONS, BY_STORES};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use trace::text::escape;

/// Locks a mutex, also if a thread panicked while it held the lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the report without the divergences and the final tree.
pub(super) fn report(
    shared: &Shared,
    options: &Options,
    created: &CreatedFiles,
    done: &mut DispatchResult,
    mut notes: Vec<String>,
) -> Report {
    let tally = &mut done.counts;
    if created.unread > 0 {
        notes.push(format!(
            "{} symbolic links have no target here: the trace does not have it",
            created.unread
        ));
    }
    let mut skipped_by = std::mem::take(&mut tally.skipped_by);
    let mut refused = 0;
    for (why, count) in &*locked(&shared.refused) {
        *skipped_by.entry(why).or_default() += count;
        refused += count;
    }
    let issued = tally.dispatched - refused;
    let withheld = shared.withheld.load(Relaxed);
    if withheld > 0 {
        notes.push(
            "set-user-ID and set-group-ID bits and file capabilities were withheld, as other users \
             can reach the root: a root below a directory of mode 0700 gets them, and so does any \
             root with --allow-set-id"
                .into(),
        );
    }
    notes.append(&mut locked(&shared.notes).iter().cloned().collect());
    Report {
        calls: tally.calls,
        issued,
        chosen: tally.chosen.min(issued.saturating_sub(tally.early)),
        skipped: skipped_by.values().sum(),
        refused: skipped_by.get(OUTSIDE).copied().unwrap_or_default(),
        skipped_by,
        early: tally.early,
        others: std::mem::take(&mut done.others),
        elapsed_s: tally.elapsed.as_secs_f64(),
        recorded_s: tally
            .recorded
            .map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 / 1e9),
        prepared: report::Prepared {
            files: created.names,
            bytes: created.bytes,
            assumed: created.assumed,
        },
        broken_off: shared.stopping(),
        ignored: options.on_divergence == OnDivergence::Ignore,
        lateness: locked(&shared.lateness).as_ref().map(Spread::from_histogram),
        moved_bytes: tally.moved_bytes,
        latency: locked(&shared.times).compare(&tally.times),
        copied: shared.context.copied.load(Relaxed),
        emulated: std::mem::take(&mut *locked(&shared.context.emulated)),
        withheld,
        rings: *locked(&shared.rings),
        notes,
        ..Report::default()
    }
}

/// Adds the divergences to the report.
pub(super) fn add_divergences(
    report: &mut Report,
    shared: &Shared,
    options: &Options,
    done: &DispatchResult,
) {
    let (explained, races) = (&done.counts.explained, &done.races);
    let mut divergences = std::mem::take(&mut *locked(&shared.divergences));
    divergences.kept.sort_by_key(|(number, _)| *number);
    let compared = options.verify > Verify::None;
    if compared {
        let open = races.undetermined_from.is_some();
        *(if open { &mut report.races } else { &mut report.divergences }) = divergences.dropped;
        report.by_kind = divergences.by_kind;
    }
    for (number, divergence) in divergences.kept {
        let raced = races.raced.contains(&number)
            || races.undetermined_from.is_some_and(|first| number >= first);
        let explained = explained.contains(&number);
        if divergence.failed && !raced && !explained {
            report.failed += 1;
            report.first_failed.get_or_insert_with(|| divergence.clone());
        }
        if compared {
            add_divergence(report, divergence, explained, raced, options.show);
        }
    }
}

/// Adds one divergence: as explained, as a race, or as a difference. At most `show` of each are
/// listed, the others only counted.
fn add_divergence(
    report: &mut Report,
    divergence: Divergence,
    explained: bool,
    raced: bool,
    show: usize,
) {
    let (count, shown) = match (explained, raced) {
        (true, _) => (&mut report.explained, &mut report.explained_shown),
        (_, true) => (&mut report.races, &mut report.races_shown),
        _ => {
            if report.races > 0 && report.divergences == 0 {
                let races = report.races;
                report.notes.push(format!(
                    "{races} races (overlapping calls in unknown order) come before the first \
                     divergence, and may have caused it"
                ));
            }
            (&mut report.divergences, &mut report.shown)
        }
    };
    *count += 1;
    if shown.len() < show {
        shown.push(divergence);
    }
}

/// Compares the final tree and adds the result to the report, if the trace has a final state.
pub(super) fn final_tree(
    report: &mut Report,
    shared: &Shared,
    options: &Options,
    done: &DispatchResult,
    rows: &[Row],
    root: &Path,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if done.counts.ended_early {
        let note = "calls after --until were left out: the final tree was not compared";
        report.notes.push(note.into());
        return Ok(());
    }
    if options.verify == Verify::None || report.broken_off {
        return Ok(());
    }
    if !rows.is_empty() && rows.iter().all(|r| matches!(r.last, Final::Unknown(_))) {
        let note = "the trace has no final state: the final tree was not compared";
        report.notes.push(note.into());
        return Ok(());
    }
    let unperformed = std::mem::take(&mut *locked(&shared.unperformed));
    let chosen =
        |path: &[u8]| options.selection.selects_file(path) && !done.skipped_changes.contains(path);
    let open = done.races.undetermined_from.is_some();
    let raced = |d: &state::Difference| {
        open || (done.races.undetermined.contains(&*d.path)
            && matches!(&*d.what, "content" | "size"))
    };
    let rules = &shared.context.rules;
    let options_of_comparison =
        state::CompareOptions { owners: rules.owners, withhold: rules.withhold };
    let mut tell = |done, of| progress.comparing(done, of);
    let outcome =
        state::compare_tree(rows, root, options_of_comparison, &mut tell).map_err(Error::State)?;
    report.state = classify(outcome, &unperformed, &raced, &chosen, options.show);
    Ok(())
}

/// Sorts the differences of the final tree into real ones, races, and those that unperformed or
/// unselected calls explain.
fn classify(
    mut outcome: state::TreeComparison,
    unperformed: &Unperformed,
    raced: &dyn Fn(&state::Difference) -> bool,
    chosen: &dyn Fn(&[u8]) -> bool,
    show: usize,
) -> State {
    let others: Vec<state::Difference>;
    (outcome.differences, others) = outcome.differences.into_iter().partition(|d| chosen(&d.path));
    outcome.excluded.extend(
        others
            .into_iter()
            .map(|d| (d.path, format!("{}: calls that changed it were left out", d.what))),
    );
    let races;
    (races, outcome.differences) = outcome.differences.into_iter().partition(raced);
    let mut paths: Vec<&[u8]> = outcome.differences.iter().map(|d| &*d.path).collect();
    paths.dedup();
    outcome.excluded.extend(
        unperformed
            .files()
            .filter(|(path, _)| paths.binary_search(path).is_err())
            .map(|(path, why)| (path.to_vec(), why.to_owned())),
    );
    // Those that the recording itself knows nothing of come first: there are few, and they matter.
    outcome.excluded.sort_by_key(|(_, why)| ![BY_OPERATIONS, BY_STORES].contains(&&**why));
    let line = ToString::to_string;
    State {
        compared: outcome.compared,
        different: paths.len() as u64,
        lines: outcome.differences.iter().take(show).map(line).collect(),
        raced: races.len() as u64,
        raced_lines: races.iter().take(show).map(line).collect(),
        excluded: outcome.excluded.len() as u64,
        excluded_lines: outcome
            .excluded
            .iter()
            .take(show)
            .map(|(path, why)| format!("{}: {why}", escape(path)))
            .collect(),
    }
}
