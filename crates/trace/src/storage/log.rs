//! A file that is written from its beginning to its end, without pushing the recorded program's
//! pages out of the page cache.
//!
//! Write-back starts soon after a write, and pages far enough behind the end of the file are
//! dropped from the page cache. The distance is a share of the machine's memory, so that bursts
//! that are faster than the disk are buffered.

use super::Sink;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::num::NonZeroU64;

/// How many bytes are written back or dropped at once.
const STEP_BYTES: u64 = 1 << 20;

/// Returns how many bytes at the end of a log may stay in the page cache.
pub(crate) fn cached_bytes() -> u64 {
    let memory = rustix::system::sysinfo();
    memory.totalram * u64::from(memory.mem_unit) / 32
}

/// A file that is written from its beginning to its end.
pub(super) struct Log {
    file: File,
    /// The number of bytes written.
    written: u64,
    /// Write-back of all bytes before this offset was started.
    written_back: u64,
    /// All bytes before this offset were dropped from the page cache.
    dropped: u64,
    /// How many bytes at the end may stay in the page cache.
    cached_bytes: u64,
}

impl Log {
    /// Starts at the beginning of `file`, which must be empty.
    pub fn new(file: File) -> Self {
        Self { file, written: 0, written_back: 0, dropped: 0, cached_bytes: cached_bytes() }
    }

    /// Counts `n` bytes that were written, starts their write-back and drops old pages.
    fn after_write(&mut self, n: usize) {
        self.written += n as u64;
        while self.written - self.written_back >= STEP_BYTES {
            // `DontNeed` starts the write-back of a dirty page and drops a clean one. An error is
            // ignored, since it must not fail the write.
            let _ = fadvise(
                &self.file,
                self.written_back,
                NonZeroU64::new(STEP_BYTES),
                Advice::DontNeed,
            );
            self.written_back += STEP_BYTES;
        }
        while self.written - self.dropped >= self.cached_bytes + STEP_BYTES {
            let _ =
                fadvise(&self.file, self.dropped, NonZeroU64::new(STEP_BYTES), Advice::DontNeed);
            self.dropped += STEP_BYTES;
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.after_write(n);
        Ok(n)
    }
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = self.file.write_vectored(parts)?;
        self.after_write(n);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Log {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there() {
        let path = tempfile::NamedTempFile::new().expect("a file");
        let mut log =
            Log { cached_bytes: STEP_BYTES, ..Log::new(path.reopen().expect("the file")) };
        let bytes: Vec<u8> = (0..5_000_011u32).map(|i| (i * 7) as u8).collect();
        for _ in 0..5 {
            log.write_all(&bytes).expect("room");
        }
        log.sync().expect("synced");
        assert!(log.dropped >= STEP_BYTES && log.written_back > log.dropped);
        let all = std::fs::read(path.path()).expect("the file");
        assert!(all.len() == 5 * bytes.len() && all.chunks(bytes.len()).all(|c| c == bytes));
    }
}
