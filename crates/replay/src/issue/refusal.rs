//! Calls that failed in the recording: who refused them.
//!
//! Some errors follow from the files, the descriptors and the arguments alone. Such calls are
//! performed, and must fail alike. Others come from outside: a seccomp filter, Landlock, dropped
//! capabilities, attributes of inodes, limits, memory. Replay has none of that, so such calls
//! could succeed here. They are performed by no one, and their errors are taken as recorded.
//! Where an error can be either, replay looks first and performs the call only if it changes
//! nothing, whatever comes of it. The invariant: a call that was refused from outside changes
//! nothing here.

use super::call::{Handled, Outcome};
use super::thread::Thread;
use super::{Arguments, raw};
use abi::{AT_FDCWD, Effect, Follow, Kind, OpenFlags, Ret, Role, Shape};
use trace::Call;

/// Why such a call is performed by no one.
pub(crate) const OUTSIDE: &str = "refused from outside the file system";

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const O_ACCMODE: u32 = 3;
const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const O_TRUNC: u32 = 0o1000;
const O_DIRECT: u32 = 0o40000;
const AT_REMOVEDIR: u64 = 0x200;
const W_OK: usize = 2;
const X_OK: usize = 1;

/// Who decided on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The files, descriptors and arguments.
    Files,
    /// Something that is not here; why the call is performed by no one.
    Outside(&'static str),
    /// Either of the two.
    Either,
}

/// Who can have decided that a call fails with `errno`.
pub(crate) fn by(shape: &Shape, errno: i32) -> By {
    let flags = matches!(shape.effect, Effect::SetStatusFlags | Effect::SetNonblocking);
    match errno {
        // EINTR and the restart codes.
        4 | 512..=516 => By::Outside("interrupted"),
        // EIO, ENOMEM, ENFILE, EMFILE, ENOSPC, EMLINK, ENOLCK, EDQUOT
        5 | 12 | 23 | 24 | 28 | 31 | 37 | 122 => By::Outside("limit of the recorded machine"),
        // EXDEV, ETXTBSY, EROFS, ENOSYS, EOPNOTSUPP
        18 | 26 | 30 | 38 | 95 => By::Outside("refused by the recorded file system"),
        // A lease, or pages that were not in memory.
        EAGAIN if shape.uses.moves || shape.uses.paths != 0 => By::Outside(OUTSIDE),
        EPERM | EACCES | EFAULT => By::Either,
        // The alignment of direct I/O, which differs from disk to disk.
        EINVAL if shape.uses.moves || shape.copies.is_some() || flags => By::Either,
        // EBUSY, EINVAL, ENOTTY
        16 | EINVAL | 25 if shape.changes => By::Either,
        // ENOENT, ENXIO, E2BIG, EBADF, EAGAIN, EBUSY, EEXIST, ENOTDIR, EISDIR, EINVAL, ENOTTY
        ENOENT | 6 | 7 | 9 | EAGAIN | 16 | 17 | 20 | 21 | EINVAL | 25 => By::Files,
        // ESPIPE, ERANGE, EDEADLK, ENAMETOOLONG, ENOTEMPTY, ELOOP, ENODATA, EOVERFLOW, EADDRINUSE
        29 | 34 | 35 | 36 | 39 | 40 | 61 | 75 | 98 => By::Files,
        _ => By::Outside(OUTSIDE),
    }
}

/// Whether it must be looked at before it is performed.
pub(crate) fn is_unclear(call: &Call, shape: &Shape) -> bool {
    call.errno().is_some_and(|errno| by(shape, errno) == By::Either)
}

/// Looks whether a call whose error can have come from outside would change anything here. What
/// came of it, if it is not to be performed.
#[cold]
pub(crate) fn look(thread: &mut Thread, issue: &Handled) -> Option<Outcome> {
    let arguments = match issue.translate(&mut thread.scratch) {
        Ok(arguments) => arguments,
        Err(why) => return Some(Err(why)),
    };
    let may_change = match issue.call.errno() {
        Some(EFAULT) if arguments.faults() => false,
        Some(EFAULT) => true,
        _ if arguments.is_elsewhere() => issue.shape.changes || issue.shape.ret == Ret::Fd,
        _ if issue.shape.uses.paths != 0 => names_may_change(thread, issue, &arguments),
        _ => descriptor_may_change(issue),
    };
    thread.scratch.clear();
    may_change.then_some(Err(OUTSIDE))
}

/// The same of a call that takes a descriptor and no name.
fn descriptor_may_change(issue: &Handled) -> bool {
    let (shape, bound) = (issue.shape, &issue.bound);
    let moves = shape.uses.moves || shape.uses.lists || shape.copies.is_some();
    let sets = matches!(
        shape.effect,
        Effect::Seek | Effect::SetStatusFlags | Effect::SetNonblocking | Effect::Bind
    );
    // Nothing is written through a descriptor that is open for reading only.
    let resizes = matches!(shape.effect, Effect::Truncate | Effect::Allocate);
    let reads_only = shape.uses.fd.is_some_and(|fd| bound.status[usize::from(fd)] & O_ACCMODE == 0);
    if reads_only && shape.copies.is_none() && (shape.uses.writes || resizes) {
        return false;
    }
    shape.changes || moves || sets
}

