//! Starts the command under watch.
//!
//! The child waits on a pipe until it is seized, so that its very first step as the command is
//! seen. It inherits our descriptors that are not close-on-exec, our terminal, and the signal mask
//! and dispositions that we were started with, as if the shell had started it.

use super::{inherited, seccomp};
use crate::{Command, Error, Options};
use linux_raw_sys::general::{CLONE_INTO_CGROUP, clone_args};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A child that waits to be told to go.
pub(crate) struct Child {
    pub pid: i32,
    /// It began in the cgroup that was asked for.
    pub is_placed: bool,
    go: Option<OwnedFd>,
    /// What went wrong in it, if it does not become the command.
    trouble: File,
}

impl Child {
    /// Lets it become the command.
    pub fn go(&mut self) {
        if let Some(go) = self.go.take() {
            let _ended = rustix::io::write(&go, b"!");
        }
    }
    /// Why it did not become the command, if it did not. Waits until that is known.
    pub fn failed(&mut self, command: &Command) -> Option<Error> {
        let mut byte = [0];
        // Its end closes when it becomes the command.
        matches!(self.trouble.read(&mut byte), Ok(1)).then(|| self.trouble_from(command, &byte))
    }
    /// Why it did not become the command.
    pub fn trouble(&mut self, command: &Command) -> Error {
        self.trouble_from(command, &[])
    }
    fn trouble_from(&mut self, command: &Command, begun: &[u8]) -> Error {
        let mut bytes = [0; 8];
        bytes[..begun.len()].copy_from_slice(begun);
        let (doing, number) = match self.trouble.read_exact(&mut bytes[begun.len()..]) {
            Ok(()) => {
                let [a, b, c, d, e, f, g, h] = bytes;
                (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
            }
            Err(_) => (EXEC, libc::ECHILD),
        };
        let source = io::Error::from_raw_os_error(number);
        match doing {
            CREDENTIALS => Error::Refused { doing: "change to the command's user", source },
            FILTER => Error::Refused { doing: "install a seccomp filter", source },
            _ if number == libc::ENOENT => Error::NotFound(command.program.display().to_string()),
            _ => Error::NotExecutable { program: command.program.clone(), source },
        }
    }
}

const EXEC: i32 = 0;
const CREDENTIALS: i32 = 1;
const FILTER: i32 = 2;

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::refused("create a pipe")(e.into()))
}

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes())
        .map_err(|e| Error::refused("pass a NUL byte in an argument")(e.into()))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Forks the child: in this cgroup, if the kernel can. To move it there later takes the kernel some
/// milliseconds.
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
    let filter = if options.seccomp { seccomp::program(&options.calls) } else { Vec::new() };
    let (wait_go, go) = pipe()?;
    let (trouble, tell) = pipe()?;
    // SAFETY: the child does nothing but system calls on memory that was made ready above, as it
    // must after a fork of a process with threads.
    let (pid, is_placed) = unsafe {
        match cgroup.map_or(-1, |cgroup| fork_into(cgroup)) {
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
            libc::close(go.as_raw_fd());
            if libc::read(wait_go.as_raw_fd(), (&raw mut byte).cast(), 1) != 1 {
                libc::_exit(127);
            }
            inherited::restore();
            let doing = become_command(command, &filter, &program, &argv, &environment);
            let number = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&doing.to_le_bytes());
            bytes[4..].copy_from_slice(&number.to_le_bytes());
            libc::write(tell.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127);
        }
    }
    Ok(Child { pid, is_placed, go: Some(go), trouble: File::from(trouble) })
}

/// As fork(2), into a cgroup (Linux 5.7 and later). Below 0 if it cannot be.
///
/// # Safety
/// The child does nothing but system calls: the C library does not know of it.
unsafe fn fork_into(cgroup: &File) -> i32 {
    let args = clone_args {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        // SAFETY: zeros say that nothing else is asked for.
        ..unsafe { std::mem::zeroed() }
    };
    // SAFETY: a whole structure of the size that is told; memory is not shared with the child.
    unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<clone_args>()) as i32 }
}

/// Returns only if something fails: what, with its errno set.
///
/// # Safety
/// Between fork and exec, with NULL-terminated arrays of strings.
unsafe fn become_command(
    c: &Command,
    filter: &[libc::sock_filter],
    program: &CString,
    argv: &[*const i8],
    environment: &[*const i8],
) -> i32 {
    // Before the user is changed: root needs not renounce privileges for it.
    if !filter.is_empty() && seccomp::install(filter).is_err() {
        return FILTER;
    }
    if let Some(who) = &c.credentials {
        // SAFETY: takes numbers, and an array with its length. The raw calls, as the C library
        // would wait for threads that are not there.
        let changed = unsafe {
            libc::syscall(libc::SYS_setgroups, who.groups.len(), who.groups.as_ptr()) == 0
                && libc::syscall(libc::SYS_setresgid, who.gid, who.gid, who.gid) == 0
                && libc::syscall(libc::SYS_setresuid, who.uid, who.uid, who.uid) == 0
        };
        if !changed {
            return CREDENTIALS;
        }
    }
    // SAFETY: as the caller promises.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    EXEC
}
