//! A file that is written from its beginning to its end, and that does not take the page cache from
//! the program that is watched.
//!
//! What is written is sent to the disk soon, and pages that are a window behind are dropped. The
//! window takes bursts that the disk cannot: it is a share of the memory.

use super::Sink;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::num::NonZeroU64;

/// Pages are sent on and dropped so many bytes at a time.
const STEP: u64 = 1 << 20;

/// What is further behind the end of a log than this is not in the page cache, or should not be.
pub(crate) fn window() -> u64 {
    let memory = rustix::system::sysinfo();
    memory.totalram * u64::from(memory.mem_unit) / 32
}

pub(super) struct Log {
    file: File,
    written: u64,
    /// All before it has been sent to the disk,
    sent: u64,
    /// and dropped.
    dropped: u64,
    window: u64,
}

impl Log {
    pub fn new(file: File) -> Self {
        Self { file, written: 0, sent: 0, dropped: 0, window: window() }
    }

    fn wrote(&mut self, n: usize) {
        self.written += n as u64;
        while self.written - self.sent >= STEP {
            // A page that is on its way to the disk is not dropped, but sent; one that has arrived
            // is. None of this may fail the writing.
            let _ = fadvise(&self.file, self.sent, NonZeroU64::new(STEP), Advice::DontNeed);
            self.sent += STEP;
        }
        while self.written - self.dropped >= self.window + STEP {
            let _ = fadvise(&self.file, self.dropped, NonZeroU64::new(STEP), Advice::DontNeed);
            self.dropped += STEP;
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.wrote(n);
        Ok(n)
    }
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = self.file.write_vectored(parts)?;
        self.wrote(n);
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
        let mut log = Log { window: STEP, ..Log::new(path.reopen().expect("the file")) };
        let bytes: Vec<u8> = (0..5_000_011u32).map(|i| (i * 7) as u8).collect();
        for _ in 0..5 {
            log.write_all(&bytes).expect("room");
        }
        log.sync().expect("synced");
        assert!(log.dropped >= STEP && log.sent > log.dropped);
        let all = std::fs::read(path.path()).expect("the file");
        assert!(all.len() == 5 * bytes.len() && all.chunks(bytes.len()).all(|c| c == bytes));
    }
}
