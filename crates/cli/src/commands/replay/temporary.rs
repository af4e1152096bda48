//! A directory of ours, which is removed at the end, whatever ends this program.
//!
//! A shell waits for the other end of a pipe to close, which the kernel does even if this program
//! is killed, and then removes the directory. It is in a process group of its own, so that Ctrl-C
//! does not reach it.

use ::replay::Root;
use std::io::{ErrorKind, Result, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// It is there before the directory, of which it is told when it is made: until then it may be
/// another's, and is removed only if it is empty. What a replay under way still makes is removed by
/// the next round. Directories that the program locked do not open for an ordinary user; they are
/// unlocked from within, so that no link that another user puts in our place is followed.
const KEEPER: &str = r#"trap "" INT TERM HUP QUIT
read -r made || { rmdir -- "$1/root"; rmdir -- "$1"; exit; }
read -r keep && exit
for round in 1 2 3 4 5; do
    rm -rf -- "$1" && exit
    find "$1" -mindepth 1 -type d ! -perm -u=rwx -execdir chmod u+rwx {} \;
    rm -rf -- "$1" && exit
    sleep 1
done"#;

/// A temporary root, which is removed unless it is kept.
#[derive(Debug)]
pub struct TemporaryRoot {
    path: PathBuf,
    keeper: Option<Child>,
    kept: bool,
}

impl TemporaryRoot {
    /// Creates the new directory `path` as a root that is removed with all its content in the end,
    /// by a helper process even if this one is killed.
    pub fn create(path: &Path) -> Result<(Root, Self)> {
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        // Without a shell it is removed unless this program is killed.
        let mut this = Self { path: path.to_owned(), keeper: keeper.ok(), kept: true };
        match Root::fresh(path) {
            Ok(root) => {
                this.tell_keeper("made\n");
                this.kept = false;
                Ok((root, this))
            }
            Err(error) => {
                if error.kind() == ErrorKind::AlreadyExists {
                    this.tell_keeper("made\nkeep\n");
                }
                Err(error)
            }
        }
    }

    /// Sends lines to the helper process that removes the directory. Errors are ignored, as it may
    /// not run.
    fn tell_keeper(&mut self, lines: &str) {
        if let Some(pipe) = self.keeper.as_mut().and_then(|keeper| keeper.stdin.as_mut()) {
            let _gone = pipe.write_all(lines.as_bytes());
        }
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the directory: neither this process nor its helper removes it.
    pub fn keep(&mut self) {
        self.kept = true;
        self.tell_keeper("keep\n");
    }

    /// Removes the directory with all its content.
    pub fn remove(mut self) -> Result<()> {
        self.end_keeper()
    }

    /// Ends the helper process, and removes the directory if it is still there and not to be kept.
    fn end_keeper(&mut self) -> Result<()> {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait()?;
        }
        if self.kept || self.path.symlink_metadata().is_err() {
            return Ok(());
        }
        std::fs::remove_dir_all(&self.path)
    }
}

impl Drop for TemporaryRoot {
    fn drop(&mut self) {
        let _best = self.end_keeper();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_unless_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, kept) in [("gone", false), ("kept", true)] {
            let path = dir.path().join(name);
            let (root, mut temporary) = TemporaryRoot::create(&path).expect("a root");
            std::fs::create_dir(root.path().join("a")).expect("writable");
            if kept {
                temporary.keep();
            }
            drop(temporary);
            assert_eq!(path.exists(), kept, "{name}");
        }
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (path, foreign) = (dir.path().join("ours"), dir.path().join("foreign"));
        let locked = foreign.join("locked");
        std::fs::create_dir_all(&locked).expect("writable");
        std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o500)).expect("it is ours");
        let (root, temporary) = TemporaryRoot::create(&path).expect("a root");
        std::fs::rename(&path, dir.path().join("away")).expect("it is there");
        symlink(&foreign, &path).expect("the name is free");
        drop((root, temporary));
        let mode = std::fs::metadata(&locked).expect("it was left alone").permissions().mode();
        assert_eq!(mode & 0o777, 0o500);
    }

    #[test]
    fn what_was_there_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let error = TemporaryRoot::create(dir.path()).expect_err("it is there");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(dir.path().exists());
    }
}
