//! `/proc/PID/maps`: the shared mappings of a process.

use rustix::fs::makedev;
use std::ops::Range;

/// A file's device and inode number as `/proc/PID/maps` shows them. For files of overlayfs and
/// btrfs, stat(2) returns others.
pub(super) type FileKey = (u64, u64);

/// A shared mapping.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SharedMapping {
    pub addresses: Range<u64>,
    /// The offset of its first byte in the file.
    pub offset: u64,
    pub file: FileKey,
    pub writable: bool,
}

impl SharedMapping {
    /// Returns the range of the file, in bytes, that is mapped.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.addresses.end - self.addresses.start)
    }
}

/// Returns the shared mappings of the process of a thread, or `None` if they cannot be read.
pub(super) fn shared_mappings(tid: i32) -> Option<Vec<SharedMapping>> {
    let maps = std::fs::read(format!("/proc/{tid}/maps")).ok().filter(|maps| !maps.is_empty())?;
    Some(String::from_utf8_lossy(&maps).lines().filter_map(parse_shared).collect())
}

/// Parses a line. Returns `None` if the mapping is private.
fn parse_shared(line: &str) -> Option<SharedMapping> {
    let mut fields = line.split_ascii_whitespace();
    let [range, mode, offset, device, inode] = std::array::from_fn(|_| fields.next().unwrap_or(""));
    let (start, end) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let device = makedev(number(major)? as u32, number(minor)? as u32);
    let (start, end) = (number(start)?, number(end)?);
    let file = (device, inode.parse().ok()?);
    let writable = mode.as_bytes().get(1) == Some(&b'w');
    let mapping = SharedMapping { addresses: start..end, offset: number(offset)?, file, writable };
    (mode.ends_with('s') && start <= end).then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shared_mappings_of_files_count() {
        let parse = |line| parse_shared(line);
        let line = "7f00-9f00 rw-s 00001000 fe:01 77                   /a b (deleted)";
        let mapping = parse(line).expect("it is a shared mapping");
        assert_eq!((mapping.addresses.clone(), mapping.writable), (0x7f00..0x9f00, true));
        assert_eq!((mapping.range(), mapping.file), (0x1000..0x3000, (makedev(0xfe, 1), 77)));
        assert_eq!(parse("7f00-9f00 rw-p 00001000 fe:01 77 /a"), None);
        assert_eq!(parse("7f00-9f00"), None);
        assert_eq!(parse(""), None);
    }
}
