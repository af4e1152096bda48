//! Whether the machine has a CPU to spare.
//!
//! SCHED_IDLE is not enough: a CPU that runs such a thread does not look for what waits on other CPUs' queues, as an idle one does. Measured, a compile that keeps all CPUs busy
//! takes 4 to 5 % longer with such a thread beside it.

use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Looked at over so long.
const COUNT: Duration = Duration::from_millis(100);
/// So much of a CPU must be idle, or ours.
const ENOUGH: f64 = 0.5;

/// What is spare, for the thread that asks.
pub(crate) struct Spare {
    uptime: Option<File>,
    since: Instant,
    idle: f64,
    ours: f64,
    enough: bool,
}

impl Spare {
    /// Nothing is known yet: there is none.
    pub fn new() -> Self {
        let mut spare = Self { uptime: File::open("/proc/uptime").ok(), since: Instant::now(), idle: 0.0, ours: 0.0, enough: false };
        (spare.idle, spare.ours) = (spare.idle(), ours());
        spare
    }

    /// Whether there was enough lately.
    pub fn is_enough(&mut self) -> bool {
        let passed = self.since.elapsed();
        if passed >= COUNT {
            let (idle, ours) = (self.idle(), ours());
            let spare = idle - std::mem::replace(&mut self.idle, idle) + ours - std::mem::replace(&mut self.ours, ours);
            self.enough = spare >= ENOUGH * passed.as_secs_f64();
            self.since = Instant::now();
        }
        self.enough
    }

    /// Seconds that CPUs were idle, all together.
    fn idle(&self) -> f64 {
        field(self.uptime.as_ref(), 1).unwrap_or(0.0)
    }
}

/// Seconds that our thread ran.
fn ours() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// A number in a one-line file of procfs.
pub(crate) fn field(file: Option<&File>, n: usize) -> Option<f64> {
    let mut text = [0; 128];
    let len = file?.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.split_whitespace().nth(n)?.parse().ok()
}
