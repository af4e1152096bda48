//! The same file is read again and again.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, bytes, count, of_files};
use crate::findings::files::{FileId, Files};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "reread-file",
    level: Level::Speed,
    means: "An unchanged file is opened and read whole again and again.",
    when: "At least `count` times a file is opened, read from its first byte to its end, and \
           not changed since the last time.",
    cost: "The time of its opens and reads, less that of one time.",
    remedy: "Keep the content, and look at the time of change (stat, inotify) before reading \
           again.",
    source: "shundhammer/qdirstat#274 (one file 5,487 times)",
    query: "reanimator stat --by file,call -e open,openat,read,pread64 --sort calls {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 50.0,
        means: "times that the file is read whole",
    }],
    classes: &[IoClass::Read, IoClass::Write, IoClass::Open, IoClass::Change],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(RereadFile::new(values)) };

/// An open file that is read from its start.
struct Reading {
    file: FileId,
    end: u64,
    tally: Tally,
}

struct RereadFile {
    count: u64,
    open: HashMap<u64, Reading>,
    /// Since the last change of each file.
    whole: HashMap<FileId, Tally>,
    found: HashMap<FileId, Tally>,
}

impl RereadFile {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(2),
            open: HashMap::default(),
            whole: HashMap::default(),
            found: HashMap::default(),
        }
    }

    fn settle(&mut self, file: FileId) {
        if let Some(tally) = self.whole.remove(&file).filter(|tally| tally.n >= self.count) {
            self.found.entry(file).or_default().merge(&tally);
        }
    }

    fn read(&mut self, call: &View<'_>, handle: &processes::OpenFile) {
        let Some(reading) = self.open.get_mut(&handle.id) else { return };
        if call.offset != Some(reading.end) || call.errno.is_some() {
            self.open.remove(&handle.id);
            return;
        }
        reading.tally.add(call);
        reading.end = call.end().unwrap_or(u64::MAX);
        if reading.end >= handle.inode.size() && reading.end > 0 {
            let whole = self.whole.entry(reading.file).or_default();
            let mut once = reading.tally;
            once.n = 1;
            whole.merge(&once);
            self.open.remove(&handle.id);
        }
    }
}

impl Rule for RereadFile {
    fn call(&mut self, call: &View<'_>) {
        let (Some(file), Some(handle)) = (call.regular(), call.handle) else { return };
        match call.class {
            IoClass::Read => self.read(call, handle),
            IoClass::Open if call.opens() => {
                if call.truncates() || call.is_new {
                    self.settle(file);
                }
                let mut tally = Tally::default();
                tally.add(call);
                self.open.insert(handle.id, Reading { file, end: 0, tally });
            }
            IoClass::Write | IoClass::Change => self.settle(file),
            _ => {}
        }
    }

    fn closed(&mut self, handle: u64, _files: &Files) {
        self.open.remove(&handle);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let files: Vec<FileId> = self.whole.keys().copied().collect();
        files.into_iter().for_each(|file| self.settle(file));
        let total: u64 = self.found.values().map(|tally| tally.n).sum();
        let place = |(file, tally): (&FileId, &Tally)| {
            let text = format!("read whole {} times, {}", count(tally.n), bytes(tally.bytes));
            tally.place(context.files.name(*file), text, tally.saved_by(1))
        };
        Found::speed(self.found.iter().map(place).collect(), |places| {
            format!(
                "{} times a file that had not changed was read whole ({}).",
                count(total),
                of_files(places)
            )
        })
    }
}
