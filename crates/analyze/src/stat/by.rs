//! The keys by which calls are grouped.

use std::fmt;
use std::str::FromStr;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The name of the call.
    Call,
    /// The sort of work ([`abi::IoClass`]).
    Class,
    /// The file that the descriptor leads to, else the path argument.
    File,
    /// The directory of [`By::File`], cut to so many components if there is a number.
    Dir(Option<usize>),
    /// What follows the last dot of the base name of [`By::File`].
    Ext,
    /// The type and the mount point of the file system of [`By::File`].
    Fs,
    /// The process: its number and the program that it ran last.
    Process,
    /// The program that the process ran last.
    Exe,
    /// The thread: its number and the program.
    Thread,
    /// The errno by name; calls that did not fail have none.
    Errno,
    /// The number of bytes that moved, in powers of two.
    Size,
    /// The path argument as an absolute path; calls without have none.
    Path,
}

/// The names of all keys as they are typed.
pub(crate) const NAMES: [&str; 12] = [
    "call", "class", "file", "dir", "ext", "fs", "process", "exe", "thread", "errno", "size",
    "path",
];

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(depth) = text.strip_prefix("dir:") {
            return match depth.parse() {
                Ok(depth) if depth > 0 => Ok(Self::Dir(Some(depth))),
                _ => Err(format!("dir:{depth}: expected a number of components, as in dir:2")),
            };
        }
        Ok(match text {
            "call" => Self::Call,
            "class" => Self::Class,
            "file" => Self::File,
            "dir" => Self::Dir(None),
            "ext" => Self::Ext,
            "fs" => Self::Fs,
            "process" => Self::Process,
            "exe" => Self::Exe,
            "thread" => Self::Thread,
            "errno" => Self::Errno,
            "size" => Self::Size,
            "path" => Self::Path,
            _ => {
                return Err(format!(
                    "unknown key '{text}'; known keys: {} (dir:2 cuts to two components)",
                    NAMES.join(" ")
                ));
            }
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Class => "class",
            Self::File => "file",
            Self::Dir(None) => "dir",
            Self::Dir(Some(depth)) => return write!(f, "dir:{depth}"),
            Self::Ext => "ext",
            Self::Fs => "fs",
            Self::Process => "process",
            Self::Exe => "exe",
            Self::Thread => "thread",
            Self::Errno => "errno",
            Self::Size => "size",
            Self::Path => "path",
        })
    }
}

impl By {
    /// Returns the columns that the key needs beyond those that are always read.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Call | Self::Class | Self::Errno | Self::Size => &[],
            Self::File | Self::Dir(_) | Self::Ext | Self::Fs | Self::Path => &["path"],
            Self::Process | Self::Exe => &["pid"],
            Self::Thread => &["pid", "tid"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_they_are_typed() {
        for name in NAMES.iter().copied().chain(["dir:3"]) {
            assert_eq!(name.parse::<By>().expect("a key").to_string(), name);
        }
        assert_eq!("dir:2".parse(), Ok(By::Dir(Some(2))));
        for wrong in ["dir:", "dir:0", "dir:x", "dir:-1", "files", "", "handle"] {
            assert!(wrong.parse::<By>().is_err(), "{wrong}");
        }
    }
}
