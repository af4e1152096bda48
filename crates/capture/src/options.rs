//! What an engine records, and how.

use abi::OPERATIONS;

/// How many of the bytes that calls transfer are recorded. Everything else (paths, structs) is
/// always recorded in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DataLimit {
    /// All bytes.
    #[default]
    All,
    /// Only the bytes that the program writes.
    Writes,
    /// No bytes.
    None,
    /// At most this many bytes of each buffer.
    Bytes(u64),
}

impl DataLimit {
    /// Returns how many bytes of each buffer that the program writes are recorded at most.
    pub fn of_writes(self) -> u64 {
        match self {
            Self::All | Self::Writes => u64::MAX,
            Self::None => 0,
            Self::Bytes(n) => n,
        }
    }
}

/// A set of system call numbers.
#[derive(Clone, Debug)]
pub struct CallSet {
    /// Whether each number below [`NUMBER_LIMIT`] is in the set; empty if all are.
    listed: Vec<bool>,
    /// Whether numbers from [`NUMBER_LIMIT`] on are in the set.
    unlisted: bool,
    /// Whether each number from [`OPERATIONS`] on is in the set; empty if all are.
    operations: Vec<bool>,
}

/// System call numbers from here on are not told apart by a filter.
pub(crate) const NUMBER_LIMIT: u32 = 1024;
/// How many numbers from [`OPERATIONS`] on a filter tells apart.
const OPERATION_LIMIT: u32 = 1024;

impl CallSet {
    /// Returns the set of all calls.
    pub fn all() -> Self {
        Self { listed: Vec::new(), unlisted: true, operations: Vec::new() }
    }
    /// Returns the set of the numbers for which `test` returns true. All numbers of system calls
    /// from `NUMBER_LIMIT` on are represented by `u32::MAX`.
    pub fn from_fn(test: impl Fn(u32) -> bool) -> Self {
        Self {
            listed: (0..NUMBER_LIMIT).map(&test).collect(),
            unlisted: test(u32::MAX),
            operations: (OPERATIONS..OPERATIONS + OPERATION_LIMIT).map(&test).collect(),
        }
    }
    /// Returns whether the set contains this number.
    pub fn contains(&self, number: u32) -> bool {
        let (set, index) = match number.checked_sub(OPERATIONS) {
            Some(index) if index < OPERATION_LIMIT => (&self.operations, index),
            _ => (&self.listed, number),
        };
        set.get(index as usize).copied().unwrap_or(self.unlisted)
    }
    /// Returns whether the set contains every number.
    pub fn is_all(&self) -> bool {
        self.unlisted && self.listed.iter().chain(&self.operations).all(|w| *w)
    }
}

/// Which calls are recorded, by how they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeFilter {
    /// Whether to record calls that return without an error.
    pub successful: bool,
    /// Whether to record calls that return an error.
    pub failed: bool,
    /// Whether to record calls that never return.
    pub unfinished: bool,
}

impl OutcomeFilter {
    /// Every call is recorded.
    pub const ALL: Self = Self { successful: true, failed: true, unfinished: true };

    /// Returns the filter as the eBPF program has it: bit 0 successful, bit 1 failed, bit 2
    /// unfinished.
    pub(crate) const fn to_bits(self) -> u32 {
        self.successful as u32 | (self.failed as u32) << 1 | (self.unfinished as u32) << 2
    }
}

/// A callback for when the recording of running processes has begun.
#[derive(Clone)]
pub struct OnStart(std::sync::Arc<dyn Fn() + Send + Sync>);

impl OnStart {
    /// Makes a callback that calls `then`.
    pub fn new(then: impl Fn() + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(then))
    }
    /// Calls the callback.
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
    /// How many of the bytes that calls transfer are recorded.
    pub data: DataLimit,
    /// Which calls are recorded.
    pub calls: CallSet,
    /// Which calls are recorded, by how they end (eBPF only).
    pub outcomes: OutcomeFilter,
    /// Use a seccomp filter, so that calls that are not recorded do not stop the program (ptrace
    /// only). A filter cannot be removed: if the recorder is killed, the calls to be recorded fail
    /// with ENOSYS.
    pub seccomp: bool,
    /// Size in bytes of each CPU's ring buffer, a power of two (eBPF only). By default it depends
    /// on the machine's memory.
    pub ring_bytes: Option<usize>,
    /// Drop records when a ring buffer is full, instead of delaying the program (eBPF only).
    pub drops: bool,
    /// Write at most this many bytes per second to each CPU's journal (eBPF only). Tests use it to
    /// simulate a slow disk.
    pub write_rate: Option<u64>,
    /// Seal while recording whenever this many bytes of journal are not sealed yet; 0: seal only
    /// after the recording.
    pub seal_ahead_bytes: u64,
    /// Handle the stop that reports a new thread only after this many ticks of 50 ms (ptrace only).
    /// Tests use it to simulate a loaded machine.
    pub fork_report_delay: u32,
    /// Called once the running processes, the cgroup or the machine are being recorded.
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
