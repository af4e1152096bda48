//! A sync after each small write.

use super::dirty::Dirty;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Evidence, Found, bytes, count, of_files};
use crate::findings::files::PathId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::{IoClass, SyncScope};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "sync-per-record",
    level: Level::Speed,
    means: "A file is synced again and again after a few bytes.",
    when: "At least `count` syncs of a file, or of files of the same path, with fewer than `bytes` \
           written since the last one, which take at least `share` of the time of the thread that \
           makes the first.",
    cost: "The time of these syncs, less that of one: it is what one sync at the end would save.",
    remedy: "Write several records, then sync once (a transaction, group commit), or append to a \
             log that is synced once per batch.",
    source: "rhboot/grubby#10: 0.15 s became 12.6 s. Databases that commit one record write one or \
             two pages, so the limit is 16 KiB",
    query: "SELECT file, count(*) AS syncs, sum(duration)/1e9 AS seconds FROM \
            '{trace}/calls-*.parquet' WHERE call IN ('fsync','fdatasync','uring_fsync') GROUP BY \
            file ORDER BY seconds DESC;",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 20.0, means: "syncs of a file" },
        Threshold { key: "bytes", unit: Unit::Bytes, value: 16384.0, means: "written between" },
        Threshold { key: "share", unit: Unit::Share, value: 0.1, means: "of the thread's time" },
    ],
    classes: &[IoClass::Write, IoClass::Sync],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(SyncPerRecord::new(values)) };

/// The small syncs of a file.
#[derive(Default)]
struct Small {
    seq: u64,
    syncs: u64,
    bytes: u64,
    time: u64,
    /// Of the thread that made the first one.
    tid: u32,
    time_of_thread: u64,
}

struct SyncPerRecord {
    count: u64,
    bytes: u64,
    share: f64,
    dirty: Dirty,
    /// By the path at which the file was opened first: journals are made anew each time.
    paths: HashMap<PathId, Small>,
}

impl SyncPerRecord {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count"),
            bytes: values.number("bytes"),
            share: values.get("share"),
            dirty: Dirty::default(),
            paths: HashMap::default(),
        }
    }
}

impl Rule for SyncPerRecord {
    fn call(&mut self, call: &View<'_>) {
        if call.sync == Some(SyncScope::File)
            && call.errno.is_none()
            && let Some(file) = call.regular()
            && let Some(written) = self.dirty.get(file)
            && written.bytes < self.bytes
        {
            let small = self.paths.entry(call.files.get(file).path).or_insert_with(|| Small {
                seq: call.seq(),
                tid: call.call.tid,
                ..Small::default()
            });
            small.syncs += 1;
            small.bytes = small.bytes.saturating_add(written.bytes);
            small.time = small.time.saturating_add(call.duration);
            if small.tid == call.call.tid {
                small.time_of_thread = small.time_of_thread.saturating_add(call.duration);
            }
        }
        self.dirty.apply(call);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let counts = |small: &Small| {
            small.syncs >= self.count.max(1)
                && small.time_of_thread as f64 >= self.share * context.thread_time(small.tid) as f64
        };
        let found = self.paths.iter().filter(|(_, small)| counts(small));
        let syncs: u64 = found.clone().map(|(_, small)| small.syncs).sum();
        let place = |(path, small): (&PathId, &Small)| Evidence {
            seq: small.seq,
            file: context.files.text(*path),
            text: format!(
                "{} syncs, {} between on average",
                count(small.syncs),
                bytes(small.bytes / small.syncs)
            ),
            cost: small.time - small.time / small.syncs,
            weight: small.syncs,
        };
        Found::speed(found.map(place).collect(), |places| {
            format!(
                "{} syncs {} had less than {} to write: each record waits for the disk.",
                count(syncs),
                of_files(places),
                bytes(self.bytes)
            )
        })
    }
}
