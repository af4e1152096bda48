//! The command to record. Its file is looked up before a trace is created, so that a mistyped name
//! leaves no trace directory behind.

pub(crate) mod inherited;
pub(crate) mod launch;
pub(crate) mod seccomp;

use crate::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A program, its arguments, and the user that it runs as.
#[derive(Clone, Debug)]
pub struct Command {
    /// The file to execute; see [`find_executable`].
    pub program: PathBuf,
    /// All arguments. The first one is the program's name.
    pub argv: Vec<OsString>,
    /// The environment; `None`: that of the recorder.
    pub environment: Option<Vec<(OsString, OsString)>>,
    /// The user that it runs as; `None`: that of the recorder.
    pub credentials: Option<Credentials>,
}

/// User and groups of a process.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// Supplementary group IDs.
    pub groups: Vec<u32>,
}

impl Command {
    /// Makes a command of its arguments, the first of which is looked up in the recorder's `PATH`.
    /// Fails if there is no such program or it cannot be executed.
    pub fn new(typed: &[OsString]) -> Result<Self, Error> {
        let name = typed.first().ok_or_else(|| Error::NotFound(String::new()))?;
        let program = find_executable(name, std::env::var_os("PATH").as_deref())?;
        Ok(Self { program, argv: typed.to_vec(), environment: None, credentials: None })
    }
}

/// Returns the file that execvp(3) would execute for `name`, where `path` is the value of `PATH`
/// (by default `/bin:/usr/bin`). Fails with [`Error::NotFound`], or with [`Error::NotExecutable`]
/// if only files that cannot be executed were found.
pub fn find_executable(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Error> {
    if name.as_bytes().contains(&b'/') {
        return check_executable(Path::new(name)).map(|()| PathBuf::from(name));
    }
    if name.is_empty() {
        return Err(Error::NotFound(String::new()));
    }
    let mut refused = None;
    let default = OsStr::new("/bin:/usr/bin");
    for directory in path.unwrap_or(default).as_bytes().split(|b| *b == b':') {
        let directory = if directory.is_empty() {
            Path::new(".")
        } else {
            Path::new(OsStr::from_bytes(directory))
        };
        let program = directory.join(name);
        match check_executable(&program) {
            Ok(()) => return Ok(program),
            Err(e @ Error::NotExecutable { .. }) => refused = refused.or(Some(e)),
            _ => {}
        }
    }
    Err(refused.unwrap_or_else(|| Error::NotFound(name.to_string_lossy().into_owned())))
}

/// Checks that `program` is a file that may be executed by some user.
fn check_executable(program: &Path) -> Result<(), Error> {
    let refuse = |source| Err(Error::NotExecutable { program: program.to_owned(), source });
    match std::fs::metadata(program) {
        Ok(m) if m.is_dir() => refuse(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(m) if m.mode() & 0o111 == 0 => refuse(io::ErrorKind::PermissionDenied.into()),
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(Error::NotFound(program.display().to_string()))
        }
        Err(source) => refuse(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert!(
            find_executable(OsStr::new("sh"), Some(OsStr::new("/nowhere:/bin")))
                .is_ok_and(|p| p == Path::new("/bin/sh"))
        );
        assert_eq!(
            find_executable(OsStr::new("no-such-program"), None).map_err(|e| e.status()),
            Err(127)
        );
        assert_eq!(
            find_executable(OsStr::new("/etc/passwd"), None).map_err(|e| e.status()),
            Err(126)
        );
        assert_eq!(find_executable(OsStr::new("/etc"), None).map_err(|e| e.status()), Err(126));
        assert_eq!(find_executable(OsStr::new(""), None).map_err(|e| e.status()), Err(127));
    }
}
