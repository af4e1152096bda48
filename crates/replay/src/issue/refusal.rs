//! Calls that failed in the recording: whether their error came from the files or from elsewhere.
//!
//! Some errors follow from the files, the descriptors and the arguments alone. Such calls are
//! performed, and must fail alike. Others come from outside: a seccomp filter, Landlock, dropped
//! capabilities, attributes of inodes, limits, memory. Replay has none of that, so such calls could
//! succeed here. They are not performed, and their errors are taken as recorded. Where an error can
//! be either, replay looks first and performs the call only if it changes nothing, whatever comes
//! of it. The invariant: a call that was refused from outside changes nothing here.

use super::handled::{HandledCall, Outcome};
use super::thread::ExecutorThread;
use super::{Arguments, raw};
use abi::{AT_FDCWD, CallSpec, Effect, Kind, OpenFlags, PathUse, Ret, Role};
use linux_raw_sys::general::{
    AT_REMOVEDIR, O_ACCMODE, O_CREAT, O_DIRECT, O_EXCL, O_TRUNC, W_OK, X_OK,
};
use model::files::FileType;
use rustix::io::Errno;
use trace::Call;

/// The reason in the report for not performing such a call.
pub(crate) const OUTSIDE: &str = "refused from outside the file system";

/// Returns whether an operation of io_uring that fails with this error may be one that the ring
/// refused or cancelled, which the system call of the same meaning would not do.
pub(crate) fn is_of_ring(errno: i32) -> bool {
    let errno = Errno::from_raw_os_error(errno);
    matches!(errno, Errno::INVAL | Errno::CANCELED | Errno::NOBUFS | Errno::TIME | Errno::ALREADY)
}

/// Where an error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorOrigin {
    /// The files, descriptors and arguments.
    Files,
    /// Something that is not in this replay, with the reason to skip the call.
    Outside(&'static str),
    /// Either of the two.
    Either,
}

/// Returns what can have caused the error of a call that failed with `errno`.
pub(crate) fn error_origin(spec: &CallSpec, errno: i32) -> ErrorOrigin {
    let flags = matches!(spec.effect, Effect::SetStatusFlags | Effect::SetNonblocking);
    match Errno::from_raw_os_error(errno) {
        // With the kernel's own codes of calls that are to be restarted.
        Errno::INTR => ErrorOrigin::Outside("interrupted"),
        _ if abi::print::restart(errno).is_some() => ErrorOrigin::Outside("interrupted"),
        Errno::IO
        | Errno::NOMEM
        | Errno::NFILE
        | Errno::MFILE
        | Errno::NOSPC
        | Errno::MLINK
        | Errno::NOLCK
        | Errno::DQUOT => ErrorOrigin::Outside("limit of the recorded machine"),
        Errno::XDEV | Errno::TXTBSY | Errno::ROFS | Errno::NOSYS | Errno::OPNOTSUPP => {
            ErrorOrigin::Outside("refused by the recorded file system")
        }
        // A lease, or pages that were not in memory.
        Errno::AGAIN if spec.uses.moves_data || spec.uses.path_args != 0 => {
            ErrorOrigin::Outside(OUTSIDE)
        }
        Errno::PERM | Errno::ACCESS | Errno::FAULT => ErrorOrigin::Either,
        // The alignment of direct I/O, which differs from disk to disk.
        Errno::INVAL if spec.uses.moves_data || spec.copies.is_some() || flags => {
            ErrorOrigin::Either
        }
        Errno::BUSY | Errno::INVAL | Errno::NOTTY if spec.changes => ErrorOrigin::Either,
        Errno::NOENT
        | Errno::NXIO
        | Errno::TOOBIG
        | Errno::BADF
        | Errno::AGAIN
        | Errno::BUSY
        | Errno::EXIST
        | Errno::NOTDIR
        | Errno::ISDIR
        | Errno::INVAL
        | Errno::NOTTY
        | Errno::SPIPE
        | Errno::RANGE
        | Errno::DEADLK
        | Errno::NAMETOOLONG
        | Errno::NOTEMPTY
        | Errno::LOOP
        | Errno::NODATA
        | Errno::OVERFLOW
        | Errno::ADDRINUSE => ErrorOrigin::Files,
        _ => ErrorOrigin::Outside(OUTSIDE),
    }
}

