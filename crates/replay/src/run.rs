//! A replay from beginning to end: walls, initial state, calls, final state.

use crate::dispatch::Dispatcher;
use crate::frontier::{Frontier, WINDOW};
use crate::issue::procfs;
use crate::outside::Outside;
use crate::pacer::too_long;
use crate::prepare::{How, Passages, PrepareError};
use crate::refusal::OUTSIDE;
use crate::report::{Prepared, Spread, State};
use crate::sandbox::{self, Powers};
use crate::shared::Shared;
use crate::source::Source;
use crate::unperformed::Unperformed;
use crate::verify::{Listings, Rules};
use crate::{
    Error, OnDivergence, Options, Progress, Quiet, Report, Root, Verify, prepare, state, unnamed,
};
use ahash::HashMap;
use model::files::{FileType, Final, Row};
use model::world::{BY_OPERATIONS, BY_STORES, Credentials, World, parent};
use rustix::fd::AsFd;
use std::cmp::Reverse;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::ScopedJoinHandle;
use trace::Item;
use trace::record::RecordKind;

/// So many calls at most are read before the first is performed: what a trace says of itself is no reason to take all memory.
const PRELOADED: u64 = 1 << 22;
/// So many directories are allowed by themselves.
const BUSY: usize = 32;
/// How many items are looked through for the traced program's user.
const FIRST: usize = 4096;

/// Performs `trace` again in `options.root`, and compares.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its own.
pub fn replay(
    trace: &trace::Trace,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    replay_source(trace, options, progress)
}

/// Performs `source` again in `options.root`, and compares.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its own.
pub fn replay_source(
    source: &dyn Source,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    inside(source, &options.root, options.prepared, |root, powers| {
        calls(source, options, progress, root, powers)
    })
}

/// Makes the initial state of `source` in `root`, an empty directory, and performs no call.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its own.
pub fn prepare_root(source: &dyn Source, options: &Options) -> Result<prepare::Prepared, Error> {
    inside(source, &options.root, false, |root, powers| {
        let how = How { withhold: options.withholds(), others: powers.others };
        initial(source, &source.rows().map_err(Error::Trace)?, false, root, how, &Quiet)
    })
}

/// Does something within the walls around `root`, in a thread of its own, so that the calling one stays where it is. `root` must be empty, unless it is `prepared`.
fn inside<T: Send>(
    source: &dyn Source,
    root: &Root,
    prepared: bool,
    work: impl FnOnce(&Path, Powers) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let is_empty = root.is_empty().map_err(|e| Error::Root(root.path().to_owned(), e))?;
    if !prepared && !is_empty {
        return Err(Error::NotEmpty(root.path().to_owned()));
    }
    let recorded = credentials(source)?;
    allow_many_descriptors();
    let powers = sandbox::enter_user_namespace(recorded.as_ref())?;
    let closed = root.closed().map_err(|e| Error::Root(root.path().to_owned(), e))?;
    let done = std::thread::scope(|scope| {
        let walled = scope.spawn(|| {
            procfs::keep();
            sandbox::enter(root.as_fd())?;
            work(Path::new("/"), powers)
        });
        end(walled)
    });
    // What let nobody in before lets nobody in afterwards, whatever mode the trace's root has.
    if let Some(mode) = closed {
        root.close(mode).map_err(|e| Error::Root(root.path().to_owned(), e))?;
    }
    done
}

fn end<T>(thread: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|_| Err(Error::Inside("a thread panicked".into())))
}

/// Makes the initial state, or looks at it where it was made before; in a thread that Landlock confines by itself: what the calls' threads may best be allowed is not there
/// before.
fn initial(
    source: &dyn Source,
    rows: &[Row],
    prepared: bool,
    root: &Path,
    how: How,
    progress: &dyn Progress,
) -> Result<prepare::Prepared, Error> {
    std::thread::scope(|scope| {
        let confined = scope.spawn(|| {
            sandbox::confine(source.directory(), &[])?;
            let (brought, bytes) = prepare::lay_out(&source.outside().map_err(Error::Trace)?);
            let later = unnamed::row_of_brought(rows, bytes);
            let unnamed = source.unnamed().map_err(Error::Trace)?;
            let rows = &unnamed::with_shelf(rows, unnamed, later.as_ref());
            let brought = later.as_ref().map(|row| (&brought, row));
            Ok(if prepared {
                prepare::look(rows, root)?
            } else {
                match prepare::prepare(source, rows, brought, root, how, progress) {
                    Err(PrepareError::Interrupted) => return Err(Error::Interrupted),
                    made => made?,
                }
            })
        });
        end(confined)
    })
}

