//! Reads here and there.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;
use std::ops::Range;

static DEFINITION: Definition = Definition {
    name: "random",
    level: Level::Speed,
    means: "Reads of a file jump, and each takes longer than one in order.",
    when: "At least `count` reads of a file, and at least `share` of them, begin before the \
           end of the last one of the same open file or more than 128 KiB after it, and take \
           on average at least `times` as long as those in order (of the file, or of the \
           trace if it has none; at least `in-order` of them). The same bytes again are no jump.",
    cost: "What these reads take longer than as many in order.",
    remedy: "Sort the requests, read ahead (posix_fadvise, larger pieces), or keep what is used \
           together in one place.",
    source: "Drishti P11, P13",
    query: "SELECT file, \"offset\", bytes, duration FROM '{trace}/calls-*.parquet' WHERE call \
           LIKE '%read%' AND bytes > 0 ORDER BY entered;",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 1000.0, means: "reads that jump" },
        Threshold {
            key: "share",
            unit: Unit::Share,
            value: 0.2,
            means: "of the reads of the file",
        },
        Threshold {
            key: "times",
            unit: Unit::Times,
            value: 4.0,
            means: "as long as those in order",
        },
        Threshold {
            key: "in-order",
            unit: Unit::Count,
            value: 10.0,
            means: "reads in order to compare with",
        },
    ],
    classes: &[IoClass::Read, IoClass::Open],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(Random::new(values)) };

const NEAR: u64 = 128 << 10;

/// The reads of a file.
#[derive(Default)]
struct Reads {
    /// The open file that was read last, and the range of that read.
    last: Option<(u64, Range<u64>)>,
    jumps: Tally,
    in_order: Tally,
}

struct Random {
    count: u64,
    share: f64,
    times: f64,
    least_in_order: u64,
    files: HashMap<FileId, Reads>,
    in_order: Tally,
}

impl Random {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            share: values.get("share"),
            times: values.get("times"),
            least_in_order: values.number("in-order"),
            files: HashMap::default(),
            in_order: Tally::default(),
        }
    }

    /// Returns the mean time of the reads in order with which those of the file are compared: its
    /// own, or those of the trace if it has none. Returns `None` if there are too few.
    fn time_in_order(&self, reads: &Reads) -> Option<u64> {
        let in_order = if reads.in_order.n > 0 { reads.in_order } else { self.in_order };
        (in_order.n >= self.least_in_order).then(|| in_order.time / in_order.n.max(1))
    }
}

impl Rule for Random {
    fn call(&mut self, call: &View<'_>) {
        if call.class != IoClass::Read || call.moved == 0 {
            return;
        }
        let (Some(file), Some(handle)) = (call.regular(), call.handle) else { return };
        let (Some(offset), Some(end)) = (call.offset, call.end()) else { return };
        let reads = self.files.entry(file).or_default();
        if let Some((_, last)) = reads.last.as_ref().filter(|(of, _)| *of == handle.id) {
            if *last == (offset..end) {
                // The same bytes again are no jump.
            } else if offset < last.end || offset > last.end.saturating_add(NEAR) {
                reads.jumps.add(call);
            } else {
                reads.in_order.add(call);
                self.in_order.add(call);
            }
        }
        reads.last = Some((handle.id, offset..end));
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let counts = |reads: &Reads| {
            let all = reads.jumps.n + reads.in_order.n;
            let mean = reads.jumps.time as f64 / reads.jumps.n.max(1) as f64;
            reads.jumps.n >= self.count
                && reads.jumps.n as f64 >= self.share * all as f64
                && self
                    .time_in_order(reads)
                    .is_some_and(|time| mean >= self.times * time.max(1) as f64)
        };
        let found = self.files.iter().filter(|(_, reads)| counts(reads));
        let total: u64 = found.clone().map(|(_, reads)| reads.jumps.n).sum();
        let place = |(file, reads): (&FileId, &Reads)| {
            let tally = &reads.jumps;
            let all = tally.n + reads.in_order.n;
            let text = format!("{} of {} reads jump", count(tally.n), count(all));
            let due = tally.n.saturating_mul(self.time_in_order(reads).unwrap_or(0));
            tally.place(context.files.name(*file), text, tally.time.saturating_sub(due))
        };
        Found::speed(found.map(place).collect(), |places| {
            format!("{} reads {} jump in the file.", count(total), of_files(places))
        })
    }
}
