//! Locks of files that others hold.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Evidence, Found, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "lock-wait",
    level: Level::Speed,
    means: "A thread waits for locks of files, or tries again and again to get one.",
    when: "The calls that lock files take at least `share` of the time of a thread; or at \
           least `refused` of them are refused (EAGAIN, EACCES). Locks in memory (futex) do \
           not count.",
    cost: "The time of these calls.",
    remedy: "Hold the lock for less, lock ranges, or give each writer a file of its own.",
    source: "Own",
    query: "SELECT tid, file, count(*), sum(duration)/1e9 AS seconds FROM \
           '{trace}/calls-*.parquet' WHERE call = 'flock' OR variant LIKE '%LK%' GROUP BY \
           ALL ORDER BY seconds DESC;",
    thresholds: &[
        Threshold { key: "share", unit: Unit::Share, value: 0.1, means: "of the time of a thread" },
        Threshold {
            key: "refused",
            unit: Unit::Count,
            value: 100.0,
            means: "locks that are refused",
        },
    ],
    classes: &[IoClass::Lock],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(LockWait::new(values)) };

const REFUSALS: [u32; 2] = [linux_raw_sys::errno::EAGAIN, linux_raw_sys::errno::EACCES];

struct LockWait {
    share: f64,
    least: u64,
    /// By thread and file.
    waits: HashMap<(u32, FileId), Tally>,
    refused: HashMap<FileId, Tally>,
}

impl LockWait {
    fn new(values: &Values<'_>) -> Self {
        Self {
            share: values.get("share"),
            least: values.number("refused").max(1),
            waits: HashMap::default(),
            refused: HashMap::default(),
        }
    }
}

impl Rule for LockWait {
    fn call(&mut self, call: &View<'_>) {
        let Some(file) = call.file else { return };
        if call.errno.is_some_and(|errno| REFUSALS.contains(&errno.unsigned_abs())) {
            self.refused.entry(file).or_default().add(call);
        } else {
            self.waits.entry((call.call.tid, file)).or_default().add(call);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let mut of_thread = HashMap::<u32, u64>::default();
        for ((tid, _), tally) in &self.waits {
            let sum = of_thread.entry(*tid).or_default();
            *sum = sum.saturating_add(tally.time);
        }
        let waits_long = |tid: &u32| {
            let whole = context.thread_time(*tid);
            whole > 0 && of_thread[tid] as f64 >= self.share * whole as f64
        };
        let mut places: Vec<Evidence> = Vec::new();
        for ((tid, file), tally) in self.waits.iter().filter(|((tid, _), _)| waits_long(tid)) {
            let text = format!("thread {tid} takes {} locks", count(tally.n));
            places.push(tally.place(context.files.name(*file), text, tally.time));
        }
        for (file, tally) in self.refused.iter().filter(|(_, tally)| tally.n >= self.least) {
            let text = format!("{} locks are refused", count(tally.n));
            places.push(tally.place(context.files.name(*file), text, tally.time));
        }
        Found::speed(places, |places| format!("Locks {} are waited for.", of_files(places)))
    }
}
