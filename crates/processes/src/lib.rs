//! The state of the traced processes: their descriptor tables, working directories, roots and
//! umasks, moved on by the trace's calls and events.
//!
//! Calls go in twice, in the order of time: at their entry ([`Processes::enter`]), which says what
//! their arguments mean then, and at their exit ([`Processes::leave`]), which applies what they
//! did. [`Timeline`] puts a trace into that order. The invariant: what `leave` adds to [`Operands`]
//! is what the kernel's tables held while the call ran, as far as entries, exits and results prove
//! it.
//!
//! The kernel frees a descriptor's number early in a close and installs a new one late in an open,
//! so closes act at their entry and everything else at its exit. A call whose descriptor was closed
//! or opened by a call that overlaps it finds it nevertheless, unless its own result is EBADF.
//!
//! Paths are joined, not resolved: `..` and links are left to the model of the file system
//! ([`lexical`] cleans a path for people). Refuses nothing: a trace with gaps or nonsense gives
//! arguments that mean nothing (`None`).
#![forbid(unsafe_code)]

mod arguments;
mod calls;
mod events;
mod mounts;
mod paths;
mod procfs_links;
mod state;
mod timeline;
mod unrecorded;

pub use arguments::{Operands, PerArgument};
pub use calls::mounting::ReadLink;
pub use mounts::namespace::{MountNamespace, MountView, Resolved};
pub use mounts::{Mounts, is_virtual_magic};
pub use paths::{lexical, parent};
pub use procfs_links::{LinkRoute, LinkTarget};
pub use state::file::{Descriptor, Directory, Inode, OpenFile};
pub use timeline::{Timeline, TimelineItem};
pub use unrecorded::{BY_OPERATIONS, BY_STORES, Unrecorded};

use ahash::HashMap;
use calls::closing::Closings;
use calls::passing::Sent;
use calls::virtual_links::Links;
use state::buffers::Buffers;
use state::rings::Rings;
use state::table::{Fs, Table};
use state::threads::Threads;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// The credentials of a process (credentials(7)), which files' permissions are checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real user.
    pub uid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

struct Thread {
    pid: u32,
    table: u32,
    fs: u32,
    space: u32,
    credentials: Option<Arc<Credentials>>,
}

/// The traced processes. `T` is what a user attaches to each descriptor and directory: replay its
/// real descriptor.
pub struct Processes<T = ()> {
    threads: Threads,
    tables: HashMap<u32, Table<T>>,
    groups: HashMap<u32, Fs<T>>,
    /// Mount namespaces; 0 is the one that the recording began in.
    spaces: HashMap<u32, Arc<MountNamespace>>,
    /// Trees that are mounted nowhere, by the open file that stands for each.
    trees: HashMap<u64, Vec<mounts::namespace::Mount>>,
    closing: Closings<T>,
    /// Open files that were there at the start, by the engine's key.
    present: HashMap<u64, Arc<OpenFile>>,
    inodes: HashMap<(u64, u64), Weak<Inode>>,
    /// Messages with descriptors that no call has received.
    sent: VecDeque<Sent<T>>,
    /// The recorded machine's mounts.
    mounts: Mounts,
    links: Links,
    rings: Rings<T>,
    buffers: Buffers,
    /// The files behind shared mappings, by the numbers of these. The descriptors stay open.
    mappings: HashMap<u32, Arc<Descriptor<T>>>,
    next: u64,
    /// How many calls and events it has been told of, returns counted apart.
    step: u64,
}

impl<T: Default> Default for Processes<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default> Processes<T> {
    /// Starts without processes, on a machine of whose mounts nothing is known.
    pub fn new() -> Self {
        Self::with_mounts(Mounts::default())
    }

    /// Starts without processes, on a machine with these mounts.
    pub fn with_mounts(mounts: Mounts) -> Self {
        Self {
            mounts,
            links: Links::default(),
            rings: Rings::default(),
            buffers: Buffers::default(),
            mappings: HashMap::default(),
            threads: Threads::default(),
            tables: HashMap::default(),
            groups: HashMap::default(),
            spaces: HashMap::from_iter([(0, Arc::default())]),
            trees: HashMap::default(),
            closing: Closings::default(),
            sent: VecDeque::new(),
            present: HashMap::default(),
            inodes: HashMap::default(),
            next: 1,
            step: 0,
        }
    }

    /// Returns the descriptor `fd` that thread `tid` has now.
    pub fn descriptor(&self, tid: u32, fd: i32) -> Option<&Arc<Descriptor<T>>> {
        let thread = self.threads.get(&tid)?;
        self.tables.get(&thread.table)?.get(fd)
    }

    /// Returns the current working directory of thread `tid`.
    pub fn directory(&self, tid: u32) -> Option<&Arc<Directory<T>>> {
        Some(&self.groups.get(&self.threads.get(&tid)?.fs)?.cwd)
    }

    /// Returns whether two threads share a descriptor table.
    pub fn shares_table(&self, a: u32, b: u32) -> bool {
        self.threads.get(&a).zip(self.threads.get(&b)).is_some_and(|(a, b)| a.table == b.table)
    }

    /// Returns whether thread `tid` has a close of `fd` under way that found it open.
    pub fn is_closing(&self, tid: u32, fd: i32) -> bool {
        self.closing.has_found(tid, fd)
    }

    /// Returns the credentials of thread `tid`, if the trace has them.
    pub fn credentials(&self, tid: u32) -> Option<&Arc<Credentials>> {
        self.threads.get(&tid)?.credentials.as_ref()
    }

    /// Returns the number of living threads.
    pub fn thread_count(&self) -> usize {
        self.threads.len()
    }

    /// Returns a number that was not used before.
    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
