//! Facts about processes, threads and descriptors, from `/proc`.

use std::os::unix::ffi::OsStrExt;

/// The contents of `/proc/TID/fdinfo/FD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FdInfo {
    /// The file offset.
    pub offset: u64,
    /// File access mode and status flags (`O_*`).
    pub flags: u32,
}

/// Returns the fdinfo of a descriptor, or `None` if it cannot be read.
pub(crate) fn read_fdinfo(tid: i32, fd: i32) -> Option<FdInfo> {
    std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).ok().map(|text| parse_fdinfo(&text))
}

/// Parses the text of a fdinfo file. Fields that are missing are 0.
fn parse_fdinfo(text: &str) -> FdInfo {
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    FdInfo {
        offset: field("pos:").and_then(|v| v.parse().ok()).unwrap_or(0),
        flags: field("flags:").and_then(|v| u32::from_str_radix(v, 8).ok()).unwrap_or(0),
    }
}

/// Returns the thread IDs of a process, in no particular order. Fails if there is no such process.
pub(crate) fn list_threads(pid: i32) -> std::io::Result<impl Iterator<Item = i32>> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?
        .filter_map(|t| t.ok()?.file_name().to_str()?.parse().ok()))
}

/// Returns whether a thread has ended, even if wait(2) has not reported it: the first thread of a
/// process remains a zombie until the others have ended.
pub(crate) fn is_dead(tid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|l| l.strip_prefix("State:")).unwrap_or("X");
    state.trim_start().starts_with(['Z', 'X'])
}

/// Returns the child processes of a thread; none if the kernel does not list them
/// (`CONFIG_PROC_CHILDREN`).
pub(crate) fn list_children(pid: i32, tid: i32) -> Vec<i32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Returns whether a process has an io_uring instance or a libaio context.
pub(crate) fn uses_async_io(pid: i32) -> bool {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let mut targets = links.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let has_ring = targets.any(|target| target.as_os_str() == "anon_inode:[io_uring]");
    let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    has_ring || maps.split(|byte| *byte == b'\n').any(|line| line.ends_with(b"/[aio] (deleted)"))
}

/// Returns the path of the file that a process executes, or nothing if it cannot be read.
pub(crate) fn executable_path(tid: i32) -> Vec<u8> {
    std::fs::read_link(format!("/proc/{tid}/exe"))
        .map(|p| p.as_os_str().as_bytes().to_vec())
        .unwrap_or_default()
}

/// Parses the real, effective, saved and file system ID of a field of `/proc/TID/status`.
pub(crate) fn parse_ids(field: &str) -> Option<[u64; 4]> {
    let ids: Option<Vec<u64>> = field.split_whitespace().map(|v| v.parse().ok()).collect();
    ids?.try_into().ok()
}

/// Returns the effective user and group ID of a process, or `None` if there is no such process.
pub(crate) fn effective_ids(pid: i32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = |name| status.lines().find_map(|l| l.strip_prefix(name)).and_then(parse_ids);
    Some((ids("Uid:")?[1], ids("Gid:")?[1]))
}

/// Returns the number in the field `name` of `/proc/TID/status`, or `None` if there is no such
/// thread or field.
pub(crate) fn read_status_number(tid: i32, name: &str) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fdinfo_tells() {
        let text = "pos:\t17\nflags:\t02100001\nmnt_id:\t9\n";
        assert_eq!(parse_fdinfo(text), FdInfo { offset: 17, flags: 0o2_100_001 });
    }
}
