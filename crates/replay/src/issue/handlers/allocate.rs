//! fallocate: what the file system of the root cannot do is done by other calls, and counted.
//!
//! Blocks that are reserved or given back are the file system's affair: what counts is the content
//! and the size. The calls that conflict with this one wait meanwhile, as they do for any other.

use super::open_file::{OpenFile, check};
use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::raw;
use crate::issue::thread::ExecutorThread;
use abi::errno_of;
use linux_raw_sys::general::{
    FALLOC_FL_COLLAPSE_RANGE as COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE as INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE as KEEP_SIZE, FALLOC_FL_PUNCH_HOLE as PUNCH_HOLE,
    FALLOC_FL_UNSHARE_RANGE as UNSHARE_RANGE, FALLOC_FL_WRITE_ZEROES as WRITE_ZEROES,
    FALLOC_FL_ZERO_RANGE as ZERO_RANGE, O_ACCMODE, O_WRONLY,
};
use rustix::io::Errno;
use std::sync::PoisonError;

/// Bytes that are moved at a time.
const CHUNK: u64 = 1 << 20;

/// Returns whether a file system refused an operation because it lacks it, or lacks it for blocks
/// of this size (`EINVAL`).
fn is_unsupported(result: i64) -> bool {
    matches!(
        errno_of(result).map(Errno::from_raw_os_error),
        Some(Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::OPNOTSUPP)
    )
}

/// Returns the name of the operation for the report. Returns `None` if it cannot be emulated.
fn operation(mode: u32) -> Option<&'static str> {
    Some(match mode & !KEEP_SIZE {
        0 => "allocate",
        PUNCH_HOLE if mode & KEEP_SIZE != 0 => "punch hole",
        COLLAPSE_RANGE if mode & KEEP_SIZE == 0 => "collapse range",
        ZERO_RANGE => "zero range",
        INSERT_RANGE if mode & KEEP_SIZE == 0 => "insert range",
        UNSHARE_RANGE => "unshare range",
        WRITE_ZEROES => "write zeroes",
        _ => return None,
    })
}

/// Performs a fallocate(2). If the file system lacks the operation, emulates it with reads and
/// writes.
pub(super) fn allocate(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    let [_, mode, offset, len, ..] = handled.call.args;
    let mode = mode as u32;
    let (Some(name), Some(descriptor)) = (
        operation(mode).filter(|_| handled.call.succeeded() && is_unsupported(got)),
        &handled.operands.fds[0],
    ) else {
        return Ok(handled.expected().compare_result(got));
    };
    let Some(buffer) = thread.scratch.alloc(CHUNK as usize) else {
        return Err("larger than any call");
    };
    let buffer = thread.scratch.bytes_mut(buffer);
    let check = OpenFile::prepare(descriptor.real.get(), &descriptor.file.path)
        .and_then(|file| file.emulate(mode, offset, len, buffer));
    if let Err(error) = check {
        return Ok(handled.expected().compare_result(error));
    }
    let mut emulated = thread.context.emulated.lock().unwrap_or_else(PoisonError::into_inner);
    *emulated.entry(name).or_default() += 1;
    Ok(None)
}

impl OpenFile<'_> {
    /// Does with other calls what a fallocate(2) of this mode does. `buffer` is memory for copies.
    /// Fails with a negative errno.
    fn emulate(&self, mode: u32, offset: u64, len: u64, buffer: &mut [u8]) -> Result<(), i64> {
        let end = offset.checked_add(len).ok_or(raw::result_of(Errno::INVAL))?;
        match mode & !KEEP_SIZE {
            COLLAPSE_RANGE if end < self.size => {
                let reader = self.reader()?;
                let mut at = end;
                while at < self.size {
                    let n = CHUNK.min(self.size - at);
                    self.copy_range(&reader, at, offset + (at - end), &mut buffer[..n as usize])?;
                    at += n;
                }
                return check(raw::ftruncate(self.fd, self.size - len)).map(drop);
            }
            INSERT_RANGE if offset < self.size => {
                let reader = self.reader()?;
                let mut at = self.size;
                while at > offset {
                    let n = CHUNK.min(at - offset);
                    at -= n;
                    self.copy_range(&reader, at, at + len, &mut buffer[..n as usize])?;
                }
                return self.zero(offset, end, buffer);
            }
            COLLAPSE_RANGE | INSERT_RANGE => return Err(raw::result_of(Errno::INVAL)),
            PUNCH_HOLE | ZERO_RANGE | WRITE_ZEROES => {
                self.zero(offset, end.min(self.size), buffer)?;
            }
            _ => {}
        }
        if mode & KEEP_SIZE == 0 && end > self.size {
            check(raw::ftruncate(self.fd, end))?;
        }
        Ok(())
    }

    /// Returns a descriptor to read from. If the file is open for writing only, opens it by its
    /// path, provided that this is still the same file.
    fn reader(&self) -> Result<Reader, i64> {
        if check(raw::status_flags(self.fd))? as u32 & O_ACCMODE != O_WRONLY {
            return Ok(Reader { fd: self.fd, owned: false });
        }
        let fd = check(raw::open(self.path, 0))? as i32;
        let reader = Reader { fd, owned: true };
        let file = |fd| raw::statx(fd, b"\0", true).map(|found| found.file);
        if file(fd) == file(self.fd) { Ok(reader) } else { Err(raw::result_of(Errno::OPNOTSUPP)) }
    }

    /// Copies as many bytes as `buffer` has from offset `at` to offset `to`.
    fn copy_range(&self, from: &Reader, at: u64, to: u64, buffer: &mut [u8]) -> Result<(), i64> {
        let mut filled = 0;
        while filled < buffer.len() {
            match raw::read(from.fd, &mut buffer[filled..], Some(at + filled as u64)) {
                0 => return Err(raw::result_of(Errno::INVAL)),
                got => filled += check(got)? as usize,
            }
        }
        self.write(buffer, to)
    }

    /// Makes the bytes from `start` to `end` zero: by a hole if the file system has holes, else by
    /// writing.
    fn zero(&self, start: u64, end: u64, buffer: &mut [u8]) -> Result<(), i64> {
        let len = end.saturating_sub(start);
        if len == 0 || raw::fallocate(self.fd, PUNCH_HOLE | KEEP_SIZE, start, len) == 0 {
            return Ok(());
        }
        buffer.fill(0);
        let mut at = start;
        while at < end {
            let n = CHUNK.min(end - at);
            self.write(&buffer[..n as usize], at)?;
            at += n;
        }
        Ok(())
    }
}

