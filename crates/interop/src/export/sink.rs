//! The new file that an export writes.

use crate::Error;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A new file that gets its name when it is complete. Only its owner can read it, as it holds the
/// program's data.
pub struct Sink {
    file: Unfinished,
    to: PathBuf,
}

enum Unfinished {
    /// It has no name yet (O_TMPFILE): it disappears with this process, however that ends.
    Nameless(File),
    /// On file systems without such files: another name, until this is dropped.
    Named(tempfile::NamedTempFile),
}

impl Sink {
    /// Creates the file without a name, in the directory where it is to be. Fails if that cannot be
    /// written.
    pub fn new(to: &Path) -> Result<Self, Error> {
        let beside = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::open(beside, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Unfinished::Nameless(file.into()),
            Err(_) => tempfile::Builder::new()
                .prefix(".reanimator-")
                .suffix(".part")
                .tempfile_in(beside)
                .map(Unfinished::Named)
                .map_err(Error::io("create", to))?,
        };
        Ok(Self { file, to: to.to_owned() })
    }

    fn file(&mut self) -> &mut File {
        match &mut self.file {
            Unfinished::Nameless(file) => file,
            Unfinished::Named(file) => file.as_file_mut(),
        }
    }

    /// Gives the file its name, and replaces a file that has it already, as `-o` of other programs
    /// does.
    pub fn finish_over(self) -> Result<(), Error> {
        let named = match self.file {
            Unfinished::Nameless(file) => {
                let beside = format!(".reanimator-{}.part", std::process::id());
                let beside = self.to.with_file_name(beside);
                let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
                let linked = rustix::fs::linkat(CWD, itself, CWD, &beside, AtFlags::SYMLINK_FOLLOW);
                let named = linked.and_then(|()| rustix::fs::rename(&beside, &self.to));
                named.map_err(io::Error::from).inspect_err(|_| {
                    let _best = std::fs::remove_file(&beside);
                })
            }
            Unfinished::Named(file) => file.persist(&self.to).map(drop).map_err(|e| e.error),
        };
        named.map_err(Error::io("create", &self.to))
    }

    /// Gives the file its name. Fails if there is a file of this name already.
    pub fn finish(self) -> Result<(), Error> {
        let named = match self.file {
            Unfinished::Nameless(file) => {
                let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, itself, CWD, &self.to, AtFlags::SYMLINK_FOLLOW)
                    .map_err(io::Error::from)
            }
            Unfinished::Named(file) => {
                file.persist_noclobber(&self.to).map(drop).map_err(|e| e.error)
            }
        };
        named.map_err(Error::io("create", &self.to))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}
