//! Where a trace is performed: the directory that the user names, or a fresh one; and what is
//! copied into it.

use super::temporary::TemporaryRoot;
use crate::messages::failure::Advise;
use ::replay::Root;
use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags, fchmod, fchown, mkdirat, openat, renameat, unlinkat};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// Opens the directory that the user names as the root, and creates it if it does not exist. Fails
/// if it is not empty, unless it is `prepared`.
pub fn open_root(path: &Path, prepared: bool) -> Result<Root> {
    let shown = path.display();
    let root = Root::make(path).with_context(|| format!("cannot use {shown}"))?;
    let is_empty = root.is_empty().with_context(|| format!("cannot list {shown}"))?;
    if !prepared && !is_empty {
        let result: Result<()> = Err(anyhow::anyhow!("{shown} is not empty"));
        result.advise(
            "name an empty directory, or one that does not exist yet; without --root replay makes \
             one",
        )?;
    }
    Ok(root)
}

/// Creates a new directory for temporary files as the root. It is removed at the end.
pub fn create_temporary_root(trace: &Path) -> Result<(Root, TemporaryRoot)> {
    let trace = fs::canonicalize(trace).unwrap_or_else(|_| trace.to_owned());
    let stem = trace.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parent = fs::canonicalize(std::env::temp_dir())
        .context("cannot find the directory for temporary files (TMPDIR)")?;
    for n in 0..100_000 {
        let path = parent.join(format!(
            "{stem}.replay.{}{}",
            std::process::id(),
            if n == 0 { String::new() } else { format!(".{n}") }
        ));
        match TemporaryRoot::create(&path) {
            Ok(made) => return Ok(made),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => {
                return Err(e)
                    .with_context(|| format!("cannot make {}", path.display()))
                    .advise("choose a directory with --root");
            }
        }
    }
    bail!("no free name for a directory in {}", parent.display())
}

/// Copies a tree with all its attributes into the root. Blocks are shared where the file system
/// can. If other users can reach the root, files lose set-user-ID bits and capabilities before they
/// get there.
pub fn copy_base(base: &Path, root: &Root, allow_set_id: bool) -> Result<()> {
    let copied = if allow_set_id || root.is_secluded() {
        run_cp(base, &path_of_open(root))
    } else {
        copy_withheld(base, root)
    };
    copied
        .with_context(|| format!("cannot copy {} into {}", base.display(), root.path().display()))
        .advise(
            "--base must be a readable directory, laid out like the root of the recorded machine",
        )
}

/// Returns a path to an open directory that still leads there if the directory is renamed.
fn path_of_open(dir: &impl AsFd) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), dir.as_fd().as_raw_fd()).into()
}

/// Copies the content of a directory into another one with cp(1), with all attributes.
fn run_cp(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto", "--sparse=auto", "--"])
        .arg(from.join("."))
        .arg(to)
        .status()
        .context("cannot run cp")?;
    if status.success() { Ok(()) } else { Err(anyhow::anyhow!("cp failed")) }
}

/// Copies the tree into a directory that only this user can enter, removes set-user-ID bits and
/// capabilities there, and then moves the entries into the root.
fn copy_withheld(base: &Path, root: &Root) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = format!(".reanimator-base.{}", std::process::id());
    mkdirat(root, &name, Mode::RWXU)?;
    let closed = openat(root, &name, flags, Mode::empty())?;
    mkdirat(&closed, "tree", Mode::RWXU)?;
    let tree = openat(&closed, "tree", flags, Mode::empty())?;
    run_cp(base, &path_of_open(&tree))?;
    strip_privileges(&path_of_open(&tree))?;
    for entry in fs::read_dir(path_of_open(&tree))? {
        move_entry(&tree, &entry?, root)?;
    }
    let top = rustix::fs::fstat(&tree)?;
    unlinkat(&closed, "tree", rustix::fs::AtFlags::REMOVEDIR)?;
    unlinkat(root, &name, rustix::fs::AtFlags::REMOVEDIR)?;
    let owner = |id: u32| (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(top.st_gid));
    let (uid, gid) = owner(top.st_uid);
    let _best = fchown(root, Some(uid), Some(gid));
    Ok(fchmod(root, Mode::from_raw_mode(top.st_mode & 0o7777))?)
}

/// Moves an entry of the copied tree into the root. A directory that its owner must not write gets
/// that permission for the move, as moving changes its `..`.
fn move_entry(tree: &OwnedFd, entry: &fs::DirEntry, root: &Root) -> Result<()> {
    let (name, found) = (entry.file_name(), entry.metadata()?);
    let locked = found.is_dir() && found.mode() & 0o200 == 0;
    let set = |dir: &Path, mode: u32| fs::set_permissions(dir, fs::Permissions::from_mode(mode));
    if locked {
        set(&entry.path(), found.mode() | 0o200)?;
    }
    renameat(tree, &name, root, &name)?;
    if locked {
        set(&path_of_open(root).join(&name), found.mode())?;
    }
    Ok(())
}

/// Removes set-user-ID and set-group-ID bits and file capabilities from all files below `top`.
fn strip_privileges(top: &Path) -> Result<()> {
    let mut stack = vec![top.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let (path, found) = (entry.path(), entry.metadata()?);
            if found.is_dir() {
                stack.push(path);
            } else if found.is_file() {
                let _none = rustix::fs::lremovexattr(&path, "security.capability");
                if found.mode() & SET_ID != 0 {
                    fs::set_permissions(&path, fs::Permissions::from_mode(found.mode() & !SET_ID))?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_empty_or_made() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let made = open_root(&dir.path().join("a/b"), false).expect("made");
        let made = made.path();
        assert!(made.is_dir());
        assert!(open_root(made, false).is_ok(), "an empty one will do");
        fs::write(made.join("precious"), "").expect("writable");
        assert!(open_root(made, false).is_err());
        assert!(open_root(made, true).is_ok(), "it is said to be prepared");
    }

    /// A base with programs that are set-user-ID, in directories of all kinds.
    #[test]
    fn a_base_is_copied_without_what_others_could_use() {
        let dir = tempfile::tempdir_in("/tmp").expect("a temporary directory");
        let open = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        open(dir.path(), 0o755);
        let base = dir.path().join("base");
        fs::create_dir_all(base.join("locked/deep")).expect("writable");
        for name in ["evil", "locked/deep/evil"] {
            fs::write(base.join(name), "x").expect("writable");
            open(&base.join(name), 0o6755);
        }
        open(&base.join("locked"), 0o2555);
        open(&base, 0o751);
        let mode = |path: PathBuf| fs::metadata(path).expect("it is there").mode() & 0o7777;
        for (allowed, expected) in [(false, 0o755), (true, 0o6755)] {
            let root = Root::make(&dir.path().join(format!("r{allowed}"))).expect("made");
            copy_base(&base, &root, allowed).expect("copied");
            assert_eq!(mode(root.path().join("evil")), expected);
            assert_eq!(mode(root.path().join("locked/deep/evil")), expected);
            assert_eq!(mode(root.path().join("locked")), 0o2555);
            assert_eq!(mode(root.path().to_owned()), 0o751);
            assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 2);
            open(&root.path().join("locked"), 0o755);
        }
        open(&base.join("locked"), 0o755);
    }
}