struct Reader {
    fd: i32,
    /// It was opened for this.
    owned: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.owned {
            raw::close(self.fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general::{O_APPEND, O_DIRECT};
    use std::fs::{File as Real, OpenOptions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    /// What the operation does to a file's bytes (fallocate(2)).
    fn model(bytes: &mut Vec<u8>, mode: u32, offset: usize, len: usize) {
        let (size, end) = (bytes.len(), offset + len);
        match mode & !KEEP_SIZE {
            COLLAPSE_RANGE => drop(bytes.drain(offset..end)),
            INSERT_RANGE => drop(bytes.splice(offset..offset, vec![0; len])),
            PUNCH_HOLE | ZERO_RANGE | WRITE_ZEROES => {
                bytes[offset.min(size)..end.min(size)].fill(0);
            }
            _ => {}
        }
        if mode & (KEEP_SIZE | COLLAPSE_RANGE | INSERT_RANGE) == 0 {
            bytes.resize(bytes.len().max(end), 0);
        }
    }

    /// Every operation at places around the stretches that are moved at once, through descriptors
    /// that append, that are direct, and that only write; the flags are as before.
    #[test]
    fn operations_leave_what_fallocate_leaves() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("file");
        let stretch = CHUNK as usize;
        let mut buffer = vec![0; stretch];
        let modes = [
            0,
            KEEP_SIZE,
            PUNCH_HOLE | KEEP_SIZE,
            COLLAPSE_RANGE,
            ZERO_RANGE,
            ZERO_RANGE | KEEP_SIZE,
            INSERT_RANGE,
            UNSHARE_RANGE | KEEP_SIZE,
            WRITE_ZEROES,
        ];
        for (n, mode) in modes.into_iter().enumerate() {
            for (offset, len, size) in [(0, 1, 3), (3, stretch + 5, 3 * stretch), (1, 9, 10)] {
                let mut bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
                std::fs::write(&path, &bytes).expect("a file");
                let flags = [0, O_APPEND, O_DIRECT, O_APPEND | O_DIRECT][n % 4];
                let fd = OpenOptions::new()
                    .read(n % 3 != 0)
                    .write(true)
                    .custom_flags(flags as i32)
                    .open(&path)
                    .expect("a file that can be opened so");
                let before = raw::status_flags(fd.as_raw_fd());
                let name = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
                let file = OpenFile::prepare(fd.as_raw_fd(), name).expect("its status and size");
                let check = file.emulate(mode, offset as u64, len as u64, &mut buffer);
                drop(file);
                assert_eq!(raw::status_flags(fd.as_raw_fd()), before);
                if mode == COLLAPSE_RANGE && offset + len >= size {
                    assert_eq!(check, Err(raw::result_of(Errno::INVAL)));
                    continue;
                }
                assert_eq!(check, Ok(()), "{mode:#x} at {offset}, {len} of {size}");
                model(&mut bytes, mode, offset, len);
                let got = std::fs::read(&path).expect("the file");
                assert!(got == bytes, "{mode:#x} at {offset}, {len} of {size}");
            }
        }
    }

    /// A file that is open for writing only and whose name is another's now cannot be read.
    #[test]
    fn another_file_is_not_read() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("file");
        let fd = Real::create(&path).expect("a file");
        fd.set_len(100).expect("its size");
        std::fs::rename(&path, place.path().join("moved")).expect("another name");
        std::fs::write(&path, [7; 100]).expect("another file");
        let name = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let file = OpenFile::prepare(fd.as_raw_fd(), name).expect("its status and size");
        assert_eq!(
            file.emulate(COLLAPSE_RANGE, 0, 50, &mut [0; 100]),
            Err(raw::result_of(Errno::OPNOTSUPP))
        );
    }
}
