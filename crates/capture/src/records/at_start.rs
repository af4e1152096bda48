//! Records of what exists when recording begins: the threads, descriptors, directories and shared
//! mappings of a process.

use super::RecordWriter;
use crate::inspect::identity::read_identity;
use crate::inspect::open_files::OpenFiles;
use crate::inspect::procfs::{executable_path, parse_ids, read_fdinfo};
use crate::{Command, Credentials};
use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use linux_raw_sys::general::{O_CLOEXEC, S_IFMT, S_IFREG};
use std::os::unix::ffi::OsStrExt;
use trace::record::{DELETED_SUFFIX, Identity, PayloadKind, RecordKind, SYNTHETIC};
use zerocopy::IntoBytes;

/// The clone(2) flags of a thread that is made by pthread_create(3).
pub(crate) const THREAD_CLONE_FLAGS: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD) as u64;

/// Writes a `Start` record for each thread of a process, and the state of the process (see
/// [`write_state`]). `time` is in nanoseconds.
pub(crate) fn write_process(
    out: &mut RecordWriter,
    files: &mut OpenFiles,
    time: u64,
    pid: i32,
    mut tids: Vec<i32>,
) {
    tids.sort_unstable_by_key(|tid| (*tid != pid, *tid));
    for (i, tid) in tids.iter().enumerate() {
        let args = if i == 0 { [0, 0, 0, 1, 0, 0] } else { [0, 0, THREAD_CLONE_FLAGS, 0, 0, 0] };
        out.write_event(RecordKind::Start, time, pid, *tid, args);
        if i == 0 {
            write_state(out, files, time, pid, *tid);
        }
    }
}

/// Writes the state that the recorder's child will have when it has executed the command:
/// descriptors that are close-on-exec are left out, and program, arguments and credentials are
/// those of `command`.
pub(crate) fn write_child_before_exec(
    out: &mut RecordWriter,
    time: u64,
    pid: i32,
    command: &Command,
) {
    let command_line: Vec<u8> =
        command.argv.iter().flat_map(|a| a.as_bytes().iter().copied().chain([0])).collect();
    write_state_record(
        out,
        time,
        pid,
        pid,
        &command_line,
        command.program.as_os_str().as_bytes(),
        command.credentials.as_ref(),
    );
    write_descriptors(out, &mut OpenFiles::default(), time, pid, pid, Which::InheritedByExec);
}

/// Writes a `State` record and the `Descriptor` records of a process whose thread `tid` is stopped.
/// What cannot be read from procfs is left out.
pub(crate) fn write_state(
    out: &mut RecordWriter,
    files: &mut OpenFiles,
    time: u64,
    pid: i32,
    tid: i32,
) {
    let command_line = std::fs::read(format!("/proc/{tid}/cmdline")).unwrap_or_default();
    write_state_record(out, time, pid, tid, &command_line, &executable_path(tid), None);
    write_descriptors(out, files, time, pid, tid, Which::All);
    write_mappings(out, time, pid, tid);
}

/// Writes a `Descriptor` record with the number -1 for each file that the process has mapped shared
/// and writable, since no call shows what it stores there.
fn write_mappings(out: &mut RecordWriter, time: u64, pid: i32, tid: i32) {
    let maps = std::fs::read(format!("/proc/{tid}/maps")).unwrap_or_default();
    for line in maps.split(|b| *b == b'\n').filter(|line| is_shared_and_writable(line)) {
        let Some(range) = line.split(|b| *b == b' ').next().and_then(|r| str::from_utf8(r).ok())
        else {
            continue;
        };
        let mut path = Vec::new();
        let mut identity = read_identity(format_args!("/proc/{tid}/map_files/{range}"), &mut path);
        if path.is_empty() {
            // Only root may follow these links. The line itself shows the name.
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
            out.write_event_with(RecordKind::Descriptor, time, pid, tid, args, &payloads);
        }
    }
}

/// Returns whether this line of `/proc/PID/maps` is a shared and writable mapping of a file with a
/// name.
fn is_shared_and_writable(line: &[u8]) -> bool {
    const NOT_FILES: [&[u8]; 4] = [b"/dev/", b"/memfd:", b"/SYSV", b"/anon_hugepage"];
    let mut words = line.splitn(6, |b| *b == b' ');
    let permissions = words.nth(1).unwrap_or_default();
    let path = words.nth(3).unwrap_or_default().trim_ascii();
    permissions.get(1) == Some(&b'w')
        && permissions.get(3) == Some(&b's')
        && path.first() == Some(&b'/')
        && !NOT_FILES.iter().any(|prefix| path.starts_with(prefix))
}

/// Which descriptors are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those that are not close-on-exec.
    InheritedByExec,
}

/// Writes a `Descriptor` record for each descriptor of the process.
fn write_descriptors(
    out: &mut RecordWriter,
    files: &mut OpenFiles,
    time: u64,
    pid: i32,
    tid: i32,
    which: Which,
) {
    let Ok(listing) = std::fs::read_dir(format!("/proc/{tid}/fd")) else { return };
    let mut descriptors: Vec<i32> =
        listing.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    descriptors.sort_unstable();
    for fd in descriptors {
        let Some(info) = read_fdinfo(tid, fd) else { continue };
        if which == Which::InheritedByExec && info.flags & O_CLOEXEC != 0 {
            continue;
        }
        let mut path = Vec::new();
        let identity = read_identity(format_args!("/proc/{tid}/fd/{fd}"), &mut path);
        let key = files.key_of(pid, fd, info, (identity.dev, identity.ino));
        let identity = Identity { offset: info.offset, status: info.flags, ..identity };
        let closes = u64::from(info.flags & O_CLOEXEC != 0);
        let payload = [identity.as_bytes(), &path].concat();
        out.write_event_with(
            RecordKind::Descriptor,
            time,
            pid,
            tid,
            [fd as u64, closes, key, 0, 0, 0],
            &[(0, PayloadKind::Identity, &payload)],
        );
    }
}

/// Writes a `State` record: umask, credentials, directories, command line and program.
/// `credentials` replace those of the process if they are given.
fn write_state_record(
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
    let ids = |name: &str| parse_ids(field(name)).unwrap_or_default();
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
        let identity = read_identity(format_args!("/proc/{tid}/{name}"), &mut path);
        [identity.as_bytes(), &path].concat()
    };
    out.write_event_with(
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
