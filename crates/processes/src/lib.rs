//! The state of the traced processes: their descriptor tables, working directories, roots and
//! umasks. The calls and events of the trace change it.
//!
//! A call is passed twice, in the order of time: when it is entered ([`Processes::enter`]), which
//! returns what its arguments refer to, and when it returns ([`Processes::leave`]), which applies
//! what it did. [`Timeline`] brings a trace into that order. Invariant: after `leave`, [`Operands`]
//! hold what the kernel's tables held while the call ran, as far as entries, returns and results
//! prove it.
//!
//! The kernel frees a descriptor's number early in a close and installs a new one late in an open,
//! so closes act at their entry and everything else at its exit. A call whose descriptor was closed
//! or opened by a call that overlaps it finds it nevertheless, unless its own result is EBADF.
//!
//! Paths are joined, but `..` and symbolic links are not resolved: that is left to the model of the
//! file system ([`lexical`] cleans a path for people). No trace is refused: in one with gaps or
//! invalid calls, arguments refer to nothing (`None`).
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

/// A thread that has not ended.
struct Thread {
    /// The id of its process.
    pid: u32,
    /// The id of its descriptor table in [`Processes::tables`].
    table_id: u32,
    /// The id of its directories and umask in [`Processes::fs_structs`].
    fs_id: u32,
    /// The id of its mount namespace in [`Processes::mount_namespaces`].
    namespace_id: u32,
    /// Its credentials, if the trace has them.
    credentials: Option<Arc<Credentials>>,
}

/// The traced processes. `T` is what a user attaches to each descriptor and directory: replay its
/// real descriptor.
pub struct Processes<T = ()> {
    threads: Threads,
    /// The descriptor tables, by id.
    tables: HashMap<u32, Table<T>>,
    /// Working directories, roots and umasks, by id.
    fs_structs: HashMap<u32, Fs<T>>,
    /// The mount namespaces, by id. 0 is the one in which the recording began.
    mount_namespaces: HashMap<u32, Arc<MountNamespace>>,
    /// Trees of mounts that are attached nowhere, by the id of the open file that refers to each.
    detached_trees: HashMap<u64, Vec<mounts::namespace::Mount>>,
    /// The closes under way.
    closings: Closings<T>,
    /// The open files that existed when the recording began, by the engine's key.
    initial_open_files: HashMap<u64, Arc<OpenFile>>,
    /// The inodes of open files, by device and inode number.
    inodes: HashMap<(u64, u64), Weak<Inode>>,
    /// Messages with descriptors that no call has received.
    sent_messages: VecDeque<Sent<T>>,
    /// The recorded machine's mounts.
    mounts: Mounts,
    /// Symbolic links to virtual file systems.
    virtual_links: Links,
    /// Rings of io_uring.
    rings: Rings<T>,
    /// The buffers into which operations of io_uring under way read.
    buffers: Buffers,
    /// The descriptors of files behind shared mappings, by the number of the mapping. A mapping
    /// keeps its descriptor.
    mappings: HashMap<u32, Arc<Descriptor<T>>>,
    /// The last id that [`Processes::next_id`] returned.
    last_id: u64,
    /// How many entries, returns and events were applied so far.
    items_applied: u64,
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
            virtual_links: Links::default(),
            rings: Rings::default(),
            buffers: Buffers::default(),
            mappings: HashMap::default(),
            threads: Threads::default(),
            tables: HashMap::default(),
            fs_structs: HashMap::default(),
            mount_namespaces: HashMap::from_iter([(0, Arc::default())]),
            detached_trees: HashMap::default(),
            closings: Closings::default(),
            sent_messages: VecDeque::new(),
            initial_open_files: HashMap::default(),
            inodes: HashMap::default(),
            last_id: 1,
            items_applied: 0,
        }
    }

    /// Returns the descriptor `fd` that thread `tid` has now.
    pub fn descriptor(&self, tid: u32, fd: i32) -> Option<&Arc<Descriptor<T>>> {
        let thread = self.threads.get(&tid)?;
        self.tables.get(&thread.table_id)?.get(fd)
    }

    /// Returns the current working directory of thread `tid`.
    pub fn directory(&self, tid: u32) -> Option<&Arc<Directory<T>>> {
        Some(&self.fs_structs.get(&self.threads.get(&tid)?.fs_id)?.cwd)
    }

    /// Returns whether two threads share a descriptor table.
    pub fn shares_table(&self, a: u32, b: u32) -> bool {
        self.threads
            .get(&a)
            .zip(self.threads.get(&b))
            .is_some_and(|(a, b)| a.table_id == b.table_id)
    }

    /// Returns whether thread `tid` has a close of `fd` under way that found it open.
    pub fn is_closing(&self, tid: u32, fd: i32) -> bool {
        self.closings.has_found(tid, fd)
    }

    /// Returns the credentials of thread `tid`, if the trace has them.
    pub fn credentials(&self, tid: u32) -> Option<&Arc<Credentials>> {
        self.threads.get(&tid)?.credentials.as_ref()
    }

    /// Returns the number of living threads.
    pub fn thread_count(&self) -> usize {
        self.threads.len()
    }

    /// Returns an id that was not used before.
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
