//! Links of procfs to what a process has open (proc_pid_fd(5)): its descriptors, working directory
//! and root directory. They lead to the file itself, not to its name.

use crate::Processes;
use crate::paths::join;
use crate::state::file::{Descriptor, Directory, OpenFile};
use std::sync::Arc;
use trace::call::Call;

/// The largest number of links that are followed in one path (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// What a link of procfs leads to.
#[derive(Debug)]
pub enum LinkTarget<T> {
    /// An open file.
    File(Arc<Descriptor<T>>),
    /// A working directory, or the root directory of a process that has one of its own.
    Directory(Arc<Directory<T>>),
    /// A file that is found by its name: the path in [`crate::Operands::paths`].
    Name,
    /// A file that the kernel generates.
    Virtual,
    /// A file on a file system that the program mounted.
    Elsewhere,
}

/// Where a path leads that goes through a link of procfs.
#[derive(Debug)]
pub struct LinkRoute<T> {
    /// What the link leads to.
    pub to: LinkTarget<T>,
    /// The rest of the path behind the link: empty, or it begins with a slash.
    pub rest: Box<[u8]>,
}

impl<T> LinkRoute<T> {
    /// Returns the descriptor that the path leads through, if the link leads to an open file.
    pub fn descriptor(&self) -> Option<&Arc<Descriptor<T>>> {
        if let LinkTarget::File(descriptor) = &self.to { Some(descriptor) } else { None }
    }
}

/// A link of procfs, with the id of the thread or process that it belongs to.
enum ProcfsLink {
    /// To this descriptor.
    Descriptor(u32, i32),
    /// To the working directory.
    WorkingDirectory(u32),
    /// To the root directory.
    Root(u32),
}

/// The path of what a link leads to, and what that is; `None`: it has a path, but is nothing that
/// replay can open.
type Led<T> = (Box<[u8]>, Option<LinkTarget<T>>);

impl<T: Default> Processes<T> {
    /// Follows the links of procfs on `path`, which is absolute. `root` is the root directory of
    /// the process, which `path` begins with. `follow` is whether a link in the last component is
    /// followed. Returns the path that results, and the last link on the way; `None`: there was
    /// none.
    pub(crate) fn follow_procfs_links(
        &self,
        call: &Call,
        root: Option<&[u8]>,
        path: Box<[u8]>,
        follow: bool,
    ) -> (Box<[u8]>, Option<LinkRoute<T>>) {
        let (mut path, mut route) = (path, None);
        for _ in 0..MAX_LINKS {
            if let Some(next) = self.follow_virtual_links(&path, follow) {
                if first_link(&next, call).is_none() {
                    // The path is not changed.
                    return (
                        path,
                        Some(LinkRoute { to: LinkTarget::Virtual, rest: Box::default() }),
                    );
                }
                path = next.into();
            }
            let inside = root.map_or(0, |root| if path.starts_with(root) { root.len() } else { 0 });
            let Some((link, end)) = first_link(&path[inside..], call) else { break };
            let rest: Box<[u8]> = path[inside + end..].into();
            if rest.is_empty() && !follow {
                break;
            }
            let Some((next, to)) = self.follow_link(call, &link, &rest) else { break };
            route = to.map(|to| LinkRoute { to, rest });
            path = next;
        }
        (path, route)
    }

    /// Returns the path that a link leads to, with `rest` appended, and what is there. Returns
    /// `None` if that is not known.
    fn follow_link(&self, call: &Call, link: &ProcfsLink, rest: &[u8]) -> Option<Led<T>> {
        let with_rest = |directory: &[u8]| {
            if rest.is_empty() { directory.into() } else { [directory, rest].concat().into() }
        };
        match *link {
            ProcfsLink::Descriptor(task, fd) => {
                let table = self.find_thread(task)?.table_id;
                let descriptor = self.find_descriptor(table, call, fd)?;
                // Below a directory, other file systems may be mounted.
                let path = match rest {
                    b"" => descriptor.file.path.clone(),
                    _ => with_rest(&self.path_seen_by(call.tid, &descriptor.file)),
                };
                if has_stored_name(&descriptor.file) {
                    let is_fifo = !descriptor.file.is_stored();
                    Some((
                        path,
                        Some(if is_fifo { LinkTarget::Name } else { LinkTarget::File(descriptor) }),
                    ))
                } else {
                    let is_below_directory =
                        !rest.is_empty() && descriptor.file.path.first() == Some(&b'/');
                    is_below_directory.then_some((path, None))
                }
            }
            ProcfsLink::WorkingDirectory(task) => {
                let cwd = &self.fs_structs.get(&self.find_thread(task)?.fs_id)?.cwd;
                Some((with_rest(&cwd.view), Some(LinkTarget::Directory(cwd.clone()))))
            }
            ProcfsLink::Root(task) => {
                Some(match &self.fs_structs.get(&self.find_thread(task)?.fs_id)?.root {
                    Some(root) => {
                        (with_rest(&root.view), Some(LinkTarget::Directory(root.clone())))
                    }
                    None => (
                        join(None, b"/", if rest.is_empty() { b"/" } else { rest }),
                        Some(LinkTarget::Name),
                    ),
                })
            }
        }
    }

    /// Returns the thread with this id, or any thread of the process with this id.
    fn find_thread(&self, id: u32) -> Option<&crate::Thread> {
        let any_of_process = || self.threads.get(&self.threads.of_process(id).next()?);
        self.threads.get(&id).or_else(any_of_process)
    }

    /// Returns the descriptor `fd` of the process or thread with the id `task`.
    pub(crate) fn descriptor_of(&self, task: u32, fd: i32) -> Option<&Arc<Descriptor<T>>> {
        self.tables.get(&self.find_thread(task)?.table_id)?.get(fd)
    }
}

