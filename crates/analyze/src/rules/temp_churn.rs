//! Many files live for a moment.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, bytes, count};
use crate::findings::files::{At, FileId, PathId};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::{IoClass, Role};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "temp-churn",
    level: Level::Speed,
    means: "Many files are made, written and removed again within seconds.",
    when: "At least `count` files are created, written to, and removed within `age`.",
    cost: "The time of their creation, of the writes to them, and of their removal.",
    remedy: "Use a pipe, memory (memfd_create), one file for all, or O_TMPFILE.",
    source: "Own",
    query: "reanimator stat --by dir,call -e openat,open,write,unlink,unlinkat {trace}",
    thresholds: &[
        Threshold {
            key: "count",
            unit: Unit::Count,
            value: 100.0,
            means: "files that are made and removed",
        },
        Threshold { key: "age", unit: Unit::Time, value: 5e9, means: "from creation to removal" },
    ],
    classes: &[IoClass::Open, IoClass::Write, IoClass::Name],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(TempChurn::new(values)) };

/// A file that was made.
struct Made {
    at: u64,
    tally: Tally,
    path: PathId,
}

struct TempChurn {
    count: u64,
    age: u64,
    made: HashMap<FileId, Made>,
    found: HashMap<Box<[u8]>, Tally>,
}

impl TempChurn {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            age: values.number("age"),
            made: HashMap::default(),
            found: HashMap::default(),
        }
    }

    fn removed(&mut self, call: &View<'_>, file: FileId) {
        let Some(mut made) = self.made.remove(&file) else { return };
        if made.tally.bytes == 0 || call.left().saturating_sub(made.at) > self.age {
            return;
        }
        made.tally.time = made.tally.time.saturating_add(call.duration);
        let path = call.files.path(made.path);
        let cut = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
        match self.found.get_mut(&path[..cut]) {
            Some(tally) => tally.merge(&made.tally),
            None => drop(self.found.insert(path[..cut].into(), made.tally)),
        }
    }
}

impl Rule for TempChurn {
    fn call(&mut self, call: &View<'_>) {
        if call.errno.is_some() {
            return;
        }
        match (call.class, call.regular()) {
            (IoClass::Open, Some(file)) if call.is_new => {
                let mut tally = Tally::default();
                tally.add(call);
                let path = call.files.get(file).path;
                self.made.insert(file, Made { at: call.left(), tally, path });
            }
            (IoClass::Write, Some(file)) => {
                if let Some(made) = self.made.get_mut(&file) {
                    made.tally.bytes = made.tally.bytes.saturating_add(call.moved);
                    made.tally.time = made.tally.time.saturating_add(call.duration);
                }
            }
            (IoClass::Name, _) => {
                if let Some(At::File(file)) = call.name(Role::Remove).map(|name| name.before) {
                    self.removed(call, file);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _context: &Context<'_>) -> Option<Found> {
        let total: u64 = self.found.values().map(|tally| tally.n).sum();
        if total < self.count {
            return None;
        }
        let mut places = Vec::new();
        for (path, tally) in &self.found {
            let text = format!("{} files, {} written", count(tally.n), bytes(tally.bytes));
            let directory = format!("{}/", trace::text::escape(path));
            places.push(tally.place(directory, text, tally.time));
        }
        Found::speed(places, |places| {
            format!(
                "{} files were made, written and removed again, most in {}.",
                count(total),
                places[0].file
            )
        })
    }
}
