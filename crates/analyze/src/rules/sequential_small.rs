//! Much is read in order, in small steps.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, bytes, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "sequential-small",
    level: Level::Speed,
    means: "A file is read from front to back in small steps.",
    when: "At least `bytes` of a file are read by reads of at least 4 KiB and fewer than \
           `size` bytes, each where the last one of the same open file ended.",
    cost: "The reads that reads of 1 MiB would save, times the shortest of them: what a call \
           costs without its bytes, at most.",
    remedy: "Read larger pieces (128 KiB to 1 MiB), or map the file.",
    source: "Darshan: consecutive accesses and histogram of sizes",
    query: "reanimator stat --by file,size -e read,pread64,readv {trace}",
    thresholds: &[
        Threshold {
            key: "bytes",
            unit: Unit::Bytes,
            value: 67108864.0,
            means: "read in small steps",
        },
        Threshold { key: "size", unit: Unit::Bytes, value: 65536.0, means: "of a small read" },
    ],
    classes: &[IoClass::Read, IoClass::Open],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(SequentialSmall::new(values)) };

/// The small reads of a file.
struct Steps {
    handle: u64,
    end: u64,
    tally: Tally,
    shortest: u64,
}

/// Smaller reads are those of another rule.
const LEAST: u64 = 4096;

struct SequentialSmall {
    bytes: u64,
    size: u64,
    files: HashMap<FileId, Steps>,
}

impl SequentialSmall {
    fn new(values: &Values<'_>) -> Self {
        Self {
            bytes: values.number("bytes").max(1),
            size: values.number("size"),
            files: HashMap::default(),
        }
    }
}

impl Rule for SequentialSmall {
    fn call(&mut self, call: &View<'_>) {
        let asked = call.asked.unwrap_or(call.moved);
        if call.class != IoClass::Read || call.moved == 0 {
            return;
        }
        let (Some(file), Some(handle)) = (call.regular(), call.handle) else { return };
        let (Some(offset), Some(end)) = (call.offset, call.end()) else { return };
        let steps = self.files.entry(file).or_insert(Steps {
            handle: handle.id,
            end: offset,
            tally: Tally::default(),
            shortest: u64::MAX,
        });
        if steps.handle == handle.id && steps.end == offset && (LEAST..self.size).contains(&asked) {
            steps.tally.add(call);
            steps.shortest = steps.shortest.min(call.duration);
        }
        (steps.handle, steps.end) = (handle.id, end);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let found = self.files.iter().filter(|(_, steps)| steps.tally.bytes >= self.bytes);
        let total = trace::saturating_sum(found.clone().map(|(_, steps)| steps.tally.bytes));
        let place = |(file, steps): (&FileId, &Steps)| {
            let tally = &steps.tally;
            let text = format!(
                "{} in {} reads of {}",
                bytes(tally.bytes),
                count(tally.n),
                bytes(tally.mean_bytes())
            );
            let saved = tally.n.saturating_sub(tally.bytes.div_ceil(1 << 20));
            tally.place(context.files.name(*file), text, saved.saturating_mul(steps.shortest))
        };
        Found::speed(found.map(place).collect(), |places| {
            format!("{} {} are read in order, in small steps.", bytes(total), of_files(places))
        })
    }
}
