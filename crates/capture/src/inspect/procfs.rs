//! What `/proc` tells of processes, threads and descriptors.

use std::os::unix::ffi::OsStrExt;

/// What `/proc/TID/fdinfo/FD` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub position: u64,
    pub flags: u32,
}

/// Asks procfs about a descriptor.
pub(crate) fn descriptor_info(tid: i32, fd: i32) -> Option<Info> {
    std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).ok().map(|text| parse(&text))
}

fn parse(text: &str) -> Info {
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    Info {
        position: field("pos:").and_then(|v| v.parse().ok()).unwrap_or(0),
        flags: field("flags:").and_then(|v| u32::from_str_radix(v, 8).ok()).unwrap_or(0),
    }
}

/// The threads of a process, in no order.
pub(crate) fn threads(pid: i32) -> std::io::Result<impl Iterator<Item = i32>> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?
        .filter_map(|t| t.ok()?.file_name().to_str()?.parse().ok()))
}

/// Whether a thread has ended, even if that was not reported: the first thread of a process is a
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

/// The file that a process executes.
pub(crate) fn executable(tid: i32) -> Vec<u8> {
    std::fs::read_link(format!("/proc/{tid}/exe"))
        .map(|p| p.as_os_str().as_bytes().to_vec())
        .unwrap_or_default()
}

/// Real, effective, saved and file system ID, from a field of `/proc/TID/status`.
pub(crate) fn ids(field: &str) -> Option<[u64; 4]> {
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
    fn what_fdinfo_tells() {
        let text = "pos:\t17\nflags:\t02100001\nmnt_id:\t9\n";
        assert_eq!(parse(text), Info { position: 17, flags: 0o2_100_001 });
    }
}
