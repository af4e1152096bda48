//! Small writes to a file that is opened to be written through.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, bytes, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "sync-open",
    level: Level::Speed,
    means: "Small writes go to a file that was opened with O_SYNC or O_DSYNC: each waits for \
           the disk.",
    when: "At least `count` writes of fewer than `size` bytes to a file through descriptors \
           with O_SYNC or O_DSYNC.",
    cost: "The time of these writes, less that of as many of them as writes of 64 KiB would \
           be.",
    remedy: "Gather writes, or write without O_SYNC and call fdatasync where the data must be \
           safe.",
    source: "xapi-project/xen-api PR#3580, opencontainers/runc PR#1100",
    query: "SELECT file, count(*) AS writes, sum(duration)/1e9 AS seconds FROM \
           '{trace}/calls-*.parquet' WHERE call LIKE '%write%' GROUP BY file ORDER BY seconds \
           DESC;",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 100.0, means: "writes" },
        Threshold { key: "size", unit: Unit::Bytes, value: 65536.0, means: "of a small write" },
    ],
    classes: &[IoClass::Write, IoClass::Open],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(SyncOpen::new(values)) };

struct SyncOpen {
    count: u64,
    size: u64,
    files: HashMap<FileId, Tally>,
}

impl SyncOpen {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            size: values.number("size"),
            files: HashMap::default(),
        }
    }
}

impl Rule for SyncOpen {
    fn call(&mut self, call: &View<'_>) {
        if call.class == IoClass::Write
            && call.is_durable()
            && call.moved > 0
            && call.moved < self.size
            && let Some(file) = call.regular()
        {
            self.files.entry(file).or_default().add(call);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let found = self.files.iter().filter(|(_, tally)| tally.n >= self.count);
        let total: u64 = found.clone().map(|(_, tally)| tally.n).sum();
        let place = |(file, tally): (&FileId, &Tally)| {
            let text = format!("{} writes of {}", count(tally.n), bytes(tally.mean_bytes()));
            tally.place(context.files.name(*file), text, tally.saved_by_calls_of(64 << 10))
        };
        Found::speed(found.map(place).collect(), |places| {
            format!("{} small writes {} wait for the disk.", count(total), of_files(places))
        })
    }
}
