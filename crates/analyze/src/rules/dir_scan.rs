//! The same directory is listed again and again.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::files::{Files, PathId};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::{HashMap, HashSet};

static DEFINITION: Definition = Definition {
    name: "dir-scan",
    level: Level::Speed,
    means: "An unchanged directory is listed again and again.",
    when: "At least `count` times in a row a directory is opened and listed, while no call \
           of the trace makes, removes or renames a name in it.",
    cost: "The time of these listings, less that of one.",
    remedy: "Keep the listing, or watch the directory (inotify).",
    source: "Own",
    query: "reanimator stat --by file,call -e getdents64,getdents {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 50.0,
        means: "listings in a row",
    }],
    classes: &[IoClass::Dir, IoClass::Name, IoClass::Open],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(DirScan::new(values)) };

struct DirScan {
    count: u64,
    /// Open files of directories whose listing is counted.
    listed: HashSet<u64>,
    /// Since the last change of each directory.
    paths: HashMap<PathId, Tally>,
    found: HashMap<PathId, Tally>,
}

impl DirScan {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(2),
            listed: HashSet::default(),
            paths: HashMap::default(),
            found: HashMap::default(),
        }
    }

    fn settle(&mut self, path: PathId) {
        if let Some(tally) = self.paths.remove(&path).filter(|tally| tally.n >= self.count) {
            self.found.entry(path).or_default().merge(&tally);
        }
    }
}

impl Rule for DirScan {
    fn call(&mut self, call: &View<'_>) {
        if call.spec.uses.lists_directory
            && let (Some(file), Some(handle), None) = (call.file, call.handle, call.errno)
        {
            let path = call.files.get(file).path;
            if self.listed.insert(handle.id) {
                self.paths.entry(path).or_default().add(call);
            } else if let Some(tally) = self.paths.get_mut(&path) {
                tally.time = tally.time.saturating_add(call.duration);
            }
        }
        if call.class == IoClass::Name || call.is_new {
            for name in call.names.iter().flatten() {
                if let Some(directory) = call.files.parent(name.path) {
                    self.settle(directory);
                }
            }
        }
    }

    fn closed(&mut self, handle: u64, _files: &Files) {
        self.listed.remove(&handle);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let paths: Vec<PathId> = self.paths.keys().copied().collect();
        paths.into_iter().for_each(|path| self.settle(path));
        let total: u64 = self.found.values().map(|tally| tally.n).sum();
        let place = |(path, tally): (&PathId, &Tally)| {
            let text = format!("listed {} times, unchanged", count(tally.n));
            tally.place(context.files.text(*path), text, tally.saved_by(1))
        };
        Found::speed(self.found.iter().map(place).collect(), |places| {
            format!(
                "{} times an unchanged directory was listed.",
                count(total - places.len() as u64)
            )
        })
    }
}
