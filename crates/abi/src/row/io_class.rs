//! What sort of work a call is, for statistics. It follows from the row: from its arguments,
//! effect and groups, and where these do not tell, from a mark in the row ([`CallSpec::counted`]).

use super::{CallSpec, Class, Effect, Groups, Replay, Ret, Row, UnrecordedEffect};
use crate::{Kind, Role};

/// The sort of work that a call is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IoClass {
    /// Moves data from a file to the program.
    Read,
    /// Moves data to a file, from the program or from another file.
    Write,
    /// Makes a descriptor of a file.
    Open,
    /// Closes descriptors.
    Close,
    /// Asks for attributes of a file, a file system, or a name, and changes nothing.
    Stat,
    /// Changes attributes, the length or the allocation of a file.
    Change,
    /// Makes, removes or renames a name.
    Name,
    /// Lists a directory, or asks for or changes the working directory.
    Dir,
    /// Moves the offset of an open file.
    Seek,
    /// Makes what was written durable.
    Sync,
    /// Takes, releases or asks for a lock on a file.
    Lock,
    /// The address space: mappings and memory.
    Map,
    /// Processes and threads: made, ended, their signals, users and limits.
    Process,
    /// Waits for time, another process, or a peer: also reads and writes of pipes, sockets and
    /// terminals.
    Wait,
    /// Sockets, except for what waits for the peer.
    Net,
    /// Everything else.
    Other,
}

impl IoClass {
    /// All classes, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::Read,
        Self::Write,
        Self::Open,
        Self::Close,
        Self::Stat,
        Self::Change,
        Self::Name,
        Self::Dir,
        Self::Seek,
        Self::Sync,
        Self::Lock,
        Self::Map,
        Self::Process,
        Self::Wait,
        Self::Net,
        Self::Other,
    ];

    /// Returns the name of the class: `read`, `wait`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Open => "open",
            Self::Close => "close",
            Self::Stat => "stat",
            Self::Change => "change",
            Self::Name => "name",
            Self::Dir => "dir",
            Self::Seek => "seek",
            Self::Sync => "sync",
            Self::Lock => "lock",
            Self::Map => "map",
            Self::Process => "process",
            Self::Wait => "wait",
            Self::Net => "net",
            Self::Other => "other",
        }
    }

    /// Returns the class of a call whose descriptor leads to a file of this type. `mode` is the
    /// `st_mode` of the file, if it is known, and `file` the path of it as the kernel tells it
    /// (`pipe:[4711]`). Reads and writes that wait for a peer become [`IoClass::Wait`].
    pub fn on_file(self, mode: Option<u32>, file: Option<&str>) -> Self {
        if matches!(self, Self::Read | Self::Write) && waits_for_peer(mode, file) {
            Self::Wait
        } else {
            self
        }
    }
}

/// Returns whether a file has no content of its own, so that a transfer waits for whoever is at
/// the other end: a pipe, a socket, a terminal, an eventfd.
fn waits_for_peer(mode: Option<u32>, file: Option<&str>) -> bool {
    const FORMAT: u32 = 0o170_000;
    const PIPE: u32 = 0o010_000;
    const TERMINAL: u32 = 0o020_000;
    const SOCKET: u32 = 0o140_000;
    let is_terminal = |file: &str| {
        ["/dev/pts/", "/dev/tty", "/dev/console", "/dev/ptmx"].iter().any(|at| file.starts_with(at))
    };
    let by_name = |file: &str| {
        is_terminal(file)
            || ["pipe:[", "socket:[", "anon_inode:"].iter().any(|kind| file.starts_with(kind))
    };
    match mode.map(|mode| mode & FORMAT) {
        // Descriptors of the kernel's own (eventfd, inotify) have no type.
        Some(PIPE | SOCKET | 0) => true,
        Some(TERMINAL) => file.is_none_or(is_terminal),
        Some(_) => false,
        None => file.is_some_and(by_name),
    }
}

impl CallSpec {
    /// Sets the sort of work, for a call whose other facts do not tell it.
    pub const fn counted(mut self, class: IoClass) -> Self {
        self.counted_as = Some(class);
        self
    }
}

impl Row {
    /// Sets the sort of work, for a call whose other facts do not tell it.
    pub const fn counted(mut self, class: IoClass) -> Self {
        self.spec.counted_as = Some(class);
        self
    }
    /// Returns the class of calls that select this spec of the row: its own, or that of a variant.
    pub fn io_class(&self, spec: &CallSpec) -> IoClass {
        spec.counted_as.unwrap_or_else(|| derive(spec, self.groups))
    }
}

