//! What an engine is asked to keep.

/// How much of the data that calls move is kept. Paths, structs and whatever else is no data are
/// always kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DataLimit {
    /// All of it.
    #[default]
    All,
    /// What the program writes.
    Writes,
    /// None.
    None,
    /// So many bytes of each buffer.
    Bytes(u64),
}

/// The set of calls to record, by number.
#[derive(Clone, Debug)]
pub struct CallSet {
    known: Vec<bool>,
    /// Whether numbers beyond the set are in it.
    beyond: bool,
}

/// One more than the greatest number that a filter distinguishes.
pub(crate) const NUMBERS: u32 = 1024;

impl CallSet {
    /// Every call.
    pub fn all() -> Self {
        Self { known: Vec::new(), beyond: true }
    }
    /// The calls for which `test` of the number says so.
    pub fn from_fn(test: impl Fn(u32) -> bool) -> Self {
        Self { known: (0..NUMBERS).map(&test).collect(), beyond: test(u32::MAX) }
    }
    /// Whether the call with this number is wanted.
    pub fn contains(&self, number: u32) -> bool {
        self.known.get(number as usize).copied().unwrap_or(self.beyond)
    }
    /// Whether all are.
    pub fn is_all(&self) -> bool {
        self.beyond && self.known.iter().all(|w| *w)
    }
}

/// The calls to record, by how they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeFilter {
    /// Those that returned without an error.
    pub successful: bool,
    /// Those that returned an error.
    pub failed: bool,
    /// Those that never returned.
    pub unfinished: bool,
}

impl OutcomeFilter {
    /// Every call.
    pub const ALL: Self = Self { successful: true, failed: true, unfinished: true };

    /// As the eBPF program has it: bits 0, 1 and 2.
    pub(crate) const fn bits(self) -> u32 {
        self.successful as u32 | (self.failed as u32) << 1 | (self.unfinished as u32) << 2
    }
}

/// What to do when the recording of processes that run already has begun.
#[derive(Clone)]
pub struct OnStart(std::sync::Arc<dyn Fn() + Send + Sync>);

impl OnStart {
    /// Does this.
    pub fn new(then: impl Fn() + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(then))
    }
    pub(crate) fn call(&self) {
        (self.0)();
    }
}

impl Default for OnStart {
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl std::fmt::Debug for OnStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnStart")
    }
}

/// What to record, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much data.
    pub data: DataLimit,
    /// Which calls.
    pub calls: CallSet,
    /// And how they end (eBPF).
    pub outcomes: OutcomeFilter,
    /// Do not stop the program at other calls. A seccomp filter cannot be taken back: should the
    /// recorder die, the wanted calls fail with ENOSYS.
    pub seccomp: bool,
    /// Bytes of each CPU's ring, a power of two (eBPF); by default what the machine's memory
    /// suggests.
    pub ring_bytes: Option<usize>,
    /// Lose records rather than delay the program (eBPF).
    pub drops: bool,
    /// Write no more than so many bytes a second to each CPU's journal (eBPF): a slow disk, for
    /// tests.
    pub write_rate: Option<u64>,
    /// Seal while recording when so many bytes of journal wait; 0: not before the recording has
    /// ended.
    pub seal_ahead_bytes: u64,
    /// Look at what tells of a birth so many ticks of 50 ms later, as on a loaded machine, for
    /// tests (ptrace).
    pub fork_report_delay: u32,
    /// Called once running processes, a cgroup or the machine are watched.
    pub on_start: OnStart,
}

/// The default of [`Options::seal_ahead_bytes`].
const DEFAULT_SEAL_AHEAD_BYTES: u64 = 32 << 20;

impl Default for Options {
    fn default() -> Self {
        Self {
            data: DataLimit::All,
            calls: CallSet::all(),
            outcomes: OutcomeFilter::ALL,
            seccomp: false,
            ring_bytes: None,
            drops: false,
            write_rate: None,
            seal_ahead_bytes: DEFAULT_SEAL_AHEAD_BYTES,
            fork_report_delay: 0,
            on_start: OnStart::default(),
        }
    }
}
