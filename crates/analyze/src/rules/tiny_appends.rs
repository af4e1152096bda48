//! Runs of very small writes, one after the other.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, bytes, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::{IoClass, MAPPINGS};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "tiny-appends",
    level: Level::Speed,
    means: "A file is written in very small pieces, one right after the other.",
    when: "At least `count` writes of fewer than `size` bytes in a row, each where the last \
           one of the same open file ended, without a read, seek or sync of the file between.",
    cost: "The time of these writes, less that of as many of them as writes of 64 KiB would \
           be.",
    remedy: "Buffer the output (stdio, BufWriter), and flush at the end or before a sync.",
    source: "bheisler/cargo-criterion PR#60",
    query: "reanimator stat --by file,size -e write,writev,pwrite64 {trace}",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 100.0, means: "writes in a row" },
        Threshold { key: "size", unit: Unit::Bytes, value: 512.0, means: "of a small write" },
    ],
    classes: &[IoClass::Write, IoClass::Read, IoClass::Sync, IoClass::Seek],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(TinyAppends::new(values)) };

/// A run of small writes of an open file.
#[derive(Default)]
struct Run {
    handle: u64,
    end: u64,
    tally: Tally,
}

struct TinyAppends {
    count: u64,
    size: u64,
    runs: HashMap<FileId, Run>,
    found: HashMap<FileId, Tally>,
}

impl TinyAppends {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            size: values.number("size"),
            runs: HashMap::default(),
            found: HashMap::default(),
        }
    }

    fn end_run(&mut self, file: FileId) {
        if let Some(run) = self.runs.remove(&file).filter(|run| run.tally.n >= self.count) {
            self.found.entry(file).or_default().merge(&run.tally);
        }
    }
}

impl Rule for TinyAppends {
    fn call(&mut self, call: &View<'_>) {
        let (Some(file), Some(handle)) = (call.regular(), call.handle) else { return };
        let small = call.class == IoClass::Write
            && call.moved > 0
            && call.moved < self.size
            && call.call.nr < MAPPINGS;
        let (true, Some(offset), Some(end)) = (small, call.offset, call.end()) else {
            return self.end_run(file);
        };
        let goes_on = |run: &Run| run.end == offset && run.handle == handle.id;
        if !self.runs.get(&file).is_some_and(goes_on) {
            self.end_run(file);
        }
        let run = self.runs.entry(file).or_default();
        (run.handle, run.end) = (handle.id, end);
        run.tally.add(call);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let files: Vec<FileId> = self.runs.keys().copied().collect();
        files.into_iter().for_each(|file| self.end_run(file));
        let total: u64 = self.found.values().map(|tally| tally.n).sum();
        let place = |(file, tally): (&FileId, &Tally)| {
            let text = format!("{} writes of {}", count(tally.n), bytes(tally.mean_bytes()));
            tally.place(context.files.name(*file), text, tally.saved_by_calls_of(64 << 10))
        };
        Found::speed(self.found.iter().map(place).collect(), |places| {
            format!("{} very small writes in a row {}.", count(total), of_files(places))
        })
    }
}
