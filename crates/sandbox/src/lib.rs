//! The sandbox: a mount namespace that contains only the root, and no new privileges ([`enter`]),
//! and Landlock around it ([`confine`]). Only the calling thread and the threads that it starts are
//! inside.
//!
//! Root needs no user namespace. An ordinary user gets one, with the recorded user's number mapped
//! to their own, which the kernel grants only to a process without other threads:
//! [`enter_user_namespace`] is called before any is started.
#![deny(unsafe_code)]

mod root;
mod tree;
#[allow(unsafe_code)]
mod unshare;

pub use root::Root;
pub use tree::Tree;
pub use unshare::unshare_directory;

use landlock::{
    ABI, Access, AccessFs, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use linux_raw_sys::general::{S_ISGID, S_ISUID};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, chroot, fchdir, getegid, geteuid, pivot_root};
use rustix::thread::{UnshareFlags, set_no_new_privs};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;
use unshare::unshare;

/// Set-user-ID and set-group-ID.
pub const SET_ID: u32 = S_ISUID | S_ISGID;
/// The attribute that gives a program capabilities.
pub const CAPABILITY: &[u8] = b"security.capability";

/// How often unshare(2) is tried again, a millisecond apart, while ended threads still count.
const PATIENCE: usize = 10_000;

/// What the sandbox allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// We can act as any user, and own files as anyone.
    pub any_user: bool,
    /// We can act as any user, and the traced program was not root.
    pub other_users: bool,
    /// The traced program was root: capabilities are kept.
    pub capabilities: bool,
}

/// Why the sandbox cannot be set up: what failed, and with which error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub &'static str, #[source] pub io::Error);

/// Returns a function that makes an error of an errno. `what` is what failed.
fn refused(what: &'static str) -> impl Fn(Errno) -> Error {
    move |e| Error(what, e.into())
}

/// Returns whether this process may create mount namespaces as it is. That is tried in a thread
/// that then ends.
fn may_unshare() -> bool {
    std::thread::spawn(|| unshare(UnshareFlags::NEWNS).is_ok()).join().unwrap_or(false)
}

/// Enters a user namespace if this process may not create mount namespaces otherwise. This is the
/// first half of the sandbox. The calling thread must be the only one of the process. `recorded` is
/// the effective user and group of the traced program.
pub fn enter_user_namespace(recorded: Option<(u32, u32)>) -> Result<Privileges, Error> {
    let was_root = recorded.is_none_or(|(uid, _)| uid == 0);
    if geteuid().is_root() && may_unshare() {
        return Ok(Privileges { any_user: true, other_users: !was_root, capabilities: was_root });
    }
    let (uid, gid) = (geteuid(), getegid());
    // A joined thread may still be counted for a moment (clone(2), CLONE_CHILD_CLEARTID;
    // unshare(2), EINVAL).
    let mut entered = unshare(UnshareFlags::NEWUSER);
    for _ in 0..PATIENCE {
        if entered != Err(Errno::INVAL) {
            break;
        }
        sleep(Duration::from_millis(1));
        entered = unshare(UnshareFlags::NEWUSER);
    }
    entered.map_err(refused(
        "cannot create a user namespace: run as root, or allow user \
        namespaces (sysctl kernel.unprivileged_userns_clone, \
        kernel.apparmor_restrict_unprivileged_userns)",
    ))?;
    let (inner_uid, inner_gid) = recorded.unwrap_or((uid.as_raw(), gid.as_raw()));
    let write = |path: &str, text: String| {
        std::fs::write(path, text).map_err(|e| Error("cannot map the user namespace's IDs", e))
    };
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("{inner_uid} {} 1", uid.as_raw()))?;
    write("/proc/self/gid_map", format!("{inner_gid} {} 1", gid.as_raw()))?;
    Ok(Privileges { any_user: false, other_users: false, capabilities: was_root })
}

/// Makes `root` the root directory of the calling thread, which then starts all others. This is the
/// second half of the sandbox. `root` is not reached by name: the new namespace takes the working
/// directory along, and that is mounted upon itself.
pub fn enter(root: BorrowedFd<'_>) -> Result<(), Error> {
    unshare(UnshareFlags::FS).map_err(refused("cannot unshare the working directory"))?;
    fchdir(root).map_err(refused("cannot enter the root"))?;
    unshare(UnshareFlags::NEWNS).map_err(refused("cannot create a mount namespace"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(refused("cannot make mounts private"))?;
    let bound = bind(c".").map_err(|e| Error("cannot bind-mount the root", e.into()))?;
    fchdir(&bound).map_err(refused("cannot enter the root"))?;
    // Belt and braces: no call that makes devices or runs programs is issued. A namespace may not
    // be allowed to change the flags of its mounts.
    let restricted = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    let _best = mount_remount(".", restricted, "");
    match pivot_root(".", ".") {
        Ok(()) => {
            unmount(".", UnmountFlags::DETACH).map_err(refused("cannot unmount the old root"))?;
        }
        // The initial RAM file system cannot be exchanged (pivot_root(2)).
        Err(_) => chroot(".").map_err(refused("cannot change the root"))?,
    }
    chdir("/").map_err(refused("cannot enter the root"))?;
    set_no_new_privs(true).map_err(refused("cannot set no_new_privs"))
}

/// Mounts a directory upon itself. Returns a descriptor of it in the new mount.
fn bind(path: &CStr) -> rustix::io::Result<OwnedFd> {
    let tree =
        open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    move_mount(tree.as_fd(), c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(tree)
}

/// Confines the calling thread, which has entered a root, with Landlock. Files below `source` stay
/// readable through its descriptor. The kernel searches for rules from a file upwards; to shorten
/// the search, the directories in `busy`, which are below the root, get rules of their own. Returns
/// notes for the report.
pub fn confine(source: Option<BorrowedFd<'_>>, busy: &[&[u8]]) -> Result<Vec<String>, Error> {
    landlock(source, busy).map_err(|e| Error("cannot apply Landlock rules", e))
}

/// Creates the Landlock rules and applies them to the calling thread. Returns notes for the report.
fn landlock(source: Option<BorrowedFd<'_>>, busy: &[&[u8]]) -> io::Result<Vec<String>> {
    let abi = ABI::V5;
    let all = AccessFs::from_all(abi);
    let mut allowed = vec![OwnedFd::from(File::open("/")?)];
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    allowed.extend(busy.iter().filter_map(|path| open(*path, directory, Mode::empty()).ok()));
    let set = || -> Result<RulesetStatus, landlock::RulesetError> {
        let mut rules = Ruleset::default().handle_access(all)?.create()?;
        for directory in &allowed {
            rules = rules.add_rule(PathBeneath::new(directory, all))?;
        }
        if let Some(source) = source {
            rules = rules.add_rule(PathBeneath::new(source, AccessFs::from_read(abi)))?;
        }
        Ok(rules.restrict_self()?.ruleset)
    };
    Ok(match set().map_err(io::Error::other)? {
        RulesetStatus::NotEnforced => {
            vec!["this kernel has no Landlock: only the mount namespace confined the replay".into()]
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Vec::new(),
    })
}
