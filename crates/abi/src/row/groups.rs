//! Sets of calls that filters name.

/// A set of filter groups, such as `%file`, one bit each. They correspond to strace's classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups(pub u32);

impl Groups {
    /// No group.
    pub const NONE: Self = Self(0);
    /// Takes a descriptor (`%desc`).
    pub const DESC: Self = Self(1);
    /// Takes a path (`%file`).
    pub const FILE: Self = Self(2);
    /// Sockets (`%network`, `%net`).
    pub const NET: Self = Self(4);
    /// Memory (`%memory`).
    pub const MEMORY: Self = Self(8);
    /// Processes (`%process`).
    pub const PROCESS: Self = Self(16);
    /// Signals (`%signal`).
    pub const SIGNAL: Self = Self(32);
    /// System V and POSIX IPC (`%ipc`).
    pub const IPC: Self = Self(64);
    /// Credentials (`%creds`).
    pub const CREDS: Self = Self(128);
    /// Clocks (`%clock`).
    pub const CLOCK: Self = Self(256);
    /// The stat family (`%stat`).
    pub const STAT: Self = Self(512);
    /// Extended attributes (`%xattr`).
    pub const XATTR: Self = Self(1024);
    /// Asynchronous I/O (`%aio`).
    pub const AIO: Self = Self(2048);
    /// Calls on the system as a whole (`%system`).
    pub const SYSTEM: Self = Self(4096);

    /// Returns the union of two sets.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Returns whether the sets have a common group.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// The names of the groups in filters, and their bits.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("desc", Self::DESC),
        ("file", Self::FILE),
        ("net", Self::NET),
        ("network", Self::NET),
        ("memory", Self::MEMORY),
        ("process", Self::PROCESS),
        ("signal", Self::SIGNAL),
        ("ipc", Self::IPC),
        ("creds", Self::CREDS),
        ("clock", Self::CLOCK),
        ("stat", Self::STAT),
        ("xattr", Self::XATTR),
        ("aio", Self::AIO),
        ("system", Self::SYSTEM),
    ];
}
