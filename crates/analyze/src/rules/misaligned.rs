//! Writes that do not begin and end on blocks.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::{IoClass, MAPPINGS};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "misaligned",
    level: Level::Speed,
    means: "Writes do not begin on a block of 4 KiB, so that blocks are read first or written \
           twice.",
    when: "At least `count` writes of 4 KiB or more, and at least `share` of those of the \
           file, begin at an offset that is no multiple of 4 KiB; or a call fails with EINVAL \
           on a descriptor with O_DIRECT.",
    cost: "What these writes take longer than as many aligned ones of the file (of the trace, \
           if it has none), and the time of calls that were refused.",
    remedy: "Write whole blocks at multiples of the block size; with O_DIRECT, align memory and \
           length too.",
    source: "Drishti P07, P08; Darshan FILE_NOT_ALIGNED",
    query: "SELECT file, \"offset\" % 4096 <> 0 AS misaligned, count(*), avg(duration) FROM \
           '{trace}/calls-*.parquet' WHERE call LIKE '%write%' AND bytes >= 4096 GROUP BY \
           ALL;",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 1000.0, means: "misaligned writes" },
        Threshold {
            key: "share",
            unit: Unit::Share,
            value: 0.1,
            means: "of the writes of the file",
        },
    ],
    classes: &[IoClass::Write, IoClass::Read, IoClass::Open],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(Misaligned::new(values)) };

const BLOCK: u64 = 4096;
const EINVAL: u32 = linux_raw_sys::errno::EINVAL;

/// The writes of a file, and its refused calls.
#[derive(Default)]
struct Calls {
    misaligned: Tally,
    aligned: Tally,
    refused: Tally,
}

struct Misaligned {
    count: u64,
    share: f64,
    files: HashMap<FileId, Calls>,
    aligned: Tally,
}

impl Misaligned {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            share: values.get("share"),
            files: HashMap::default(),
            aligned: Tally::default(),
        }
    }

    fn is_found(&self, calls: &Calls) -> bool {
        let all = calls.misaligned.n + calls.aligned.n;
        calls.refused.n > 0
            || calls.misaligned.n >= self.count
                && calls.misaligned.n as f64 >= self.share * all as f64
    }
}

impl Rule for Misaligned {
    fn call(&mut self, call: &View<'_>) {
        let Some(file) = call.regular() else { return };
        if call.is_direct() && call.errno.map(i32::unsigned_abs) == Some(EINVAL) {
            self.files.entry(file).or_default().refused.add(call);
        }
        let writes = call.class == IoClass::Write && call.moved >= BLOCK;
        let (true, Some(offset)) = (writes && call.call.nr < MAPPINGS, call.offset) else { return };
        let calls = self.files.entry(file).or_default();
        if offset.is_multiple_of(BLOCK) {
            calls.aligned.add(call);
            self.aligned.add(call);
        } else {
            calls.misaligned.add(call);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let found = self.files.iter().filter(|(_, calls)| self.is_found(calls));
        let place = |(file, calls): (&FileId, &Calls)| {
            let Calls { misaligned, aligned, refused } = calls;
            let like = if aligned.n > 0 { aligned } else { &self.aligned };
            let due = (like.n > 0).then(|| misaligned.n.saturating_mul(like.time / like.n));
            let longer = due.map_or(0, |due| misaligned.time.saturating_sub(due));
            let name = context.files.name(*file);
            if refused.n > 0 {
                let text = format!("{} calls with O_DIRECT were refused", count(refused.n));
                return refused.place(name, text, refused.time.saturating_add(longer));
            }
            let all = misaligned.n + aligned.n;
            let text = format!("{} of {} writes", count(misaligned.n), count(all));
            misaligned.place(name, text, longer)
        };
        Found::speed(found.map(place).collect(), |places| {
            format!("Writes {} do not begin on a block of 4 KiB.", of_files(places))
        })
    }
}