/// The same of a call that names files: it fails as well if one of its names cannot be what the
/// call needs.
fn names_may_change(thread: &Thread, issue: &Handled, arguments: &Arguments) -> bool {
    let (call, shape) = (&issue.call, issue.shape);
    for (i, arg) in shape.args.iter().enumerate() {
        let Some(way) = arg.kind.path() else { continue };
        let room = arguments.rooms(i).first().filter(|_| matches!(arg.kind, Kind::Path(_)));
        let name = match (room, call.path(i as u8)) {
            (Some(room), _) => thread.scratch.bytes(*room),
            // A socket's address; or a file without a name, reached through its descriptor.
            (None, Some(name)) => name,
            (None, None) => continue,
        };
        let directory = way.dir.map_or(AT_FDCWD, |dir| arguments.fd(usize::from(dir)));
        let at = At { directory, name: c_string(name) };
        let fails = match way.role {
            Role::Open(flags) => return open_may_change(call, flags, way.follow, &at),
            Role::Lookup => at.mode(follows(way.follow, call)).is_err(),
            Role::Create => match at.mode(false) {
                Err(ENOENT) => !at.may_name(),
                _ => true,
            },
            Role::Remove | Role::RemoveDirectory => {
                let directory = way.role == Role::RemoveDirectory || removes_directory(call, shape);
                let right = |mode| (mode & S_IFMT == S_IFDIR) == directory;
                at.is_dots() || !at.mode(false).is_ok_and(right) || !at.may_name()
            }
            Role::Source => at.is_dots() || at.mode(false).is_err() || !at.may_name(),
            Role::Target => at.is_dots() || !at.may_name(),
        };
        if fails {
            return false;
        }
    }
    shape.changes
}

fn open_may_change(call: &Call, flags: OpenFlags, follow: Follow, at: &At) -> bool {
    let flags = call.open_flags(flags);
    match at.mode(follows(follow, call)) {
        // To open a FIFO may take for ever.
        Ok(mode) if !matches!(mode & S_IFMT, S_IFREG | S_IFDIR) => true,
        Ok(_) if flags & O_TRUNC == 0 || flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL => false,
        Ok(_) => at.allows(W_OK),
        // A file system without direct I/O makes the file before it refuses to open it.
        Err(ENOENT) if call.errno() == Some(EINVAL) && flags & O_DIRECT != 0 => false,
        Err(ENOENT) => flags & O_CREAT != 0 && at.may_name(),
        Err(_) => false,
    }
}

/// Whether a link in the last component is followed.
fn follows(follow: Follow, call: &Call) -> bool {
    match follow {
        Follow::Always => true,
        Follow::Never => false,
        Follow::Unless { arg, bit } => call.args[usize::from(arg)] & bit == 0,
        Follow::If { arg, bit } => call.args[usize::from(arg)] & bit != 0,
    }
}

fn removes_directory(call: &Call, shape: &Shape) -> bool {
    let flags = shape.args.iter().position(|a| matches!(a.kind, Kind::Flags(_)));
    flags.is_some_and(|i| call.args[i] & AT_REMOVEDIR != 0)
}

/// A name as it is passed to the kernel.
struct At {
    directory: i32,
    /// It ends in a NUL.
    name: Vec<u8>,
}

impl At {
    /// The type and permissions of what it names, or the error.
    fn mode(&self, follow: bool) -> Result<u32, i32> {
        raw::look(self.directory, &self.name, follow).map(|found| found.mode)
    }
    /// Whether the thread may access it so.
    fn allows(&self, mode: usize) -> bool {
        raw::access(self.directory, &self.name, mode) == 0
    }
    /// Whether the thread may make, remove or move this name in its directory.
    fn may_name(&self) -> bool {
        At { directory: self.directory, name: parent(&self.name) }.allows(W_OK | X_OK)
    }
    /// Whether it ends in `.` or `..`, which no call removes or moves.
    fn is_dots(&self) -> bool {
        let path = trimmed(&self.name);
        let last = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        matches!(last, b"." | b"..")
    }
}

fn c_string(name: &[u8]) -> Vec<u8> {
    let mut name = name.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    name.push(0);
    name
}

/// Without the NUL and slashes at its end.
fn trimmed(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|b| !matches!(b, 0 | b'/')).map_or(0, |last| last + 1);
    &name[..end]
}

/// The directory that holds the last component, as a C string.
fn parent(name: &[u8]) -> Vec<u8> {
    let path = trimmed(name);
    match path.iter().rposition(|b| *b == b'/') {
        Some(0) => c_string(b"/"),
        Some(at) => c_string(&path[..at]),
        None if path.is_empty() && name.first() == Some(&b'/') => c_string(b"/"),
        None => c_string(b"."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, errno: i32) -> By {
        by(&abi::by_name(name).expect("a row").shape, errno)
    }

    #[test]
    fn errors_have_deciders() {
        for errno in [2, 17, 20, 21, 36, 39, 40] {
            assert_eq!(of("mkdir", errno), By::Files, "{errno}");
        }
        for errno in [1, 13, 14] {
            assert_eq!(of("unlink", errno), By::Either, "{errno}");
        }
        // EFBIG, ESTALE, ENOKEY: of limits, networks and keys.
        for errno in [27, 116, 126] {
            assert_eq!(of("write", errno), By::Outside(OUTSIDE), "{errno}");
        }
        assert_eq!((of("lseek", 22), of("fallocate", 22)), (By::Files, By::Either));
        assert_eq!((of("flock", 11), of("openat", 11)), (By::Files, By::Outside(OUTSIDE)));
    }

    #[test]
    fn names_have_directories() {
        for (name, above) in
            [("a", "."), ("a/b", "a"), ("/a", "/"), ("a/b//", "a"), ("/", "/"), ("", ".")]
        {
            assert_eq!(parent(&c_string(name.as_bytes())), c_string(above.as_bytes()), "{name}");
        }
        let dots = |name: &[u8]| At { directory: AT_FDCWD, name: c_string(name) }.is_dots();
        assert!(dots(b"a/..") && dots(b"./") && !dots(b"a.") && !dots(b"../a"));
    }
}