/// Returns whether the cause of a call's error can be outside the root, so that the call is checked
/// before it is performed.
pub(crate) fn may_be_outside(call: &Call, spec: &CallSpec) -> bool {
    call.errno().is_some_and(|errno| error_origin(spec, errno) == ErrorOrigin::Either)
}

/// Checks whether a call whose error can have come from outside would change anything here. Returns
/// the outcome if the call is not to be performed.
#[cold]
pub(crate) fn check_outside(thread: &mut ExecutorThread, handled: &HandledCall) -> Option<Outcome> {
    let arguments = match handled.translate(&mut thread.scratch) {
        Ok(arguments) => arguments,
        Err(why) => return Some(Err(why)),
    };
    let may_change = match handled.call.errno().map(Errno::from_raw_os_error) {
        Some(Errno::FAULT) if arguments.faults() => false,
        Some(Errno::FAULT) => true,
        _ if arguments.runs_in_procfs() => handled.spec.changes || handled.spec.ret == Ret::Fd,
        _ if handled.spec.uses.path_args != 0 => names_may_change(thread, handled, &arguments),
        _ => descriptor_may_change(handled),
    };
    thread.scratch.clear();
    may_change.then_some(Err(OUTSIDE))
}

/// Returns whether such a call, which takes a descriptor and no path, may change something here.
fn descriptor_may_change(handled: &HandledCall) -> bool {
    let (spec, operands) = (handled.spec, &handled.operands);
    let moves = spec.uses.moves_data || spec.uses.lists_directory || spec.copies.is_some();
    let sets = matches!(
        spec.effect,
        Effect::Seek | Effect::SetStatusFlags | Effect::SetNonblocking | Effect::Bind
    );
    // Nothing is written through a descriptor that is open for reading only.
    let resizes = matches!(spec.effect, Effect::Truncate | Effect::Allocate);
    let reads_only =
        spec.uses.fd.is_some_and(|fd| operands.status[usize::from(fd)] & O_ACCMODE == 0);
    if reads_only && spec.copies.is_none() && (spec.uses.writes_data || resizes) {
        return false;
    }
    spec.changes || moves || sets
}

/// Returns whether such a call, which takes paths, may change something here. It cannot if one of
/// its paths is not what the call needs.
fn names_may_change(thread: &ExecutorThread, handled: &HandledCall, arguments: &Arguments) -> bool {
    let (call, spec) = (&handled.call, handled.spec);
    for (i, arg) in spec.args.iter().enumerate() {
        let Some(way) = arg.kind.path_use() else { continue };
        let buffer = arguments.buffers(i).first().filter(|_| matches!(arg.kind, Kind::Path(_)));
        let name = match (buffer, call.path(i as u8)) {
            (Some(buffer), _) => thread.scratch.bytes(*buffer),
            // A socket's address; or a file without a name, reached through its descriptor.
            (None, Some(name)) => name,
            (None, None) => continue,
        };
        let directory = way.dir.map_or(AT_FDCWD, |dir| arguments.fd(usize::from(dir)));
        let at = PathAt { directory, name: c_string(name) };
        let fails = match way.role {
            Role::Open(flags) => return open_may_change(call, flags, way, &at),
            Role::Lookup => at.mode(way.follows_symlink(&call.args, None)).is_err(),
            Role::Create => match at.mode(false) {
                Err(Errno::NOENT) => !at.may_change_directory(),
                _ => true,
            },
            Role::Remove | Role::RemoveDirectory => {
                let directory = way.role == Role::RemoveDirectory || removes_directory(call, spec);
                let right = |mode| (FileType::of_mode(mode) == FileType::Directory) == directory;
                at.is_dots() || !at.mode(false).is_ok_and(right) || !at.may_change_directory()
            }
            Role::Source => at.is_dots() || at.mode(false).is_err() || !at.may_change_directory(),
            Role::Target => at.is_dots() || !at.may_change_directory(),
        };
        if fails {
            return false;
        }
    }
    spec.changes
}

