//! The same bytes are read again and again.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, bytes, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;
use std::collections::BTreeMap;

static DEFINITION: Definition = Definition {
    name: "reread-bytes",
    level: Level::Speed,
    means: "The same bytes of a file are read again, and nothing was written to it between.",
    when: "At least `bytes` and at least `share` of what is read of a file was read before, \
           since it was last written to.",
    cost: "The time of the reads, times the share that was read before.",
    remedy: "Keep what was read, or map the file.",
    source: "Drishti P09 (inverted there)",
    query: "reanimator stat --by file,call -e read,pread64,readv,preadv --sort bytes {trace}",
    thresholds: &[
        Threshold { key: "bytes", unit: Unit::Bytes, value: 16777216.0, means: "read again" },
        Threshold {
            key: "share",
            unit: Unit::Share,
            value: 0.5,
            means: "of what is read of the file",
        },
    ],
    classes: &[IoClass::Read, IoClass::Write, IoClass::Change],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(RereadBytes::new(values)) };

/// So many separate ranges are kept of a file; then its reads are no longer looked at.
const MOST: usize = 4096;

/// What was read of a file since it was last written to.
#[derive(Default)]
struct Reads {
    /// Ends by starts; they do not touch.
    ranges: BTreeMap<u64, u64>,
    tally: Tally,
    again: u64,
}

impl Reads {
    /// Adds a range, and returns how many of its bytes were there.
    fn add(&mut self, from: u64, until: u64) -> u64 {
        let (mut start, mut end, mut had) = (from, until, 0);
        let before = self.ranges.range(..=from).next_back().map(|(s, e)| (*s, *e));
        let touching: Vec<(u64, u64)> = before
            .into_iter()
            .filter(|(_, e)| *e >= from)
            .chain(self.ranges.range(from..=until).map(|(s, e)| (*s, *e)))
            .collect();
        let mut counted = None;
        for (s, e) in touching {
            if counted == Some(s) {
                continue;
            }
            counted = Some(s);
            had += e.min(until).saturating_sub(s.max(from));
            (start, end) = (start.min(s), end.max(e));
            self.ranges.remove(&s);
        }
        if self.ranges.len() < MOST {
            self.ranges.insert(start, end);
        }
        had
    }
}

struct RereadBytes {
    bytes: u64,
    share: f64,
    files: HashMap<FileId, Reads>,
}

impl RereadBytes {
    fn new(values: &Values<'_>) -> Self {
        Self {
            bytes: values.number("bytes").max(1),
            share: values.get("share"),
            files: HashMap::default(),
        }
    }
}

impl Rule for RereadBytes {
    fn call(&mut self, call: &View<'_>) {
        let Some(file) = call.regular() else { return };
        if call.class != IoClass::Read {
            if let Some(reads) = self.files.get_mut(&file) {
                reads.ranges.clear();
            }
        } else if let (Some(from), Some(until), true) = (call.offset, call.end(), call.moved > 0) {
            let reads = self.files.entry(file).or_default();
            reads.tally.add(call);
            reads.again = reads.again.saturating_add(reads.add(from, until));
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let counts = |reads: &Reads| {
            reads.again >= self.bytes && reads.again as f64 >= self.share * reads.tally.bytes as f64
        };
        let found = self.files.iter().filter(|(_, reads)| counts(reads));
        let total = trace::saturating_sum(found.clone().map(|(_, reads)| reads.again));
        let place = |(file, reads): (&FileId, &Reads)| {
            let share = reads.again as f64 / reads.tally.bytes.max(1) as f64;
            let (again, all) = (bytes(reads.again), bytes(reads.tally.bytes));
            let cost = (reads.tally.time as f64 * share) as u64;
            let text = format!("{again} of {all} read again");
            reads.tally.place(context.files.name(*file), text, cost)
        };
        Found::speed(found.map(place).collect(), |places| {
            format!(
                "{} {} were read although they had been read before.",
                bytes(total),
                of_files(places)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before() {
        let mut reads = Reads::default();
        assert_eq!([reads.add(0, 10), reads.add(20, 30), reads.add(5, 25)], [0, 0, 10]);
        assert_eq!((reads.add(0, 30), reads.add(30, 40), reads.ranges.len()), (30, 0, 1));
        assert_eq!((reads.add(12, 13), reads.add(50, 60), reads.add(39, 55)), (1, 0, 6));
        assert_eq!(reads.add(0, 100), 60);
    }
}
