//! The facts about this machine, process and moment that a trace holds.

use rustix::time::ClockId;
use trace::{Mount, RecordingInfo};

/// Collects the facts about this machine, process and moment. `command`, `joined`, `engine`,
/// `filter` and `version` are left for the caller to fill in; what cannot be read has its default
/// value.
pub fn collect_host_facts() -> RecordingInfo {
    let uname = rustix::system::uname();
    let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    let began = clock_ns(ClockId::Monotonic);
    RecordingInfo {
        began: began as u64,
        clock_offset: clock_offset(),
        directory: std::env::current_dir()
            .map(|d| std::os::unix::ffi::OsStringExt::into_vec(d.into_os_string()))
            .unwrap_or_default(),
        host: text(uname.nodename()),
        kernel: text(uname.release()),
        machine: text(uname.machine()),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        page_size: rustix::param::page_size() as u32,
        uid: rustix::process::getuid().as_raw(),
        mounts: std::fs::read("/proc/self/mountinfo")
            .map(|t| parse_mountinfo(&t))
            .unwrap_or_default(),
        data: "all".into(),
        ..RecordingInfo::default()
    }
}

/// Returns the time of a clock, in nanoseconds.
fn clock_ns(id: ClockId) -> i64 {
    let t = rustix::time::clock_gettime(id);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// Returns how many nanoseconds CLOCK_REALTIME is ahead of CLOCK_MONOTONIC. The two cannot be read
/// at once, so of several readings the one that took the least time is used.
fn clock_offset() -> i64 {
    let readings = (0..16).map(|_| {
        let before = clock_ns(ClockId::Monotonic);
        let real = clock_ns(ClockId::Realtime);
        let after = clock_ns(ClockId::Monotonic);
        (after - before, real - before - (after - before) / 2)
    });
    readings.min().map_or(0, |(_, offset)| offset)
}

/// Parses `/proc/self/mountinfo` (proc(5)): the fifth field is the mount point, the type of the
/// file system follows ` - `. Lines of another form are left out.
fn parse_mountinfo(text: &[u8]) -> Vec<Mount> {
    let line = |line: &[u8]| {
        let mut fields = line.split(|b| *b == b' ');
        let point = fields.nth(4)?;
        let fs = fields.skip_while(|f| *f != b"-").nth(1)?;
        Some(Mount { point: unescape_octal(point), fs: String::from_utf8_lossy(fs).into_owned() })
    };
    text.split(|b| *b == b'\n').filter_map(line).collect()
}

/// Replaces `\ooo`, which stands for space, tab, newline and backslash in mountinfo, by the byte.
fn unescape_octal(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&b, after)) = rest.split_first() {
        match after {
            [x @ b'0'..=b'3', y @ b'0'..=b'7', z @ b'0'..=b'7', tail @ ..] if b == b'\\' => {
                out.push((x - b'0') * 64 + (y - b'0') * 8 + (z - b'0'));
                rest = tail;
            }
            _ => {
                out.push(b);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn mount_points_with_spaces() {
        let text = b"36 35 98:0 / /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw\n\
            1 2 0:3 / / rw - overlay o rw\nrubbish\n";
        let seen: Vec<_> =
            super::parse_mountinfo(text).into_iter().map(|m| (m.point, m.fs)).collect();
        assert_eq!(
            seen,
            [(b"/mnt 2".to_vec(), "ext3".to_owned()), (b"/".to_vec(), "overlay".to_owned())]
        );
    }

    #[test]
    fn this_machine() {
        let here = super::collect_host_facts();
        assert!(here.mounts.iter().any(|m| m.point == b"/"), "{here:?}");
        assert!(
            here.clock_offset > 1_000_000_000_000_000_000 - here.began as i64
                && here.page_size >= 4096
        );
    }
}
