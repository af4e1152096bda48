//! Links of procfs that lead to what is open (proc_pid_fd(5)): the descriptors, the working
//! directory and the root directory of a process. They lead to the file, not to its name.

use crate::Processes;
use crate::paths::join;
use crate::state::file::{Descriptor, Directory, OpenFile};
use std::sync::Arc;
use trace::call::Call;

/// Links followed in one path (`MAXSYMLINKS`).
const LINKS: usize = 40;

/// What such a link leads to.
#[derive(Debug)]
pub enum LinkTarget<T> {
    /// An open file.
    File(Arc<Descriptor<T>>),
    /// A working directory, or the root directory of a process that has one of its own.
    Directory(Arc<Directory<T>>),
    /// A name: what the link leads to is found by the path in [`crate::Operands::paths`].
    Name,
    /// A file that the kernel makes up.
    Virtual,
    /// A file on a file system that the program mounted.
    Elsewhere,
}

/// A path that leads through such a link.
#[derive(Debug)]
pub struct LinkRoute<T> {
    /// What the link leads to.
    pub to: LinkTarget<T>,
    /// The path behind the link: empty, or it begins with a slash.
    pub rest: Box<[u8]>,
}

impl<T> LinkRoute<T> {
    /// Returns the descriptor that the path leads through, if the link leads to an open file.
    pub fn descriptor(&self) -> Option<&Arc<Descriptor<T>>> {
        if let LinkTarget::File(descriptor) = &self.to { Some(descriptor) } else { None }
    }
}

/// A link, by the thread or process whose it is.
enum Link {
    Descriptor(u32, i32),
    WorkingDirectory(u32),
    Root(u32),
}

/// The path to what a link leads to, and what that is.
type Led<T> = (Box<[u8]>, Option<LinkTarget<T>>);

impl<T: Default> Processes<T> {
    /// Follows the links of procfs on `path`, which is absolute; `root` is the root directory that
    /// it was joined to. Returns the path that it leads to, and the last link on the way.
    pub(crate) fn follow_procfs_links(
        &self,
        call: &Call,
        root: Option<&[u8]>,
        path: Box<[u8]>,
        follow: bool,
    ) -> (Box<[u8]>, Option<LinkRoute<T>>) {
        let (mut path, mut way) = (path, None);
        for _ in 0..LINKS {
            if let Some(next) = self.follow_links(&path, follow) {
                if first_link(&next, call).is_none() {
                    // The path stays as it is written.
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
            way = to.map(|to| LinkRoute { to, rest });
            path = next;
        }
        (path, way)
    }

    /// Returns the path that a link leads to, with `rest` appended, and what is there.
    fn follow_link(&self, call: &Call, link: &Link, rest: &[u8]) -> Option<Led<T>> {
        let under = |directory: &[u8]| {
            if rest.is_empty() { directory.into() } else { [directory, rest].concat().into() }
        };
        match *link {
            Link::Descriptor(task, number) => {
                let table = self.find_task(task)?.table;
                let descriptor = self.find_descriptor(table, call, number)?;
                // Behind a directory other file systems may be mounted.
                let path = match rest {
                    b"" => descriptor.file.path.clone(),
                    _ => under(&self.path_seen_by(call.tid, &descriptor.file)),
                };
                if has_name(&descriptor.file) {
                    let fifo = !descriptor.file.is_stored();
                    Some((
                        path,
                        Some(if fifo { LinkTarget::Name } else { LinkTarget::File(descriptor) }),
                    ))
                } else {
                    let leads = !rest.is_empty() && descriptor.file.path.first() == Some(&b'/');
                    leads.then_some((path, None))
                }
            }
            Link::WorkingDirectory(task) => {
                let cwd = &self.groups.get(&self.find_task(task)?.fs)?.cwd;
                Some((under(&cwd.view), Some(LinkTarget::Directory(cwd.clone()))))
            }
            Link::Root(task) => Some(match &self.groups.get(&self.find_task(task)?.fs)?.root {
                Some(root) => (under(&root.view), Some(LinkTarget::Directory(root.clone()))),
                None => (
                    join(None, b"/", if rest.is_empty() { b"/" } else { rest }),
                    Some(LinkTarget::Name),
                ),
            }),
        }
    }

    /// Returns the thread with this number, or a thread of the process with this number.
    fn find_task(&self, number: u32) -> Option<&crate::Thread> {
        let other = || self.threads.get(&self.threads.of_process(number).next()?);
        self.threads.get(&number).or_else(other)
    }

    /// Returns the descriptor `fd` of the process or thread `task`.
    pub(crate) fn descriptor_of(&self, task: u32, fd: i32) -> Option<&Arc<Descriptor<T>>> {
        self.tables.get(&self.find_task(task)?.table)?.get(fd)
    }
}

/// Returns whether the open file is in a directory that replay creates: a stored file, or a FIFO
/// (which `O_PATH` opens without connecting to it).
fn has_name(file: &OpenFile) -> bool {
    file.is_stored() || (file.file_type() == 0o010_000 && file.path.first() == Some(&b'/'))
}

/// Returns whether a path leads through such a link, or through another one of a process (`exe`,
/// `map_files`).
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

/// Where a walk below `/` is.
enum At {
    Top,
    Devices,
    Processes,
    Process(u32),
    Tasks(u32),
    Descriptors(u32),
}

/// Returns the first link of procfs on a path, and the offset of the rest of the path.
fn first_link(path: &[u8], call: &Call) -> Option<(Link, usize)> {
    let mut at = At::Top;
    let mut end = 0;
    for part in path.split(|b| *b == b'/') {
        end += part.len() + 1;
        let number = || std::str::from_utf8(part).ok()?.parse().ok();
        let found = |link| Some((link, end - 1));
        let device = |fd| found(Link::Descriptor(call.pid, fd));
        at = match (at, part) {
            (at, b"" | b".") => at,
            (At::Top | At::Devices | At::Processes, b"..") => At::Top,
            (At::Process(_), b"..") => At::Processes,
            (At::Tasks(of) | At::Descriptors(of), b"..") => At::Process(of),
            (At::Top, b"proc") => At::Processes,
            (At::Top, b"dev") => At::Devices,
            (At::Top, _) => return None,
            (At::Devices, b"fd") => At::Descriptors(call.pid),
            (At::Devices, b"stdin") => return device(0),
            (At::Devices, b"stdout") => return device(1),
            (At::Devices, b"stderr") => return device(2),
            (At::Devices, _) => return None,
            (At::Processes, b"self") => At::Process(call.pid),
            (At::Processes, b"thread-self") => At::Process(call.tid),
            (At::Processes, _) => At::Process(number()?),
            (At::Process(of), b"task") => At::Tasks(of),
            (At::Process(of), b"fd") => At::Descriptors(of),
            (At::Process(of), b"cwd") => return found(Link::WorkingDirectory(of)),
            (At::Process(of), b"root") => return found(Link::Root(of)),
            (At::Process(_), _) => return None,
            (At::Tasks(_), _) => At::Process(number()?),
            (At::Descriptors(of), _) => {
                let fd = i32::try_from(number()?).ok()?;
                return found(Link::Descriptor(of, fd));
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
                Link::Descriptor(task, fd) => format!("fd {fd} of {task}"),
                Link::WorkingDirectory(task) => format!("cwd of {task}"),
                Link::Root(task) => format!("root of {task}"),
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
