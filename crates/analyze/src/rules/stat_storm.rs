//! The same name is looked up again and again.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::PathId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "stat-storm",
    level: Level::Speed,
    means: "The attributes of the same unchanged name are asked for again and again.",
    when: "At least `count` times in a row a call asks for the attributes of a path that is \
           there, while no call of the trace changes the file or the name.",
    cost: "The time of these calls, less that of one.",
    remedy: "Keep the answer, or watch the file (inotify).",
    source: "trapexit/mergerfs#479; minibufexpl#16",
    query: "reanimator stat --by path,call -e %stat --sort calls {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 100.0,
        means: "times in a row",
    }],
    classes: &[IoClass::Stat, IoClass::Name, IoClass::Open, IoClass::Write, IoClass::Change],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(StatStorm::new(values)) };

struct StatStorm {
    count: u64,
    /// Since the last change of each path.
    paths: HashMap<PathId, Tally>,
    found: HashMap<PathId, Tally>,
}

impl StatStorm {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(2),
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

impl Rule for StatStorm {
    fn call(&mut self, call: &View<'_>) {
        match call.class {
            IoClass::Stat => {
                if let (Some(name), None) = (call.names[0], call.errno) {
                    self.paths.entry(name.path).or_default().add(call);
                }
            }
            IoClass::Open if !call.is_new && !call.truncates() => {}
            IoClass::Write => {
                if let Some(file) = call.file {
                    self.settle(call.files.get(file).path);
                }
            }
            _ => {
                for name in call.names.iter().flatten() {
                    self.settle(name.path);
                }
                if let Some(file) = call.file {
                    self.settle(call.files.get(file).path);
                }
            }
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let paths: Vec<PathId> = self.paths.keys().copied().collect();
        paths.into_iter().for_each(|path| self.settle(path));
        let total: u64 = self.found.values().map(|tally| tally.n).sum();
        let place = |(path, tally): (&PathId, &Tally)| {
            let text = format!("asked for {} times, unchanged", count(tally.n));
            tally.place(context.files.text(*path), text, tally.saved_by(1))
        };
        Found::speed(self.found.iter().map(place).collect(), |places| {
            format!(
                "{} times the attributes {} were asked for, and nothing had changed.",
                count(total),
                of_files(places)
            )
        })
    }
}
