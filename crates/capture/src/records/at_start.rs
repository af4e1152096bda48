//! Records of what is there when recording begins: what a process is, its threads, descriptors and
//! mappings.

use super::RecordWriter;
use crate::inspect::identity::describe;
use crate::inspect::open_files::OpenFiles;
use crate::inspect::procfs::{descriptor_info, executable, ids};
use crate::{Command, Credentials};
use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use linux_raw_sys::general::{O_CLOEXEC, S_IFMT, S_IFREG};
use std::os::unix::ffi::OsStrExt;
use trace::record::{DELETED_SUFFIX, Identity, PayloadKind, RecordKind, SYNTHETIC};
use zerocopy::IntoBytes;

/// What the threads of a process share.
pub(crate) const SHARED_BY_THREADS: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD) as u64;

/// Emits a `Start` record of each of a process's threads, and what [`state_of`] does.
pub(crate) fn process(
    out: &mut RecordWriter,
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
            state_of(out, files, time, pid, *tid);
        }
    }
}

/// The same of our child that is about to become the command: what it will have when it is.
pub(crate) fn child(out: &mut RecordWriter, time: u64, pid: i32, command: &Command) {
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
pub(crate) fn state_of(
    out: &mut RecordWriter,
    files: &mut OpenFiles,
    time: u64,
    pid: i32,
    tid: i32,
) {
    let command_line = std::fs::read(format!("/proc/{tid}/cmdline")).unwrap_or_default();
    state(out, time, pid, tid, &command_line, &executable(tid), None);
    descriptors(out, files, time, pid, tid, false);
    mappings(out, time, pid, tid);
}

/// Files that the process has mapped so that it can store into them, which no call tells: each a
/// `Descriptor` record with the number -1.
fn mappings(out: &mut RecordWriter, time: u64, pid: i32, tid: i32) {
    let maps = std::fs::read(format!("/proc/{tid}/maps")).unwrap_or_default();
    for line in maps.split(|b| *b == b'\n').filter(|line| is_shared_and_writable(line)) {
        let Some(range) = line.split(|b| *b == b' ').next().and_then(|r| str::from_utf8(r).ok())
        else {
            continue;
        };
        let mut path = Vec::new();
        let mut identity = describe(format_args!("/proc/{tid}/map_files/{range}"), &mut path);
        if path.is_empty() {
            // Only root may follow these links: the text tells the name.
            path = line.splitn(6, |b| *b == b' ').nth(5).unwrap_or_default().trim_ascii().into();
            if path.ends_with(DELETED_SUFFIX) {
                continue;
            }
            (identity.mode, identity.created) = (S_IFREG, SYNTHETIC);
        }
        let payload = [identity.as_bytes(), &path].concat();
        let end = |at| range.split('-').nth(at).and_then(|a| u64::from_str_radix(a, 16).ok());
        let args = [u64::MAX, 0, 0, end(0).unwrap_or(0), end(1).unwrap_or(0), 0];
        let payloads = [(0, PayloadKind::Identity, &payload[..])];
        if identity.mode & S_IFMT == S_IFREG {
            out.event_with(RecordKind::Descriptor, time, pid, tid, args, &payloads);
        }
    }
}

/// Whether a line of `/proc/PID/maps` tells of a shared and writable mapping of a file with a name.
fn is_shared_and_writable(line: &[u8]) -> bool {
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
fn descriptors(
    out: &mut RecordWriter,
    files: &mut OpenFiles,
    time: u64,
    pid: i32,
    tid: i32,
    at_exec: bool,
) {
    let Ok(listing) = std::fs::read_dir(format!("/proc/{tid}/fd")) else { return };
    let mut descriptors: Vec<i32> =
        listing.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    descriptors.sort_unstable();
    for fd in descriptors {
        let Some(info) = descriptor_info(tid, fd) else { continue };
        if at_exec && info.flags & O_CLOEXEC != 0 {
            continue;
        }
        let mut path = Vec::new();
        let identity = describe(format_args!("/proc/{tid}/fd/{fd}"), &mut path);
        let key = files.key(pid, fd, info, (identity.dev, identity.ino));
        let identity = Identity { offset: info.position, status: info.flags, ..identity };
        let closes = u64::from(info.flags & O_CLOEXEC != 0);
        let payload = [identity.as_bytes(), &path].concat();
        out.event_with(
            RecordKind::Descriptor,
            time,
            pid,
            tid,
            [fd as u64, closes, key, 0, 0, 0],
            &[(0, PayloadKind::Identity, &payload)],
        );
    }
}

fn state(
    out: &mut RecordWriter,
    time: u64,
    pid: i32,
    tid: i32,
    command_line: &[u8],
    program: &[u8],
    credentials: Option<&Credentials>,
) {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
    let ids = |name: &str| ids(field(name)).unwrap_or_default();
    let umask = u64::from_str_radix(field("Umask:").trim(), 8).unwrap_or(0o022);
    let (mut uid, mut gid) = (ids("Uid:"), ids("Gid:"));
    let mut groups: Vec<u8> =
        field("Groups:").split_whitespace().flat_map(|g| g.bytes().chain([0])).collect();
    if let Some(user) = credentials {
        (uid, gid) = ([u64::from(user.uid); 4], [u64::from(user.gid); 4]);
        groups = user.groups.iter().flat_map(|g| format!("{g}\0").into_bytes()).collect();
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
            (WORKING_DIRECTORY, PayloadKind::Identity, &directory("cwd")),
            (ROOT_DIRECTORY, PayloadKind::Identity, &directory("root")),
            (0, PayloadKind::StrVec, command_line),
            (1, PayloadKind::StrVec, &groups),
            (0, PayloadKind::String, program),
        ],
    );
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
            assert_eq!(is_shared_and_writable(line.as_bytes()), is, "{line}");
        }
    }
}
