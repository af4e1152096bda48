//! A seek before each read or write.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "seek-read",
    level: Level::Speed,
    means: "Each read or write of a file is preceded by a call that sets the offset.",
    when: "At least `count` times a seek of an open file is followed at once, on the same \
           open file, by a read or write.",
    cost: "The time of these seeks.",
    remedy: "Use pread and pwrite, which take the offset.",
    source: "WisIO: seek as a reason; Darshan SEEKS",
    query: "reanimator stat --by file,class -e lseek,read,write {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 1000.0,
        means: "seeks that are followed by a read or write",
    }],
    classes: &[IoClass::Seek, IoClass::Read, IoClass::Write, IoClass::Sync, IoClass::Stat],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(SeekRead::new(values)) };

struct SeekRead {
    count: u64,
    /// For each file the open file that was moved by the last call, and how long that took.
    moved: HashMap<FileId, (u64, Tally)>,
    found: HashMap<FileId, Tally>,
}

impl SeekRead {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            moved: HashMap::default(),
            found: HashMap::default(),
        }
    }
}

impl Rule for SeekRead {
    fn call(&mut self, call: &View<'_>) {
        let (Some(file), Some(handle)) = (call.regular(), call.handle) else { return };
        if call.class == IoClass::Seek {
            let mut tally = Tally::default();
            tally.add(call);
            self.moved.insert(file, (handle.id, tally));
            return;
        }
        let Some((of, seek)) = self.moved.remove(&file) else { return };
        let uses_offset =
            matches!(call.class, IoClass::Read | IoClass::Write) && call.spec.uses.pos.is_none();
        if uses_offset && of == handle.id {
            self.found.entry(file).or_default().merge(&seek);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let found = self.found.iter().filter(|(_, tally)| tally.n >= self.count);
        let total: u64 = found.clone().map(|(_, tally)| tally.n).sum();
        let place = |(file, tally): (&FileId, &Tally)| {
            let text = format!("{} seeks before a read or write", count(tally.n));
            tally.place(context.files.name(*file), text, tally.time)
        };
        Found::speed(found.map(place).collect(), |places| {
            format!("{} reads or writes {} are preceded by a seek.", count(total), of_files(places))
        })
    }
}
