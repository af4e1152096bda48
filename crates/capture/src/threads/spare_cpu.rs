//! Whether the machine has an idle CPU, and its disks have little to write.
//!
//! SCHED_IDLE is not enough: a CPU that runs such a thread does not take over threads that wait in
//! other CPUs' run queues, as an idle CPU does. Measured, a compilation that keeps all CPUs busy
//! takes 4 to 5 % longer beside such a thread.

use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// The period over which idle time is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// A CPU counts as spare if this many CPUs were idle on average, time of the calling thread
/// included.
const MIN_IDLE_CPUS: f64 = 0.5;

/// Disks with more bytes than this under writeback count as busy. Journals are written back at
/// once, other pages when it suits the kernel.
const MAX_WRITEBACK_BYTES: f64 = (64 << 20) as f64;

/// Measures whether a CPU is spare, for the calling thread.
pub(crate) struct SpareCpu {
    /// `/proc/uptime`
    uptime: Option<File>,
    /// `/proc/meminfo`
    memory: Option<File>,
    /// When the current measurement began.
    since: Instant,
    /// Idle seconds of all CPUs then.
    idle: f64,
    /// CPU seconds of the calling thread then.
    own_time: f64,
    /// The result of the last measurement.
    available: bool,
}

impl SpareCpu {
    /// Starts measuring. No CPU counts as spare until the first measurement is complete.
    pub fn new() -> Self {
        let open = |path: &str| File::open(path).ok();
        let mut spare = Self {
            uptime: open("/proc/uptime"),
            memory: open("/proc/meminfo"),
            since: Instant::now(),
            idle: 0.0,
            own_time: 0.0,
            available: false,
        };
        (spare.idle, spare.own_time) = (spare.idle(), thread_seconds());
        spare
    }

    /// Returns whether a CPU was spare and the disks were not busy during the last measurement.
    pub fn is_available(&mut self) -> bool {
        let passed = self.since.elapsed();
        if passed >= MEASURE_EVERY {
            let (idle, own_time) = (self.idle(), thread_seconds());
            let spare = idle - std::mem::replace(&mut self.idle, idle) + own_time
                - std::mem::replace(&mut self.own_time, own_time);
            self.available = spare >= MIN_IDLE_CPUS * passed.as_secs_f64()
                && writeback_bytes(self.memory.as_ref()) < MAX_WRITEBACK_BYTES;
            self.since = Instant::now();
        }
        self.available
    }

    /// Returns the idle time of all CPUs together, in seconds.
    fn idle(&self) -> f64 {
        read_number(self.uptime.as_ref(), 1).unwrap_or(0.0)
    }
}

/// Returns how many bytes are being written to disks (`Writeback` in /proc/meminfo), or 0 if that
/// cannot be read.
fn writeback_bytes(memory: Option<&File>) -> f64 {
    let mut text = [0; 4096];
    let len = memory.and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    let kib = |line: &str| line.strip_prefix("Writeback:")?.split_whitespace().next()?.parse().ok();
    String::from_utf8_lossy(&text[..len]).lines().find_map(kib).map_or(0.0, |kib: f64| kib * 1024.0)
}

/// Returns the CPU time of the calling thread, in seconds.
fn thread_seconds() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Returns the `n`-th number, from 0, of a one-line file of procfs.
pub(crate) fn read_number(file: Option<&File>, n: usize) -> Option<f64> {
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
            read_number(Some(&file("12.50 20.25\n")), 1)
                .is_some_and(|idle| (idle - 20.25).abs() < 0.001)
        );
        assert!(SpareCpu::new().idle > 0.0);
        assert!(!SpareCpu::new().is_available(), "nothing is known yet");
    }
}
