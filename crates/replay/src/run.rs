//! A replay from beginning to end: sandbox, initial state, calls, final state.

mod results;
mod setup;

use crate::execute::{Completion, Shared, WINDOW};
use crate::initial::outside::Outside;
use crate::initial::{self, CreateOptions, CreatedFiles, TraversedDirectories, unnamed};
use crate::issue::procfs;
use crate::issue::thread::ReplayContext;
use crate::schedule::{Dispatcher, too_long};
use crate::source::Source;
use crate::verify::{Listings, Rules};
use crate::{Error, Options, Progress, Quiet, Report, Root};
use model::processes::Processes;
use rustix::fd::AsFd;
use sandbox::Privileges;
use setup::join;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use trace::Item;
use trace::record::RecordKind;

/// The most calls that are read before the first is performed, whatever count the trace claims.
const MAX_PRELOADED: u64 = 1 << 22;
/// How many items are searched for the user of the traced program.
const USER_LOOKAHEAD: usize = 4096;

/// Performs `trace` again in `options.root`, and compares.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its
/// own.
pub fn replay(
    trace: &trace::Trace,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    replay_source(trace, options, progress)
}

/// Performs `source` again in `options.root`, and compares.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its
/// own.
pub fn replay_source(
    source: &dyn Source,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    in_sandbox(source, &options.root, options.prepared, |root, privileges| {
        replay_calls(source, options, progress, root, privileges)
    })
}

/// Makes the initial state of `source` in `root`, an empty directory, and performs no call.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its
/// own.
pub fn prepare_root(source: &dyn Source, options: &Options) -> Result<CreatedFiles, Error> {
    in_sandbox(source, &options.root, false, |root, privileges| {
        let create =
            CreateOptions { withhold: options.withholds(), other_users: privileges.other_users };
        setup::create_initial_state(
            source,
            &source.rows().map_err(Error::Trace)?,
            false,
            root,
            create,
            &Quiet,
        )
    })
}

/// Runs `work` in a sandbox around `root`, in a thread of its own, so that the calling thread stays
/// outside. `root` must be empty, unless it is `prepared`.
fn in_sandbox<T: Send>(
    source: &dyn Source,
    root: &Root,
    prepared: bool,
    work: impl FnOnce(&Path, Privileges) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let is_empty = root.is_empty().map_err(|e| Error::Root(root.path().to_owned(), e))?;
    if !prepared && !is_empty {
        return Err(Error::NotEmpty(root.path().to_owned()));
    }
    let recorded_user = credentials(source)?;
    allow_many_descriptors();
    let privileges = sandbox::enter_user_namespace(recorded_user)?;
    let closed = root.closed().map_err(|e| Error::Root(root.path().to_owned(), e))?;
    let done = std::thread::scope(|scope| {
        let sandboxed = scope.spawn(|| {
            procfs::keep();
            sandbox::enter(root.as_fd())?;
            work(Path::new("/"), privileges)
        });
        join(sandboxed)
    });
    // A root that only its owner could enter gets that mode back, whatever the mode of the trace's
    // root.
    if let Some(mode) = closed {
        root.close(mode).map_err(|e| Error::Root(root.path().to_owned(), e))?;
    }
    done
}

/// Replays the calls inside the sandbox: creates the initial state, runs the dispatcher, and
/// compares the final tree.
fn replay_calls(
    source: &dyn Source,
    options: &Options,
    progress: &dyn Progress,
    root: &Path,
    privileges: Privileges,
) -> Result<Report, Error> {
    if let Some(days) = too_long(options.pace, source.span()) {
        return Err(Error::Pace { days });
    }
    let rows = source.rows().map_err(Error::Trace)?;
    let create =
        CreateOptions { withhold: options.withholds(), other_users: privileges.other_users };
    let mut created =
        setup::create_initial_state(source, &rows, options.prepared, root, create, progress)?;
    let notes = if options.trusted {
        Vec::new()
    } else {
        sandbox::confine(source.directory(), &setup::largest_directories(&rows))?
    };
    progress.prepared(&created);
    let changes = source.outside().map_err(Error::Trace)?;
    let (outside_data, bytes) = initial::lay_out_outside_data(&changes);
    let later = unnamed::outside_data_row(&rows, bytes);
    let mut unnamed_files = unnamed::UnnamedFiles::open(
        source,
        &rows,
        later.as_ref(),
        root,
        &mut created.links_elsewhere,
    )?;
    let outside = Outside::new(changes, unnamed_files.outside_data.take(), outside_data);
    let shared = Arc::new(shared(source, options, &mut created, privileges));
    let traversed = TraversedDirectories::new(&rows, privileges);
    let mut dispatcher =
        Dispatcher::new(shared.clone(), options, source.span(), traversed, progress);
    dispatcher.unnamed = unnamed_files;
    dispatcher.outside = outside;
    dispatcher.know_links(&rows);
    dispatcher.run(source.items().map_err(Error::Trace)?)?;
    let mut done = dispatcher.finish();
    let mut report = results::report(&shared, options, &created, &mut done, notes);
    results::add_divergences(&mut report, &shared, options, &done);
    results::final_tree(&mut report, &shared, options, &done, &rows, root, progress)?;
    Ok(report)
}

/// Creates the state that the dispatcher and the executors of this replay share.
fn shared(
    source: &dyn Source,
    options: &Options,
    created: &mut CreatedFiles,
    privileges: Privileges,
) -> Shared {
    let rules = Rules {
        owners: privileges.any_user,
        withhold: options.withholds(),
        links_elsewhere: std::mem::take(&mut created.links_elsewhere),
    };
    let context = ReplayContext {
        verify: options.verify,
        rules,
        leaves_out: options.selection.can_exclude(),
        listings: Listings::default(),
        copied: AtomicU64::new(0),
        emulated: Mutex::default(),
    };
    Shared {
        completion: Completion::new(if options.preload {
            source.items_about().clamp(1, MAX_PRELOADED).next_power_of_two()
        } else {
            WINDOW
        }),
        may_begin: AtomicBool::new(!options.preload),
        options: options.clone(),
        context: Arc::new(context),
        withheld: AtomicU64::new(created.withheld),
        privileges,
        started: OnceLock::new(),
        times: Mutex::default(),
        lateness: Mutex::default(),
        divergences: Mutex::default(),
        refused: Mutex::default(),
        unperformed: Mutex::default(),
        mounts: source.mounts(),
        recovered: source.is_torn(),
        complete_until: source.complete_until(),
        single_executor: source.is_of_one_thread(),
        stop: AtomicBool::new(false),
        rings: Mutex::default(),
        notes: Mutex::default(),
        failure: Mutex::default(),
    }
}

/// Returns the effective user and group of the traced program when the recording began, if they are
/// recorded.
fn credentials(source: &dyn Source) -> Result<Option<(u32, u32)>, Error> {
    for item in source.items().map_err(Error::Trace)?.take(USER_LOOKAHEAD) {
        if let Item::Event(event) = item.map_err(Error::Trace)?
            && event.kind == RecordKind::State
        {
            let mut processes = Processes::<()>::new();
            processes.event(&event);
            return Ok(processes.credentials(event.tid).map(|c| (c.euid, c.egid)));
        }
    }
    Ok(None)
}

/// Raises the limit of open files, as this process opens the descriptors of all traced ones.
fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _best = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
