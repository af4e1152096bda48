//! Files are opened and closed, and nothing is done with them.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::{FileId, Files};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "unused-open",
    level: Level::Speed,
    means: "Files are opened and closed again without being used.",
    when: "At least `count` opens of regular files, without O_CREAT or O_TRUNC having an \
           effect, whose descriptors nothing but close is done with.",
    cost: "The time of these opens, and of the closes that end them.",
    remedy: "Do not open to see whether a file is there (faccessat, or open when it is \
           needed).",
    source: "Own",
    query: "reanimator stat --by file,call -e open,openat,close,read,pread64 {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 100.0,
        means: "opens of files that are not used",
    }],
    classes: &IoClass::ALL,
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(UnusedOpen::new(values)) };

/// An open file that was not used yet.
struct Unused {
    file: FileId,
    tally: Tally,
}

struct UnusedOpen {
    count: u64,
    open: HashMap<u64, Unused>,
    found: HashMap<FileId, Tally>,
}

impl UnusedOpen {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            open: HashMap::default(),
            found: HashMap::default(),
        }
    }
}

impl Rule for UnusedOpen {
    fn call(&mut self, call: &View<'_>) {
        let Some(handle) = call.handle else { return };
        if call.opens() && call.spec.uses.fd.is_none() {
            if let Some(file) = call.regular().filter(|_| !call.is_new && !call.truncates()) {
                let mut tally = Tally::default();
                tally.add(call);
                self.open.insert(handle.id, Unused { file, tally });
            }
        } else if call.class == IoClass::Close {
            if let Some(unused) = self.open.get_mut(&handle.id) {
                unused.tally.time = unused.tally.time.saturating_add(call.duration);
            }
        } else {
            self.open.remove(&handle.id);
        }
    }

    fn closed(&mut self, handle: u64, _files: &Files) {
        if let Some(unused) = self.open.remove(&handle) {
            self.found.entry(unused.file).or_default().merge(&unused.tally);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let total: u64 = self.found.values().map(|tally| tally.n).sum();
        if total < self.count {
            return None;
        }
        let place = |(file, tally): (&FileId, &Tally)| {
            let text = format!("opened {} times for nothing", count(tally.n));
            tally.place(context.files.name(*file), text, tally.time)
        };
        Found::speed(self.found.iter().map(place).collect(), |places| {
            format!(
                "{} opens {} were followed by nothing but a close.",
                count(total),
                of_files(places)
            )
        })
    }
}
