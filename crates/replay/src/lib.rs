//! Replays a trace: performs its calls again in a directory, and compares the results.
//!
//! One dispatcher reads the trace in the order of time, updates the model of the traced processes
//! and hands each call, when it returns there, to the executor of its thread; executors issue the
//! calls inside the root and compare what comes back. `docs/replay-semantics.md` says what is
//! performed and what is compared.
//!
//! Invariants: nothing outside the root is touched; every call of the trace is counted once, as
//! issued or as skipped with its reason; no call waits for one that returned later (or must have,
//! as results prove), so that replay cannot deadlock. Refuses a root that is not empty, and to
//! sandbox an ordinary user's process that has threads already.
#![deny(unsafe_code)]

mod execute;
pub mod initial;
mod issue;
pub mod report;
mod run;
mod schedule;
pub mod source;
mod verify;

pub use report::{Divergence, Report, State};
pub use run::{prepare_root, replay, replay_source};
pub use sandbox::{Root, Tree};
pub use schedule::{Order, Pace};
pub use source::{Alteration, Altered, Data, Selection, Source};
pub use verify::state;

use std::path::PathBuf;
use std::time::Duration;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verify {
    /// Nothing.
    None,
    /// The calls' results, and the final tree.
    Result,
    /// The calls' results and all bytes that they bring, and the final tree.
    Data,
}

/// What happens when a call comes out differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDivergence {
    /// It is counted, and the first ones are kept.
    Warn,
    /// The replay ends: no call begins any more.
    Stop,
    /// It is counted, and the outcome does not depend on it.
    Ignore,
}

/// What performs operations of io_uring or of libaio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// A ring for each recorded ring, or a context for each recorded context.
    Real,
    /// System calls that mean the same, in as many threads as operations were under way at once.
    Calls,
}

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory in which everything happens.
    pub root: Root,
    /// Set-user-ID and set-group-ID bits and file capabilities are set even if others can reach
    /// the root.
    pub allow_set_id: bool,
    /// The initial state stands in the root already; else it is made there, and the root must be
    /// empty.
    pub prepared: bool,
    /// How many divergences, and lines on the final state, the report keeps.
    pub show: usize,
    /// What is compared.
    pub verify: Verify,
    /// What happens when a call comes out differently.
    pub on_divergence: OnDivergence,
    /// Which calls a call waits for.
    pub order: Order,
    /// When it is due.
    pub pace: Pace,
    /// Read the whole trace before the first call is performed.
    pub preload: bool,
    /// Bytes of memory to take at most, about; not if everything is read beforehand.
    pub memory: u64,
    /// Measure how long each call takes.
    pub timing: bool,
    /// Which calls are performed.
    pub selection: Selection,
    /// The trace is trusted: only the mount namespace confines it, without Landlock, whose checks
    /// take some tenths of a microsecond for each open, creation and removal.
    pub trusted: bool,
    /// What performs operations of io_uring.
    pub uring: Operations,
    /// What performs operations of libaio.
    pub aio: Operations,
    /// Give up when no call finishes for so long.
    pub patience: Duration,
}

impl Options {
    /// Creates the default options for a replay in `root`.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            allow_set_id: false,
            prepared: false,
            show: 20,
            verify: Verify::Data,
            on_divergence: OnDivergence::Warn,
            order: Order::Overlap,
            pace: Pace::Asap,
            preload: false,
            memory: 512 << 20,
            timing: false,
            selection: Selection::default(),
            trusted: false,
            uring: Operations::Real,
            aio: Operations::Real,
            patience: Duration::from_secs(60),
        }
    }

    /// Returns whether calls are due at given times.
    pub(crate) fn is_paced(&self) -> bool {
        self.pace != Pace::Asap
    }

    /// Returns whether set-user-ID bits and capabilities are withheld, as others can reach the
    /// root.
    pub(crate) fn withholds(&self) -> bool {
        !self.allow_set_id && !self.root.is_secluded()
    }
}

/// Receives the progress of a replay, and may end it.
pub trait Progress: Sync {
    /// Reports that so many steps of creating the initial state are done, of so many.
    fn preparing(&self, _done: u64, _of: u64) {}
    /// Reports that the initial state is complete.
    fn prepared(&self, _prepared: &initial::CreatedFiles) {}
    /// Reports that so many of the trace's calls are done, performed or skipped, and moved about so
    /// many bytes. Called every few thousand calls, and a few times a second while replay waits.
    fn calls(&self, _done: u64, _moved_bytes: u64) {}
    /// Returns whether the user wants the replay to end. Then no more calls begin.
    fn is_unwanted(&self) -> bool {
        false
    }
    /// Reports that all calls are done, and that so many names of the final tree are compared, of
    /// so many.
    fn comparing(&self, _done: u64, _of: u64) {}
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;
impl Progress for Quiet {}

/// Why a replay could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root cannot be used.
    #[error("cannot use {} as the root", .0.display())]
    Root(PathBuf, #[source] std::io::Error),
    /// There is something in the root.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The namespaces or Landlock cannot be set up.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The initial state cannot be made.
    #[error("cannot create the initial files")]
    Prepare(#[from] initial::PrepareError),
    /// The trace cannot be read.
    #[error("cannot read the trace")]
    Trace(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The final tree cannot be read.
    #[error("cannot compare the final tree")]
    State(#[source] std::io::Error),
    /// It was interrupted before the first call.
    #[error("interrupted while the initial state was made: no call was performed")]
    Interrupted,
    /// At the chosen pace the replay would take too long.
    #[error("at this pace it would take {days} days, by the times in the trace")]
    Pace {
        /// How many.
        days: u64,
    },
    /// No call finished for [`Options::patience`].
    #[error(
        "stuck at call {seq} ({call} by thread {tid}): it has not returned for {waited_s} seconds"
    )]
    Stuck {
        /// The oldest call that is not done.
        seq: u64,
        /// Its name.
        call: &'static str,
        /// Its thread in the recording.
        tid: u32,
        /// How long nothing moved.
        waited_s: u64,
    },
    /// An internal error: a defect of this program.
    #[error("replay failed with an internal error: {0}")]
    Inside(String),
}
