//! A replay from beginning to end: walls, initial state, calls, final state.

use crate::dispatch::Dispatcher;
use crate::executor::Shared;
use crate::frontier::Frontier;
use crate::report::{Prepared, Spread, State};
use crate::sandbox::{self, Powers};
use crate::source::Source;
use crate::unperformed::Unperformed;
use crate::verify::{Listings, Rules};
use crate::{Error, OnDivergence, Options, Progress, Report, Verify, prepare, state};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use trace::Item;
use trace::files::Final;
use trace::record::RecordKind;
use trace::world::{Credentials, World};

/// How many items are looked through for the traced program's user.
const FIRST: usize = 4096;

/// Performs `trace` again in `options.root`, and compares.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its own.
pub fn replay(trace: &trace::Trace, options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    replay_source(trace, options, progress)
}

/// Performs `source` again in `options.root`, and compares.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its own.
pub fn replay_source(source: &dyn Source, options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let root = std::fs::canonicalize(&options.root).map_err(|e| Error::Root(options.root.clone(), e))?;
    let mut inside = std::fs::read_dir(&root).map_err(|e| Error::Root(root.clone(), e))?;
    if !options.not_empty && inside.next().is_some() {
        return Err(Error::NotEmpty(root));
    }
    drop(inside);
    let recorded = credentials(source)?;
    allow_many_descriptors();
    let powers = sandbox::enter_user_namespace(recorded.as_ref())?;
    // In a thread of its own, so that this one stays where it is.
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| within(source, options, progress, &root, powers));
        inside.join().unwrap_or_else(|_| Err(Error::Inside("a thread panicked".into())))
    })
}

fn within(source: &dyn Source, options: &Options, progress: &dyn Progress, root: &Path, powers: Powers) -> Result<Report, Error> {
    let notes = sandbox::enter(root, source.directory())?;
    let root = Path::new("/");
    let rows = source.rows().map_err(Error::Trace)?;
    let made = prepare::prepare(source, &rows, root)?;
    progress.prepared(&made);
    let prepared = Prepared { files: made.names, bytes: made.bytes };
    let shared = Arc::new(Shared {
        frontier: Frontier::new(),
        listings: Listings::default(),
        bytes: AtomicU64::new(0),
        rules: Rules { owners: powers.any_user, links_elsewhere: made.links_elsewhere },
        powers,
        verify: options.verify,
        stop_at_first: options.on_divergence == OnDivergence::Stop,
        begun: OnceLock::new(),
        late: Mutex::default(),
        found: Mutex::default(),
        refused: Mutex::default(),
        copied: AtomicU64::new(0),
        unperformed: Mutex::default(),
        mounts: source.mounts(),
        stop: AtomicBool::new(false),
        broken: Mutex::default(),
    });
    let begun = Instant::now();
    let mut dispatcher = Dispatcher::new(shared.clone(), options, progress);
    dispatcher.run(source.items().map_err(Error::Trace)?)?;
    let elapsed = begun.elapsed();
    let tally = std::mem::take(&mut dispatcher.tally);
    let undecided = std::mem::take(&mut dispatcher.undecided).into_paths();
    drop(dispatcher);

    let mut report = Report { calls: tally.calls, notes, skipped_by: tally.skipped_by, elapsed_s: elapsed.as_secs_f64(), ..Report::default() };
    let mut refused = 0;
    for (why, count) in &*shared.refused.lock().unwrap_or_else(PoisonError::into_inner) {
        *report.skipped_by.entry(why).or_default() += count;
        refused += count;
    }
    report.issued = tally.dispatched - refused;
    report.skipped = report.skipped_by.values().sum();
    report.recorded_s = tally.recorded.map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 / 1e9);
    report.prepared = prepared;
    report.broken_off = shared.stopping();
    report.ignored = options.on_divergence == OnDivergence::Ignore;
    report.lateness = shared.late.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Spread::of);
    report.copied = shared.copied.load(Relaxed);
    let mut found = std::mem::take(&mut *shared.found.lock().unwrap_or_else(PoisonError::into_inner));
    found.kept.sort_by_key(|(number, _)| *number);
    report.divergences = found.more;
    report.by_kind = found.by_kind;
    for (number, divergence) in found.kept {
        let (count, shown) = match tally.raced.contains(&number) {
            true => (&mut report.races, &mut report.races_shown),
            false => (&mut report.divergences, &mut report.shown),
        };
        *count += 1;
        if shown.len() < options.show {
            shown.push(divergence);
        }
    }
    let final_state = rows.iter().any(|r| !matches!(r.last, Final::Unknown(_)));
    if options.verify > Verify::None && !report.broken_off && (final_state || rows.is_empty()) {
        progress.comparing();
        let unperformed = std::mem::take(&mut *shared.unperformed.lock().unwrap_or_else(PoisonError::into_inner));
        report.state = compare(&rows, root, powers, &unperformed, &undecided, options.show)?;
    } else if options.verify > Verify::None && !report.broken_off {
        report.notes.push("the trace does not hold the final state: the tree was not compared".into());
    }
    Ok(report)
}

fn compare(
    rows: &[trace::files::Row],
    root: &Path,
    powers: Powers,
    unperformed: &Unperformed,
    undecided: &BTreeSet<Box<[u8]>>,
    show: usize,
) -> Result<State, Error> {
    let mut outcome = state::compare(rows, root, powers.any_user).map_err(Error::State)?;
    let raced;
    (raced, outcome.differences) = outcome.differences.into_iter().partition(|d| undecided.contains(&*d.path) && matches!(&*d.what, "content" | "size"));
    let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let mut paths: Vec<&[u8]> = outcome.differences.iter().map(|d| &*d.path).collect();
    paths.dedup();
    outcome.excluded.extend(unperformed.files().filter(|(path, _)| paths.binary_search(path).is_err()).map(|(path, why)| (path.to_vec(), why.to_owned())));
    let line = |d: &state::Difference| format!("{}: {}: expected {}, got {}", name(&d.path), d.what, d.expected, d.got);
    Ok(State {
        compared: outcome.compared,
        different: paths.len() as u64,
        lines: outcome.differences.iter().take(show).map(line).collect(),
        raced: raced.len() as u64,
        raced_lines: raced.iter().take(show).map(line).collect(),
        excluded: outcome.excluded.len() as u64,
        excluded_lines: outcome.excluded.iter().take(show).map(|(path, why)| format!("{}: {why}", name(path))).collect(),
    })
}

/// Who the traced program was when the recording began.
fn credentials(source: &dyn Source) -> Result<Option<Credentials>, Error> {
    for item in source.items().map_err(Error::Trace)?.take(FIRST) {
        if let Item::Event(event) = item.map_err(Error::Trace)?
            && event.kind == RecordKind::State
        {
            let mut world = World::<()>::new();
            world.event(&event);
            return Ok(world.credentials(event.tid).map(|c| (**c).clone()));
        }
    }
    Ok(None)
}

/// All traced processes' descriptors are this process's.
fn allow_many_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
