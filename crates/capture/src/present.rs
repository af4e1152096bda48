//! What is there when recording begins: what a process is, and its descriptors.

use crate::identity::describe;
use crate::out::Out;
use crate::{Command, Credentials};
use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use nix::libc;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use trace::record::{GONE, Identity, MADE_UP, PieceKind, RecordKind};
use zerocopy::IntoBytes;

/// What `/proc/TID/fdinfo/FD` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub position: u64,
    pub flags: u32,
}

/// Asks procfs about a descriptor.
pub(crate) fn info(tid: i32, fd: i32) -> Option<Info> {
    std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).ok().map(|text| parse(&text))
}

fn parse(text: &str) -> Info {
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    Info {
        position: field("pos:").and_then(|v| v.parse().ok()).unwrap_or(0),
        flags: field("flags:").and_then(|v| u32::from_str_radix(v, 8).ok()).unwrap_or(0),
    }
}

/// Process, descriptor, what the descriptor tells, key.
type Representative = (i32, i32, Info, u64);

/// Tells open files apart: descriptors of one open file share its offset.
#[derive(Default)]
pub(crate) struct OpenFiles {
    /// By device and inode: one descriptor of each open file, and the file's key.
    seen: HashMap<(u64, u64), Vec<Representative>>,
    next: u64,
}

/// `KCMP_FILE` (`include/uapi/linux/kcmp.h`).
const KCMP_FILE: i32 = 0;

impl OpenFiles {
    fn key(&mut self, pid: i32, fd: i32, info: Info, inode: (u64, u64)) -> u64 {
        let alike = self.seen.entry(inode).or_default();
        for (other, its, was, key) in alike.iter() {
            // SAFETY: takes numbers.
            let order = unsafe { libc::syscall(libc::SYS_kcmp, pid, *other, KCMP_FILE, fd, *its) };
            // Where the kernel does not compare for us, what looks the same is taken for the same.
            if order == 0 || (order < 0 && *was == info) {
                return *key;
            }
        }
        self.next += 1;
        alike.push((pid, fd, info, self.next));
        self.next
    }
}

/// What the threads of a process share.
pub(crate) const SHARED_BY_THREADS: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD) as u64;

/// The threads of a process, in no order.
pub(crate) fn threads(pid: i32) -> std::io::Result<impl Iterator<Item = i32>> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?
        .filter_map(|t| t.ok()?.file_name().to_str()?.parse().ok()))
}

/// Whether a thread has ended, though nobody may have been told: the first thread of a process is a
/// zombie until the others have ended.
pub(crate) fn is_dead(tid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|l| l.strip_prefix("State:")).unwrap_or("X");
    state.trim_start().starts_with(['Z', 'X'])
}

/// The children of a thread, if the kernel tells (`CONFIG_PROC_CHILDREN`).
pub(crate) fn children(pid: i32, tid: i32) -> Vec<i32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Emits a `Start` record of each of a process's threads, and what [`tell`] does.
pub(crate) fn tell_all(
    out: &mut Out,
    files: &mut OpenFiles,
    time: u64,
    pid: i32,
    mut tids: Vec<i32>,
) {
    tids.sort_unstable_by_key(|tid| (*tid != pid, *tid));
    for (i, tid) in tids.iter().enumerate() {
        let args = if i == 0 { [0, 0, 0, 1, 0, 0] } else { [0, 0, SHARED_BY_THREADS, 0, 0, 0] };
        out.event(RecordKind::Start, time, pid, *tid, args);
        if i == 0 {
            tell(out, files, time, pid, *tid);
        }
    }
}

/// The same of our child that is about to become the command: what it will have when it is.
pub(crate) fn tell_child(out: &mut Out, time: u64, pid: i32, command: &Command) {
    let command_line: Vec<u8> =
        command.argv.iter().flat_map(|a| a.as_bytes().iter().copied().chain([0])).collect();
    state(
        out,
        time,
        pid,
        pid,
        &command_line,
        command.program.as_os_str().as_bytes(),
        command.credentials.as_ref(),
    );
    descriptors(out, &mut OpenFiles::default(), time, pid, pid, true);
}