/// Derives the class from what the spec says of arguments and effect, and from the groups of its
/// row.
fn derive(spec: &CallSpec, groups: Groups) -> IoClass {
    let role = |wanted: fn(Role) -> bool| {
        spec.args.iter().any(|arg| arg.kind.path_use().is_some_and(|used| wanted(used.role)))
    };
    let is_message = |kind: Kind| {
        matches!(kind, Kind::InMsg | Kind::OutMsg | Kind::InMsgs { .. } | Kind::OutMsgs { .. })
    };
    let net = groups.has(Groups::NET) || spec.replay == Replay::Skip(Class::Network);
    match spec.effect {
        Effect::Close { .. } | Effect::CloseRange => return IoClass::Close,
        Effect::Seek => return IoClass::Seek,
        Effect::Sync | Effect::SyncMapping => return IoClass::Sync,
        Effect::Chdir | Effect::Fchdir => return IoClass::Dir,
        Effect::Truncate | Effect::Allocate => return IoClass::Change,
        Effect::Clone { .. } => return IoClass::Write,
        Effect::Fork | Effect::Exec | Effect::Exit | Effect::ExitGroup | Effect::Umask => {
            return IoClass::Process;
        }
        _ => {}
    }
    if spec.copies.is_some() || matches!(spec.unrecorded, UnrecordedEffect::Transfer { .. }) {
        return IoClass::Write;
    }
    if net {
        // What moves a message, or returns when a peer has come.
        let moves = spec.uses.moves_data || spec.args.iter().any(|arg| is_message(arg.kind));
        let accepts = spec.ret == Ret::Fd && spec.uses.fd.is_some();
        return if moves || accepts { IoClass::Wait } else { IoClass::Net };
    }
    match spec.replay {
        Replay::Skip(Class::Memory) => return IoClass::Map,
        Replay::Skip(Class::Process | Class::Signal | Class::Credentials) => {
            return IoClass::Process;
        }
        // Through pipes.
        Replay::Skip(Class::Ipc) if spec.ret == Ret::Bytes => return IoClass::Wait,
        Replay::Skip(Class::Wait) if !groups.has(Groups::CLOCK) => return IoClass::Wait,
        Replay::Skip(Class::Wait | Class::Ipc | Class::Async | Class::Mounts | Class::Watch) => {
            return IoClass::Other;
        }
        _ => {}
    }
    if groups.has(Groups::SYSTEM) {
        return IoClass::Other;
    }
    if spec.uses.moves_data {
        return if spec.uses.writes_data { IoClass::Write } else { IoClass::Read };
    }
    if role(|r| matches!(r, Role::Open(_))) {
        return IoClass::Open;
    }
    if role(|r| r != Role::Lookup) {
        return IoClass::Name;
    }
    if spec.uses.lists_directory {
        return IoClass::Dir;
    }
    if spec.changes {
        return IoClass::Change;
    }
    if groups.has(Groups::STAT.or(Groups::XATTR)) || role(|_| true) {
        return IoClass::Stat;
    }
    IoClass::Other
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn class(name: &str) -> IoClass {
        let row = crate::by_name(name).expect("a call of the table");
        row.io_class(&row.spec)
    }

    #[test]
    fn every_row_has_its_class() {
        let mut classes: BTreeMap<IoClass, Vec<&str>> = BTreeMap::new();
        for row in crate::rows() {
            classes.entry(row.io_class(&row.spec)).or_default().push(row.name());
            for (_, spec) in row.variants {
                let class = row.io_class(spec);
                if class != row.io_class(&row.spec) {
                    classes.entry(class).or_default().push(spec.name);
                }
            }
        }
        let lines: Vec<String> = classes
            .iter()
            .map(|(class, names)| format!("{}: {}", class.name(), names.join(" ")))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_waits_for_a_peer() {
        let read = class("read");
        assert_eq!(read.on_file(Some(0o100_644), Some("/a")), IoClass::Read);
        assert_eq!(read.on_file(Some(0o010_600), Some("/fifo")), IoClass::Wait);
        assert_eq!(read.on_file(Some(0o140_777), None), IoClass::Wait);
        assert_eq!(read.on_file(Some(0o600), Some("anon_inode:[eventfd]")), IoClass::Wait);
        assert_eq!(read.on_file(Some(0o020_620), Some("/dev/pts/3")), IoClass::Wait);
        assert_eq!(read.on_file(Some(0o020_666), Some("/dev/zero")), IoClass::Read);
        assert_eq!(read.on_file(None, Some("pipe:[12]")), IoClass::Wait);
        assert_eq!(read.on_file(None, Some("/pipe:[12]")), IoClass::Read);
        assert_eq!(read.on_file(None, None), IoClass::Read);
        assert_eq!(class("fstat").on_file(Some(0o010_600), None), IoClass::Stat);
    }

    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<&str> =
            IoClass::ALL.iter().map(|class| class.name()).collect();
        assert_eq!(names.len(), IoClass::ALL.len());
    }
}
