//! A trace that is being made has a name of its own until it is whole, and is removed if it does
//! not become so: at an error, and when a signal ends this process.

use anyhow::{Context, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{Builder, sleep};
use std::time::Duration;

/// A directory without its final name.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    signals: Option<signal_hook::iterator::Handle>,
}

impl Unfinished {
    /// A free name beside `to`, for a directory that something else makes.
    pub fn beside(to: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let path = to.with_file_name(name);
        let signals = remove_on_signal(path.clone());
        Self { path, signals }
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name. Nothing that has the name is replaced.
    pub fn finish(self, to: &Path) -> Result<()> {
        renameat_with(CWD, &self.path, CWD, to, RenameFlags::NOREPLACE)
            .or_else(|e| match e {
                // A file system that cannot promise it: nothing had the name when we began.
                rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS => {
                    rustix::fs::rename(&self.path, to)
                }
                other => Err(other),
            })
            .with_context(|| format!("cannot create {}", to.display()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(signals) = &self.signals {
            signals.close();
        }
        let _best = fs::remove_dir_all(&self.path);
    }
}

/// Has a thread remove the directory and end this process should a signal come that would end it.
fn remove_on_signal(path: PathBuf) -> Option<signal_hook::iterator::Handle> {
    let ends = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !capture::ignores(*signal));
    let mut signals = Signals::new(ends).ok()?;
    let handle = signals.handle();
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            // What writes into it goes on until we end, but cannot begin new files once it is gone.
            for _ in 0..50 {
                if fs::remove_dir_all(&path).is_ok() || path.symlink_metadata().is_err() {
                    break;
                }
                sleep(Duration::from_millis(10));
            }
            crate::talk::wipe();
            let _ends = emulate_default_handler(signal);
        }
    };
    Builder::new().name("signals".to_owned()).spawn(watch).ok()?;
    Some(handle)
}
