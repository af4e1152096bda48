//! Syncs that have nothing to do.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::{IoClass, MAPPINGS, SyncScope};
use ahash::{HashMap, HashSet};

static DEFINITION: Definition = Definition {
    name: "useless-sync",
    level: Level::Speed,
    means: "A file is synced although nothing was written to it since its last sync.",
    when: "At least `count` syncs of a file (or terminal, or pipe) that was synced before and \
           neither written nor changed since. Directories and mapped files do not count.",
    cost: "The time of these syncs.",
    remedy: "Keep a flag that says whether there is something to sync.",
    source: "openucx/ucx PR#7230 (fsync of a terminal)",
    query: "reanimator print -e '/write|fsync|fdatasync' {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 20.0,
        means: "syncs of a file with nothing to do",
    }],
    classes: &[IoClass::Write, IoClass::Sync, IoClass::Change, IoClass::Wait, IoClass::Open],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(UselessSync::new(values)) };

struct UselessSync {
    count: u64,
    /// Files that were synced and not changed since.
    clean: HashSet<FileId>,
    mapped: HashSet<FileId>,
    useless: HashMap<FileId, Tally>,
}

impl UselessSync {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            clean: HashSet::default(),
            mapped: HashSet::default(),
            useless: HashMap::default(),
        }
    }
}

impl Rule for UselessSync {
    fn call(&mut self, call: &View<'_>) {
        let Some(file) = call.file.filter(|file| !call.files.get(*file).is_directory()) else {
            return;
        };
        if call.call.nr >= MAPPINGS {
            self.mapped.insert(file);
        }
        if call.sync == Some(SyncScope::File) {
            if !self.clean.insert(file) && !self.mapped.contains(&file) {
                self.useless.entry(file).or_default().add(call);
            }
        } else if call.class != IoClass::Open || call.is_new || call.truncates() {
            self.clean.remove(&file);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let found = self.useless.iter().filter(|(_, tally)| tally.n >= self.count);
        let total: u64 = found.clone().map(|(_, tally)| tally.n).sum();
        let place = |(file, tally): (&FileId, &Tally)| {
            let text = format!("{} syncs with nothing to do", count(tally.n));
            tally.place(context.files.name(*file), text, tally.time)
        };
        Found::speed(found.map(place).collect(), |places| {
            format!("{} syncs {} had nothing to write.", count(total), of_files(places))
        })
    }
}
