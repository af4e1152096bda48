//! Starting the command that is to be recorded.
//!
//! The child waits on a pipe until the engine observes it, so that nothing it does as the command
//! is missed. It inherits the recorder's descriptors that are not close-on-exec, its terminal, and
//! the signal mask and dispositions that the recorder was started with, as if the shell had started
//! it.

use super::{inherited, seccomp};
use crate::{Command, Error, Options};
use linux_raw_sys::general::{CLONE_INTO_CGROUP, clone_args};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A child process that waits before it executes the command.
pub(crate) struct Child {
    pub pid: i32,
    /// Whether it began in the cgroup that was asked for.
    pub in_cgroup: bool,
    /// The pipe that it waits on.
    start_pipe: Option<OwnedFd>,
    /// The pipe on which it reports why the command could not be executed. Execution closes its
    /// other end.
    error_pipe: File,
}

impl Child {
    /// Has the child execute the command.
    pub fn start(&mut self) {
        if let Some(start) = self.start_pipe.take() {
            let _ended = rustix::io::write(&start, b"!");
        }
    }
    /// Waits until the child has executed the command or has failed to. Returns the error if it
    /// failed.
    pub fn wait_for_exec(&mut self, command: &Command) -> Option<Error> {
        let mut byte = [0];
        // End of file: the command has been executed.
        matches!(self.error_pipe.read(&mut byte), Ok(1))
            .then(|| self.read_error_from(command, &byte))
    }
    /// Returns the error for a child that has not executed the command. Waits for the child's
    /// report.
    pub fn read_error(&mut self, command: &Command) -> Error {
        self.read_error_from(command, &[])
    }
    /// Reads the rest of the child's report, whose first bytes are `first`, and returns the error
    /// that it describes.
    fn read_error_from(&mut self, command: &Command, first: &[u8]) -> Error {
        let mut bytes = [0; 8];
        bytes[..first.len()].copy_from_slice(first);
        let (failed_step, errno) = match self.error_pipe.read_exact(&mut bytes[first.len()..]) {
            Ok(()) => {
                let [a, b, c, d, e, f, g, h] = bytes;
                (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
            }
            Err(_) => (FAILED_EXEC, libc::ECHILD),
        };
        let source = io::Error::from_raw_os_error(errno);
        match failed_step {
            FAILED_CREDENTIALS => Error::Refused { doing: "change to the command's user", source },
            FAILED_FILTER => Error::Refused { doing: "install a seccomp filter", source },
            _ if errno == libc::ENOENT => Error::NotFound(command.program.display().to_string()),
            _ => Error::NotExecutable { program: command.program.clone(), source },
        }
    }
}

/// The step that failed in the child: the execution of the command.
const FAILED_EXEC: i32 = 0;
/// The step that failed in the child: the change to another user.
const FAILED_CREDENTIALS: i32 = 1;
/// The step that failed in the child: the installation of the seccomp filter.
const FAILED_FILTER: i32 = 2;

/// Creates a pipe whose ends are close-on-exec. Returns the end to read and the end to write.
fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::refused("create a pipe")(e.into()))
}

/// Returns the text with a terminating NUL. Fails if it contains one.
fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes())
        .map_err(|e| Error::refused("pass a NUL byte in an argument")(e.into()))
}

/// Returns the addresses of the strings, followed by NULL, as execve(2) takes them.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Forks the child, which waits until [`Child::start`] is called. It begins in this cgroup if the
/// kernel can do that (moving it there later takes some milliseconds). Fails if no process can be
/// made or an argument contains a NUL.
pub(crate) fn fork(
    command: &Command,
    options: &Options,
    cgroup: Option<&File>,
) -> Result<Child, Error> {
    let program = c_string(command.program.as_os_str())?;
    let argv = command.argv.iter().map(|a| c_string(a)).collect::<Result<Vec<_>, _>>()?;
    let environment = match &command.environment {
        Some(e) => e.clone(),
        None => std::env::vars_os().collect(),
    };
    let environment = environment
        .iter()
        .map(|(k, v)| c_string(&[k.as_os_str(), v.as_os_str()].join(OsStr::new("="))))
        .collect::<Result<Vec<_>, _>>()?;
    let (argv, environment) = (pointers(&argv), pointers(&environment));
    let filter = if options.seccomp { seccomp::build_filter(&options.calls) } else { Vec::new() };
    let (start_reader, start_writer) = pipe()?;
    let (error_reader, error_writer) = pipe()?;
    // SAFETY: the child does nothing but system calls on memory that was made ready above, as it
    // must after a fork of a process with threads.
    let (pid, in_cgroup) = unsafe {
        match cgroup.map_or(-1, |cgroup| fork_into_cgroup(cgroup)) {
            pid @ 0.. => (pid, true),
            _ => (libc::fork(), false),
        }
    };
    if pid < 0 {
        return Err(Error::refused("start a process")(io::Error::last_os_error()));
    }
    if pid == 0 {
        // SAFETY: see above; pointers are to NUL-terminated strings and arrays that end in NULL.
        unsafe {
            let mut byte = 0u8;
            libc::close(start_writer.as_raw_fd());
            if libc::read(start_reader.as_raw_fd(), (&raw mut byte).cast(), 1) != 1 {
                libc::_exit(127);
            }
            inherited::restore_inherited();
            let failed_step = become_command(command, &filter, &program, &argv, &environment);
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&failed_step.to_le_bytes());
            bytes[4..].copy_from_slice(&errno.to_le_bytes());
            libc::write(error_writer.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127);
        }
    }
    Ok(Child {
        pid,
        in_cgroup,
        start_pipe: Some(start_writer),
        error_pipe: File::from(error_reader),
    })
}

/// Forks like fork(2), with the child in a cgroup (Linux 5.7 and later). Returns a number below 0
/// if that fails.
///
/// # Safety
///
/// The child must make nothing but system calls, since the C library does not know about it.
unsafe fn fork_into_cgroup(cgroup: &File) -> i32 {
    let args = clone_args {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        // SAFETY: zeros say that nothing else is asked for.
        ..unsafe { std::mem::zeroed() }
    };
    // SAFETY: a whole structure of the given size; memory is not shared with the child.
    unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<clone_args>()) as i32 }
}

/// Installs the seccomp filter, changes the user, and executes the command, in the calling process.
/// Returns only if a step failed: which one (`FAILED_*`), with errno set.
///
/// # Safety
///
/// Runs between fork and exec. `argv` and `environment` are NULL-terminated arrays of strings.
unsafe fn become_command(
    command: &Command,
    filter: &[libc::sock_filter],
    program: &CString,
    argv: &[*const i8],
    environment: &[*const i8],
) -> i32 {
    // The filter is installed before the user is changed, since root need not set no_new_privs for
    // it.
    if !filter.is_empty() && seccomp::install(filter).is_err() {
        return FAILED_FILTER;
    }
    if let Some(user) = &command.credentials {
        // SAFETY: takes numbers, and an array with its length. These are raw calls, since the C
        // library would wait for threads that the child does not have.
        let changed = unsafe {
            libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()) == 0
                && libc::syscall(libc::SYS_setresgid, user.gid, user.gid, user.gid) == 0
                && libc::syscall(libc::SYS_setresuid, user.uid, user.uid, user.uid) == 0
        };
        if !changed {
            return FAILED_CREDENTIALS;
        }
    }
    // SAFETY: as the caller promises.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    FAILED_EXEC
}