/// Emits a `State` record and the `Descriptor` records of a process that stands still.
pub(crate) fn tell(out: &mut Out, files: &mut OpenFiles, time: u64, pid: i32, tid: i32) {
    let command_line = std::fs::read(format!("/proc/{tid}/cmdline")).unwrap_or_default();
    state(out, time, pid, tid, &command_line, &executable(tid), None);
    descriptors(out, files, time, pid, tid, false);
    mappings(out, time, pid, tid);
}

/// Files that the process has mapped so that it can store into them, which no call tells: each a
/// `Descriptor` record with the number -1.
fn mappings(out: &mut Out, time: u64, pid: i32, tid: i32) {
    let maps = std::fs::read(format!("/proc/{tid}/maps")).unwrap_or_default();
    for line in maps.split(|b| *b == b'\n').filter(|line| is_stored_into(line)) {
        let Some(range) = line.split(|b| *b == b' ').next().and_then(|r| str::from_utf8(r).ok())
        else {
            continue;
        };
        let mut path = Vec::new();
        let mut identity = describe(format_args!("/proc/{tid}/map_files/{range}"), &mut path);
        if path.is_empty() {
            // Only root may follow these links: the text tells the name.
            path = line.splitn(6, |b| *b == b' ').nth(5).unwrap_or_default().trim_ascii().into();
            if path.ends_with(GONE) {
                continue;
            }
            (identity.mode, identity.created) = (libc::S_IFREG, MADE_UP);
        }
        let piece = [identity.as_bytes(), &path].concat();
        let end = |at| range.split('-').nth(at).and_then(|a| u64::from_str_radix(a, 16).ok());
        let args = [u64::MAX, 0, 0, end(0).unwrap_or(0), end(1).unwrap_or(0), 0];
        let pieces = [(0, PieceKind::Identity, &piece[..])];
        if identity.mode & libc::S_IFMT == libc::S_IFREG {
            out.event_with(RecordKind::Descriptor, time, pid, tid, args, &pieces);
        }
    }
}

/// Whether a line of `/proc/PID/maps` tells of a shared and writable mapping of a file with a name.
fn is_stored_into(line: &[u8]) -> bool {
    const NO_FILES: [&[u8]; 4] = [b"/dev/", b"/memfd:", b"/SYSV", b"/anon_hugepage"];
    let mut words = line.splitn(6, |b| *b == b' ');
    let permissions = words.nth(1).unwrap_or_default();
    let path = words.nth(3).unwrap_or_default().trim_ascii();
    permissions.get(1) == Some(&b'w')
        && permissions.get(3) == Some(&b's')
        && path.first() == Some(&b'/')
        && !NO_FILES.iter().any(|of| path.starts_with(of))
}

/// All of them, or only those that the next program will have.
fn descriptors(out: &mut Out, files: &mut OpenFiles, time: u64, pid: i32, tid: i32, at_exec: bool) {
    let Ok(listing) = std::fs::read_dir(format!("/proc/{tid}/fd")) else { return };
    let mut descriptors: Vec<i32> =
        listing.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    descriptors.sort_unstable();
    for fd in descriptors {
        let Some(info) = info(tid, fd) else { continue };
        if at_exec && info.flags & libc::O_CLOEXEC as u32 != 0 {
            continue;
        }
        let mut path = Vec::new();
        let identity = describe(format_args!("/proc/{tid}/fd/{fd}"), &mut path);
        let key = files.key(pid, fd, info, (identity.dev, identity.ino));
        let identity = Identity { offset: info.position, status: info.flags, ..identity };
        let closes = u64::from(info.flags & libc::O_CLOEXEC as u32 != 0);
        let piece = [identity.as_bytes(), &path].concat();
        out.event_with(
            RecordKind::Descriptor,
            time,
            pid,
            tid,
            [fd as u64, closes, key, 0, 0, 0],
            &[(0, PieceKind::Identity, &piece)],
        );
    }
}

