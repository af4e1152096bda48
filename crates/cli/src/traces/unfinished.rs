//! A trace that is being made has a name of its own until it is whole, and is removed if it does
//! not become so: at an error, and when a signal ends this process.

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, sleep};
use std::time::Duration;

/// A directory without its final name: `trace` in the hidden directory `.NAME.part`, which is
/// locked meanwhile. A killed process leaves that directory; the next one with this name takes it
/// over.
#[derive(Debug)]
pub struct Unfinished {
    part: PathBuf,
    path: PathBuf,
    signals: Option<signal_hook::iterator::Handle>,
    ending: Ending,
    _lock: OwnedFd,
}

/// Whether the hidden directory is this process's. Held by what changes that: the thread that makes
/// the trace and gives it its name or removes it, or the one that a signal wakes, which never lets
/// go.
type Ending = Arc<Mutex<bool>>;

impl Unfinished {
    /// Locks a hidden directory beside `to`, inside which a trace can be made. Fails if another
    /// process is making a trace of this name.
    pub fn beside(to: &Path) -> Result<Self> {
        let mut name = OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(".part");
        let part = to.with_file_name(name);
        let path = part.join("trace");
        // Whoever sees the directory may send a signal at once.
        let ending = Ending::default();
        let mut is_ours = ending.lock().unwrap_or_else(PoisonError::into_inner);
        let signals = remove_on_signal(part.clone(), Arc::clone(&ending));
        let lock = lock_for(to, &part).inspect_err(|_| {
            if let Some(signals) = &signals {
                signals.close();
            }
        })?;
        *is_ours = true;
        drop(is_ours);
        let this = Self { part, path, signals, ending, _lock: lock };
        if let Err(e) = fs::remove_dir_all(&this.path)
            && e.kind() != ErrorKind::NotFound
        {
            return Err(e).with_context(|| format!("cannot remove {}", this.path.display()));
        }
        Ok(this)
    }

    /// Returns where the trace is made until it gets its final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the trace to its final name. Fails if the name is taken.
    pub fn finish(self, to: &Path) -> Result<()> {
        let held = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let named = renameat_with(CWD, &self.path, CWD, to, RenameFlags::NOREPLACE)
            .or_else(|e| match e {
                // A file system that cannot promise it: nothing had the name when we began.
                Errno::INVAL | Errno::NOSYS => rustix::fs::rename(&self.path, to),
                other => Err(other),
            })
            .with_context(|| format!("cannot create {}", to.display()));
        drop(held);
        named
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _held = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signals) = &self.signals {
            signals.close();
        }
        let _best = fs::remove_dir_all(&self.part);
    }
}

/// The state of a hidden directory that this process wants to lock.
enum Held {
    Ours(OwnedFd),
    /// Another process has locked it.
    Another,
    /// Its owner could put something else in its place.
    Foreign,
    /// Another process removed it before it was locked.
    Gone,
}

/// Creates and locks the hidden directory `part` for a trace `to`. Fails if it is in use.
fn lock_for(to: &Path, part: &Path) -> Result<OwnedFd> {
    loop {
        let held = lock_directory(part);
        match held.with_context(|| format!("cannot create {}", part.display()))? {
            Held::Ours(lock) => return Ok(lock),
            Held::Another => bail!("another process is writing {}", to.display()),
            Held::Foreign => bail!("{} is another user's", part.display()),
            Held::Gone => {}
        }
    }
}

/// Creates and locks the hidden directory. Returns what keeps another process or user from using
/// it, or `Gone` if it was removed meanwhile and this has to be tried again.
fn lock_directory(part: &Path) -> io::Result<Held> {
    match DirBuilder::new().mode(0o700).create(part) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match rustix::fs::open(part, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Held::Gone),
        opened => opened?,
    };
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(Held::Another),
        locked => locked?,
    }
    let locked = rustix::fs::fstat(&dir)?;
    Ok(match part.symlink_metadata() {
        Ok(named) if (named.dev(), named.ino()) != (locked.st_dev, locked.st_ino) => Held::Gone,
        Err(e) if e.kind() == ErrorKind::NotFound => Held::Gone,
        Err(e) => return Err(e),
        Ok(named) if named.uid() != rustix::process::geteuid().as_raw() => Held::Foreign,
        Ok(_) => Held::Ours(dir),
    })
}

/// Starts a thread that removes the directory, if it is this process's, when a signal would end the
/// process, and then lets the signal end it.
fn remove_on_signal(path: PathBuf, ending: Ending) -> Option<signal_hook::iterator::Handle> {
    let ends =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !capture::is_signal_ignored(*signal));
    let mut signals = Signals::new(ends).ok()?;
    let handle = signals.handle();
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            let is_ours = ending.lock().unwrap_or_else(PoisonError::into_inner);
            // What writes into it goes on until we end, but cannot begin new files once it is gone.
            for _ in 0..if *is_ours { 50 } else { 0 } {
                if fs::remove_dir_all(&path).is_ok() || path.symlink_metadata().is_err() {
                    break;
                }
                sleep(Duration::from_millis(10));
            }
            crate::messages::wipe();
            let _ends = emulate_default_handler(signal);
        }
    };
    Builder::new().name("signals".to_owned()).spawn(watch).ok()?;
    Some(handle)
}
