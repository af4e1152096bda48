//! A replay from beginning to end: walls, initial state, calls, final state.

mod after;
mod before;

use crate::execute::{Frontier, Shared, WINDOW};
use crate::initial::outside::Outside;
use crate::initial::{self, How, Passages, Prepared, unnamed};
use crate::issue::procfs;
use crate::issue::thread::Common;
use crate::sandbox::{self, Powers};
use crate::schedule::{Dispatcher, too_long};
use crate::source::Source;
use crate::verify::{Listings, Rules};
use crate::{Error, Options, Progress, Quiet, Report, Root};
use before::end;
use model::world::{Credentials, World};
use rustix::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use trace::Item;
use trace::record::RecordKind;

/// So many calls at most are read before the first is performed: what a trace says of itself is no
/// reason to take all memory.
const PRELOADED: u64 = 1 << 22;
/// How many items are looked through for the traced program's user.
const FIRST: usize = 4096;

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
    inside(source, &options.root, options.prepared, |root, powers| {
        calls(source, options, progress, root, powers)
    })
}

/// Makes the initial state of `source` in `root`, an empty directory, and performs no call.
///
/// An ordinary user's process must have no other threads: it moves into a user namespace of its
/// own.
pub fn prepare_root(source: &dyn Source, options: &Options) -> Result<Prepared, Error> {
    inside(source, &options.root, false, |root, powers| {
        let how = How { withhold: options.withholds(), others: powers.others };
        before::make(source, &source.rows().map_err(Error::Trace)?, false, root, how, &Quiet)
    })
}

/// Does something within the walls around `root`, in a thread of its own, so that the calling one
/// stays where it is. `root` must be empty, unless it is `prepared`.
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
    let how = How { withhold: options.withholds(), others: powers.others };
    let mut made = before::make(source, &rows, options.prepared, root, how, progress)?;
    let notes = if options.trusted {
        Vec::new()
    } else {
        sandbox::confine(source.directory(), &before::busiest(&rows))?
    };
    progress.prepared(&made);
    let changes = source.outside().map_err(Error::Trace)?;
    let (brought, bytes) = initial::lay_out(&changes);
    let later = unnamed::row_of_brought(&rows, bytes);
    let mut held =
        unnamed::Held::open(source, &rows, later.as_ref(), root, &mut made.links_elsewhere)?;
    let outside = Outside::new(changes, held.brought.take(), brought);
    let shared = Arc::new(shared(source, options, &mut made, powers));
    let passages = Passages::new(&rows, powers);
    let mut dispatcher =
        Dispatcher::new(shared.clone(), options, source.span(), passages, progress);
    dispatcher.unnamed = held;
    dispatcher.outside = outside;
    dispatcher.know_links(&rows);
    dispatcher.run(source.items().map_err(Error::Trace)?)?;
    let mut done = dispatcher.done();
    let mut report = after::report(&shared, options, &made, &mut done, notes);
    after::differences(&mut report, &shared, options, &done);
    after::final_tree(&mut report, &shared, options, &done, &rows, root, progress)?;
    Ok(report)
}

/// What the dispatcher and the executors of this replay share.
fn shared(source: &dyn Source, options: &Options, made: &mut Prepared, powers: Powers) -> Shared {
    let rules = Rules {
        owners: powers.any_user,
        withhold: options.withholds(),
        links_elsewhere: std::mem::take(&mut made.links_elsewhere),
    };
    let common = Common {
        verify: options.verify,
        rules,
        leaves_out: options.selection.leaves_out(),
        listings: Listings::default(),
        copied: AtomicU64::new(0),
        emulated: Mutex::default(),
    };
    Shared {
        frontier: Frontier::new(if options.preload {
            source.items_about().clamp(1, PRELOADED).next_power_of_two()
        } else {
            WINDOW
        }),
        open: AtomicBool::new(!options.preload),
        options: options.clone(),
        common: Arc::new(common),
        withheld: AtomicU64::new(made.withheld),
        powers,
        begun: OnceLock::new(),
        times: Mutex::default(),
        late: Mutex::default(),
        found: Mutex::default(),
        refused: Mutex::default(),
        unperformed: Mutex::default(),
        mounts: source.mounts(),
        torn: source.is_torn(),
        complete_until: source.complete_until(),
        alone: source.is_of_one_thread(),
        stop: AtomicBool::new(false),
        broken: Mutex::default(),
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