fn state(
    out: &mut Out,
    time: u64,
    pid: i32,
    tid: i32,
    command_line: &[u8],
    program: &[u8],
    becomes: Option<&Credentials>,
) {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
    let ids = |name: &str| ids(field(name)).unwrap_or_default();
    let umask = u64::from_str_radix(field("Umask:").trim(), 8).unwrap_or(0o022);
    let (mut uid, mut gid) = (ids("Uid:"), ids("Gid:"));
    let mut groups: Vec<u8> =
        field("Groups:").split_whitespace().flat_map(|g| g.bytes().chain([0])).collect();
    if let Some(who) = becomes {
        (uid, gid) = ([u64::from(who.uid); 4], [u64::from(who.gid); 4]);
        groups = who.groups.iter().flat_map(|g| format!("{g}\0").into_bytes()).collect();
    }
    let directory = |name: &str| {
        let mut path = Vec::new();
        let identity = describe(format_args!("/proc/{tid}/{name}"), &mut path);
        [identity.as_bytes(), &path].concat()
    };
    out.event_with(
        RecordKind::State,
        time,
        pid,
        tid,
        [umask, uid[0], gid[0], uid[1], gid[1], u64::from(uid[3] != 0)],
        &[
            (WORKING_DIRECTORY, PieceKind::Identity, &directory("cwd")),
            (ROOT_DIRECTORY, PieceKind::Identity, &directory("root")),
            (0, PieceKind::StrVec, command_line),
            (1, PieceKind::StrVec, &groups),
            (0, PieceKind::String, program),
        ],
    );
}

/// The file that a process executes.
pub(crate) fn executable(tid: i32) -> Vec<u8> {
    std::fs::read_link(format!("/proc/{tid}/exe"))
        .map(|p| p.as_os_str().as_bytes().to_vec())
        .unwrap_or_default()
}

/// Real, effective, saved and file system ID, from a field of `/proc/TID/status`.
fn ids(field: &str) -> Option<[u64; 4]> {
    let ids: Option<Vec<u64>> = field.split_whitespace().map(|v| v.parse().ok()).collect();
    ids?.try_into().ok()
}

/// The effective user and group of a process, if it is there.
pub(crate) fn effective(pid: i32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = |name| status.lines().find_map(|l| l.strip_prefix(name)).and_then(ids);
    Some((ids("Uid:")?[1], ids("Gid:")?[1]))
}

/// A field of `/proc/TID/status`.
pub(crate) fn status_number(tid: i32, name: &str) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_that_can_be_stored_into() {
        for (line, is) in [
            ("7f5-7f6 rw-s 00000000 fe:00 77    /w/a file", true),
            ("7f5-7f6 rw-s 00000000 fe:00 77    /w/gone (deleted)", true),
            ("7f5-7f6 rw-p 00000000 fe:00 77    /w/f", false),
            ("7f5-7f6 r--s 00000000 fe:00 77    /w/f", false),
            ("7f5-7f6 rw-s 00000000 00:01 77    /memfd:x (deleted)", false),
            ("7f5-7f6 rw-s 00000000 00:01 77    /dev/zero (deleted)", false),
            ("7f5-7f6 rw-p 00000000 00:00 0 ", false),
            ("", false),
        ] {
            assert_eq!(is_stored_into(line.as_bytes()), is, "{line}");
        }
    }

    #[test]
    fn descriptors_of_one_open_file() {
        let info_text = "pos:\t17\nflags:\t02100001\nmnt_id:\t9\n";
        assert_eq!(parse(info_text), Info { position: 17, flags: 0o2_100_001 });
        let file = tempfile::tempfile().expect("a file");
        let (again, other) =
            (file.try_clone().expect("a duplicate"), tempfile::tempfile().expect("another"));
        let me = std::process::id() as i32;
        let mut files = OpenFiles::default();
        let mut key = |f: &std::fs::File, ino| {
            files.key(me, std::os::fd::AsRawFd::as_raw_fd(f), Info::default(), (1, ino))
        };
        let first = key(&file, 1);
        assert_eq!(key(&again, 1), first);
        assert_ne!(key(&other, 2), first);
    }
}