/// The directories that have the most names of the manifest, and were there at first.
fn busiest(rows: &[Row]) -> Vec<&[u8]> {
    let mut names: HashMap<&[u8], (u64, bool)> = HashMap::default();
    for row in rows {
        names.entry(parent(&row.path)).or_default().0 += 1;
        if row.initial.as_ref().is_some_and(|state| state.kind == FileType::Directory) {
            names.entry(&row.path).or_default().1 = true;
        }
    }
    let mut busy: Vec<(&[u8], u64)> = names
        .into_iter()
        .filter(|(_, (count, there))| *there && *count > 0)
        .map(|(path, (count, _))| (path, count))
        .collect();
    busy.sort_unstable_by_key(|(path, count)| (Reverse(*count), *path));
    busy.truncate(BUSY);
    busy.into_iter().map(|(path, _)| path).collect()
}

fn calls(
    source: &dyn Source,
    options: &Options,
    progress: &dyn Progress,
    root: &Path,
    powers: Powers,
) -> Result<Report, Error> {
    if let Some(days) = too_long(options.pace, source.span()) {
        return Err(Error::Pace { days });
    }
    let rows = source.rows().map_err(Error::Trace)?;
    let withhold = options.withholds();
    let how = How { withhold, others: powers.others };
    let mut made = initial(source, &rows, options.prepared, root, how, progress)?;
    let notes = if options.trusted {
        Vec::new()
    } else {
        sandbox::confine(source.directory(), &busiest(&rows))?
    };
    progress.prepared(&made);
    let changes = source.outside().map_err(Error::Trace)?;
    let (brought, bytes) = prepare::lay_out(&changes);
    let later = unnamed::row_of_brought(&rows, bytes);
    let mut held =
        unnamed::Held::open(source, &rows, later.as_ref(), root, &mut made.links_elsewhere)?;
    let outside = Outside::new(changes, held.brought.take(), brought);
    let prepared = Prepared { files: made.names, bytes: made.bytes, assumed: made.assumed };
    let shared = Arc::new(Shared {
        frontier: Frontier::new(if options.preload {
            source.items_about().clamp(1, PRELOADED).next_power_of_two()
        } else {
            WINDOW
        }),
        open: AtomicBool::new(!options.preload),
        options: options.clone(),
        listings: Listings::default(),
        rules: Rules {
            owners: powers.any_user,
            withhold,
            links_elsewhere: std::mem::take(&mut made.links_elsewhere),
        },
        withheld: AtomicU64::new(made.withheld),
        passages: Passages::new(&rows, powers),
        powers,
        begun: OnceLock::new(),
        times: Mutex::default(),
        late: Mutex::default(),
        found: Mutex::default(),
        refused: Mutex::default(),
        copied: AtomicU64::new(0),
        emulated: Mutex::default(),
        unperformed: Mutex::default(),
        mounts: source.mounts(),
        torn: source.is_torn(),
        complete_until: source.complete_until(),
        alone: source.is_of_one_thread(),
        stop: AtomicBool::new(false),
        broken: Mutex::default(),
    });
    let mut dispatcher = Dispatcher::new(shared.clone(), options, source.span(), progress);
    dispatcher.unnamed = held;
    dispatcher.outside = outside;
    dispatcher.know_links(&rows);
    dispatcher.run(source.items().map_err(Error::Trace)?)?;
    let tally = std::mem::take(&mut dispatcher.tally);
    let left_out = std::mem::take(&mut dispatcher.left_out);
    let undecided = std::mem::take(&mut dispatcher.undecided).into_paths();
    let others = std::mem::take(&mut dispatcher.outside.others);
    drop(dispatcher);

    let mut notes = notes;
    if made.unread > 0 {
        notes.push(format!(
            "{} symbolic links have no target here: the trace does not have it",
            made.unread
        ));
    }
    let mut report = Report {
        calls: tally.calls,
        notes,
        skipped_by: tally.skipped_by,
        others,
        elapsed_s: tally.elapsed.as_secs_f64(),
        ..Report::default()
    };
    let mut refused = 0;
    for (why, count) in &*shared.refused.lock().unwrap_or_else(PoisonError::into_inner) {
        *report.skipped_by.entry(why).or_default() += count;
        refused += count;
    }
    report.issued = tally.dispatched - refused;
    report.early = tally.early;
    report.chosen = tally.chosen.min(report.issued.saturating_sub(report.early));
    report.skipped = report.skipped_by.values().sum();
    report.recorded_s =
        tally.recorded.map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 / 1e9);
    report.prepared = prepared;
    report.broken_off = shared.stopping();
    report.ignored = options.on_divergence == OnDivergence::Ignore;
    report.lateness =
        shared.late.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Spread::of);
    report.moved_bytes = tally.moved;
    report.latency =
        shared.times.lock().unwrap_or_else(PoisonError::into_inner).beside(&tally.times);
    report.copied = shared.copied.load(Relaxed);
    report.emulated =
        std::mem::take(&mut *shared.emulated.lock().unwrap_or_else(PoisonError::into_inner));
    report.refused = report.skipped_by.get(OUTSIDE).copied().unwrap_or_default();
    report.withheld = shared.withheld.load(Relaxed);
    if report.withheld > 0 {
        report.notes.push(
            "set-user-ID and set-group-ID bits and file capabilities were withheld, as other users \
             can reach the root: a root below a directory of mode 0700 gets them, and so does any \
             root with --allow-set-id"
                .into(),
        );
    }
    let mut found =
        std::mem::take(&mut *shared.found.lock().unwrap_or_else(PoisonError::into_inner));
    found.kept.sort_by_key(|(number, _)| *number);
    let open = tally.left_open.is_some();
    let compared = options.verify > Verify::None;
    if compared {
        *(if open { &mut report.races } else { &mut report.divergences }) = found.more;
        report.by_kind = found.by_kind;
    }
    for (number, divergence) in found.kept {
        let raced =
            tally.raced.contains(&number) || tally.left_open.is_some_and(|first| number >= first);
        if divergence.failed && !raced && !tally.explained.contains(&number) {
            report.failed += 1;
            report.first_failed.get_or_insert_with(|| divergence.clone());
        }
        if !compared {
            continue;
        }
        let (count, shown) = match (tally.explained.contains(&number), raced) {
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
        if shown.len() < options.show {
            shown.push(divergence);
        }
    }
    let final_state = rows.iter().any(|r| !matches!(r.last, Final::Unknown(_)));
    if tally.cut_short {
        report
            .notes
            .push("calls after --until were left out: the final tree was not compared".into());
    } else if options.verify > Verify::None
        && !report.broken_off
        && (final_state || rows.is_empty())
    {
        let unperformed =
            std::mem::take(&mut *shared.unperformed.lock().unwrap_or_else(PoisonError::into_inner));
        let chosen = |path: &[u8]| options.selection.has(path) && !left_out.has(path);
        let raced = |d: &state::Difference| {
            open || (undecided.contains(&*d.path) && matches!(&*d.what, "content" | "size"))
        };
        let how = state::How { owners: powers.any_user, withhold };
        let mut tell = |done, of| progress.comparing(done, of);
        let outcome = state::compare(&rows, root, how, &mut tell).map_err(Error::State)?;
        report.state = sorted_out(outcome, &unperformed, &raced, &chosen, options.show);
    } else if options.verify > Verify::None && !report.broken_off {
        report.notes.push("the trace has no final state: the final tree was not compared".into());
    }
    Ok(report)
}

/// What of the comparison is a difference, a race, or of no account.
fn sorted_out(
    mut outcome: state::StateReport,
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
    let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
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
    let line = |d: &state::Difference| {
        format!("{}: {}: expected {}, got {}", name(&d.path), d.what, d.expected, d.got)
    };
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
            .map(|(path, why)| format!("{}: {why}", name(path)))
            .collect(),
    }
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