/// Returns whether an open may create or truncate the file that its path leads to.
fn open_may_change(call: &Call, flags: OpenFlags, way: PathUse, at: &PathAt) -> bool {
    let flags = call.open_flags(flags);
    let exclusive = O_CREAT | O_EXCL;
    match at.mode(way.follows_symlink(&call.args, Some(flags.into()))) {
        Ok(_) if flags & exclusive == exclusive => false,
        // To open a FIFO may take for ever.
        Ok(mode) if !matches!(FileType::of_mode(mode), FileType::Regular | FileType::Directory) => {
            true
        }
        Ok(_) if flags & O_TRUNC == 0 => false,
        Ok(_) => at.allows(W_OK),
        // A file system without direct I/O makes the file before it refuses to open it.
        Err(Errno::NOENT) if is_invalid(call) && flags & O_DIRECT != 0 => false,
        Err(Errno::NOENT) => flags & O_CREAT != 0 && at.may_change_directory(),
        Err(_) => false,
    }
}

/// Returns whether the call failed with EINVAL.
fn is_invalid(call: &Call) -> bool {
    call.errno() == Some(Errno::INVAL.raw_os_error())
}

/// Returns whether the call removes a directory.
fn removes_directory(call: &Call, spec: &CallSpec) -> bool {
    let flags = spec.args.iter().position(|a| matches!(a.kind, Kind::Flags(_)));
    flags.is_some_and(|i| call.args[i] & u64::from(AT_REMOVEDIR) != 0)
}

/// A name as it is passed to the kernel.
struct PathAt {
    directory: i32,
    /// It ends in a NUL.
    name: Vec<u8>,
}

impl PathAt {
    /// Returns the type and permissions of the file at this path, or the error.
    fn mode(&self, follow: bool) -> Result<u32, Errno> {
        raw::statx(self.directory, &self.name, follow).map(|status| status.mode)
    }
    /// Returns whether the thread may access the file so (`R_OK`, `W_OK`, `X_OK`).
    fn allows(&self, mode: u32) -> bool {
        raw::faccessat(self.directory, &self.name, mode) == 0
    }
    /// Returns whether the thread may create, remove or rename entries in the path's directory.
    fn may_change_directory(&self) -> bool {
        PathAt { directory: self.directory, name: parent(&self.name) }.allows(W_OK | X_OK)
    }
    /// Returns whether the path ends in `.` or `..`, which no call removes or renames.
    fn is_dots(&self) -> bool {
        let path = without_trailing(&self.name);
        let last = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        matches!(last, b"." | b"..")
    }
}

fn c_string(name: &[u8]) -> Vec<u8> {
    let mut name = name.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    name.push(0);
    name
}

/// Returns the path without the NUL and the slashes at its end.
fn without_trailing(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|b| !matches!(b, 0 | b'/')).map_or(0, |last| last + 1);
    &name[..end]
}

/// Returns the path of the directory that holds the last component, as a C string.
fn parent(name: &[u8]) -> Vec<u8> {
    let path = without_trailing(name);
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

    fn of(name: &str, errno: i32) -> ErrorOrigin {
        error_origin(&abi::by_name(name).expect("a row").spec, errno)
    }

    #[test]
    fn errors_have_deciders() {
        for errno in [2, 17, 20, 21, 36, 39, 40] {
            assert_eq!(of("mkdir", errno), ErrorOrigin::Files, "{errno}");
        }
        for errno in [1, 13, 14] {
            assert_eq!(of("unlink", errno), ErrorOrigin::Either, "{errno}");
        }
        // EFBIG, ESTALE, ENOKEY: of limits, networks and keys.
        for errno in [27, 116, 126] {
            assert_eq!(of("write", errno), ErrorOrigin::Outside(OUTSIDE), "{errno}");
        }
        assert_eq!(
            (of("lseek", 22), of("fallocate", 22)),
            (ErrorOrigin::Files, ErrorOrigin::Either)
        );
        assert_eq!(
            (of("flock", 11), of("openat", 11)),
            (ErrorOrigin::Files, ErrorOrigin::Outside(OUTSIDE))
        );
    }

    #[test]
    fn names_have_directories() {
        for (name, above) in
            [("a", "."), ("a/b", "a"), ("/a", "/"), ("a/b//", "a"), ("/", "/"), ("", ".")]
        {
            assert_eq!(parent(&c_string(name.as_bytes())), c_string(above.as_bytes()), "{name}");
        }
        let dots = |name: &[u8]| PathAt { directory: AT_FDCWD, name: c_string(name) }.is_dots();
        assert!(dots(b"a/..") && dots(b"./") && !dots(b"a.") && !dots(b"../a"));
    }
}