/// Returns whether replay can open the file by its path: it is stored, or is a FIFO with a path
/// (which `O_PATH` opens without connecting to it).
fn has_stored_name(file: &OpenFile) -> bool {
    file.is_stored() || (file.file_type() == 0o010_000 && file.path.first() == Some(&b'/'))
}

/// Returns whether a path leads through a link of procfs: to what a process has open, or to its
/// executable or mapped files (`exe`, `map_files`).
pub(crate) fn has_procfs_link(path: &[u8], call: &Call) -> bool {
    let mut parts = path.split(|b| *b == b'/').filter(|part| !part.is_empty());
    match parts.next() {
        Some(b"proc") => {
            parts.any(|part| matches!(part, b"exe" | b"map_files"))
                || first_link(path, call).is_some()
        }
        Some(b"dev") => first_link(path, call).is_some(),
        _ => false,
    }
}

/// A directory that leads to a link of procfs.
enum Place {
    /// `/`.
    Top,
    /// `/dev`.
    Devices,
    /// `/proc`.
    Processes,
    /// `/proc/ID` of a process or thread.
    Process(u32),
    /// `/proc/ID/task`.
    Tasks(u32),
    /// `/proc/ID/fd`.
    Descriptors(u32),
}

/// Returns the first link of procfs on a path, and the offset of the rest of the path behind it.
fn first_link(path: &[u8], call: &Call) -> Option<(ProcfsLink, usize)> {
    let mut place = Place::Top;
    let mut end = 0;
    for part in path.split(|b| *b == b'/') {
        end += part.len() + 1;
        let parse_number = || std::str::from_utf8(part).ok()?.parse().ok();
        let found_link = |link| Some((link, end - 1));
        let device = |fd| found_link(ProcfsLink::Descriptor(call.pid, fd));
        place = match (place, part) {
            (place, b"" | b".") => place,
            (Place::Top | Place::Devices | Place::Processes, b"..") => Place::Top,
            (Place::Process(_), b"..") => Place::Processes,
            (Place::Tasks(task) | Place::Descriptors(task), b"..") => Place::Process(task),
            (Place::Top, b"proc") => Place::Processes,
            (Place::Top, b"dev") => Place::Devices,
            (Place::Top, _) => return None,
            (Place::Devices, b"fd") => Place::Descriptors(call.pid),
            (Place::Devices, b"stdin") => return device(0),
            (Place::Devices, b"stdout") => return device(1),
            (Place::Devices, b"stderr") => return device(2),
            (Place::Devices, _) => return None,
            (Place::Processes, b"self") => Place::Process(call.pid),
            (Place::Processes, b"thread-self") => Place::Process(call.tid),
            (Place::Processes, _) => Place::Process(parse_number()?),
            (Place::Process(task), b"task") => Place::Tasks(task),
            (Place::Process(task), b"fd") => Place::Descriptors(task),
            (Place::Process(task), b"cwd") => {
                return found_link(ProcfsLink::WorkingDirectory(task));
            }
            (Place::Process(task), b"root") => return found_link(ProcfsLink::Root(task)),
            (Place::Process(_), _) => return None,
            (Place::Tasks(_), _) => Place::Process(parse_number()?),
            (Place::Descriptors(task), _) => {
                let fd = i32::try_from(parse_number()?).ok()?;
                return found_link(ProcfsLink::Descriptor(task, fd));
            }
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            seq: 0,
            entered: 0,
            exited: None,
            pid: 7,
            tid: 8,
            nr: 0,
            flags: 0,
            args: [0; 6],
            ret: 0,
            fd_snapshot: Default::default(),
            payloads: Vec::new(),
        }
    }

    #[test]
    fn links_are_told_by_their_paths() {
        let found = |path: &str| {
            let (link, end) = first_link(path.as_bytes(), &call())?;
            let link = match link {
                ProcfsLink::Descriptor(task, fd) => format!("fd {fd} of {task}"),
                ProcfsLink::WorkingDirectory(task) => format!("cwd of {task}"),
                ProcfsLink::Root(task) => format!("root of {task}"),
            };
            Some(format!("{link}{}", &path[end..]))
        };
        for (path, link) in [
            ("/proc/self/fd/3", Some("fd 3 of 7")),
            ("/proc/thread-self/fd/3/x", Some("fd 3 of 8/x")),
            ("/proc/12/task/13/fd/4", Some("fd 4 of 13")),
            ("//proc/./self/fd/../fd//5/", Some("fd 5 of 7/")),
            ("/proc/self/../12/cwd/a/b", Some("cwd of 12/a/b")),
            ("/proc/self/task/../root/etc", Some("root of 7/etc")),
            ("/dev/fd/0", Some("fd 0 of 7")),
            ("/dev/stderr", Some("fd 2 of 7")),
            ("/dev/../proc/self/cwd", Some("cwd of 7")),
            ("/proc/self/fd", None),
            ("/proc/self/fd/x", None),
            ("/proc/self/fd/-1", None),
            ("/proc/self/exe", None),
            ("/proc/self/fdinfo/3", None),
            ("/process/self/fd/3", None),
            ("/w/proc/self/fd/3", None),
            ("/dev/null", None),
            ("/", None),
        ] {
            assert_eq!(found(path).as_deref(), link, "{path}");
        }
        assert!(
            has_procfs_link(b"/proc/9/exe", &call())
                && has_procfs_link(b"/proc/9/map_files/1-2", &call())
        );
        assert!(!has_procfs_link(b"/proc/9/maps", &call()) && !has_procfs_link(b"/w/exe", &call()));
    }
}
