//! Whether the machine has a CPU to spare, and its disks.
//!
//! SCHED_IDLE is not enough: a CPU that runs such a thread does not look for what waits on other
//! CPUs' queues, as an idle one does. Measured, a compile that keeps all CPUs busy takes 4 to 5 %
//! longer with such a thread beside it.

use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Looked at over so long.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// So much of a CPU must be idle, or ours.
const MIN_IDLE_CPUS: f64 = 0.5;

/// Disks that have to write more than so many bytes now are busy: journals are sent to them at
/// once, others' pages when it suits.
const MAX_WRITEBACK_BYTES: f64 = (64 << 20) as f64;

/// What is spare, for the thread that asks.
pub(crate) struct SpareCpu {
    uptime: Option<File>,
    memory: Option<File>,
    since: Instant,
    idle: f64,
    ours: f64,
    available: bool,
}

impl SpareCpu {
    /// Nothing is known yet: there is none.
    pub fn new() -> Self {
        let open = |path: &str| File::open(path).ok();
        let mut spare = Self {
            uptime: open("/proc/uptime"),
            memory: open("/proc/meminfo"),
            since: Instant::now(),
            idle: 0.0,
            ours: 0.0,
            available: false,
        };
        (spare.idle, spare.ours) = (spare.idle(), thread_seconds());
        spare
    }

    /// Whether there was enough lately.
    pub fn is_available(&mut self) -> bool {
        let passed = self.since.elapsed();
        if passed >= MEASURE_EVERY {
            let (idle, ours) = (self.idle(), thread_seconds());
            let spare = idle - std::mem::replace(&mut self.idle, idle) + ours
                - std::mem::replace(&mut self.ours, ours);
            self.available = spare >= MIN_IDLE_CPUS * passed.as_secs_f64()
                && writeback_bytes(self.memory.as_ref()) < MAX_WRITEBACK_BYTES;
            self.since = Instant::now();
        }
        self.available
    }

    /// Seconds that CPUs were idle, all together.
    fn idle(&self) -> f64 {
        number_in(self.uptime.as_ref(), 1).unwrap_or(0.0)
    }
}

/// Bytes that are on their way to disks.
fn writeback_bytes(memory: Option<&File>) -> f64 {
    let mut text = [0; 4096];
    let len = memory.and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    let kib = |line: &str| line.strip_prefix("Writeback:")?.split_whitespace().next()?.parse().ok();
    String::from_utf8_lossy(&text[..len]).lines().find_map(kib).map_or(0.0, |kib: f64| kib * 1024.0)
}

/// Seconds that our thread ran.
fn thread_seconds() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// A number in a one-line file of procfs.
pub(crate) fn number_in(file: Option<&File>, n: usize) -> Option<f64> {
    let mut text = [0; 128];
    let len = file?.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.split_whitespace().nth(n)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_procfs_tells() {
        let file = |text: &str| {
            use std::io::Write;
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(text.as_bytes()).expect("room");
            file
        };
        assert!(
            (writeback_bytes(Some(&file(
                "Dirty:   9 kB\nWriteback:          2048 kB\nWritebackTmp:   7 kB\n"
            ))) - 2_097_152.0)
                .abs()
                < 1.0
        );
        assert!(writeback_bytes(None) < 1.0);
        assert!(
            number_in(Some(&file("12.50 20.25\n")), 1)
                .is_some_and(|idle| (idle - 20.25).abs() < 0.001)
        );
        assert!(SpareCpu::new().idle > 0.0);
        assert!(!SpareCpu::new().is_available(), "nothing is known yet");
    }
}
