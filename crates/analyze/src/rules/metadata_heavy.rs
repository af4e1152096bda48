//! More work on names and attributes than on data.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "metadata-heavy",
    level: Level::Speed,
    means: "Most of the time in calls on files goes to names and attributes, and little to \
           data.",
    when: "Opens, closes, queries of attributes and seeks take at least `share` of the time \
           of all calls on files, and at least `time`.",
    cost: "The time of these calls; how much of it can be saved, the trace does not tell.",
    remedy: "Open once and keep the descriptor; ask for attributes once; use fstat, statx on \
           a descriptor, or getdents types in place of a stat of each name.",
    source: "WisIO excessive_metadata_access; Drishti P17 (30 s)",
    query: "reanimator stat --by class,dir:3 {trace}",
    thresholds: &[
        Threshold {
            key: "share",
            unit: Unit::Share,
            value: 0.5,
            means: "of the time of calls on files",
        },
        Threshold { key: "time", unit: Unit::Time, value: 1e9, means: "of these calls" },
    ],
    classes: &[
        IoClass::Open,
        IoClass::Close,
        IoClass::Stat,
        IoClass::Seek,
        IoClass::Read,
        IoClass::Write,
        IoClass::Change,
        IoClass::Name,
        IoClass::Dir,
        IoClass::Sync,
    ],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(MetadataHeavy::new(values)) };

struct MetadataHeavy {
    share: f64,
    least: u64,
    all: u64,
    classes: HashMap<IoClass, Tally>,
}

impl MetadataHeavy {
    fn new(values: &Values<'_>) -> Self {
        Self {
            share: values.get("share"),
            least: values.number("time"),
            all: 0,
            classes: HashMap::default(),
        }
    }
}

impl Rule for MetadataHeavy {
    fn call(&mut self, call: &View<'_>) {
        self.all = self.all.saturating_add(call.duration);
        if matches!(call.class, IoClass::Open | IoClass::Close | IoClass::Stat | IoClass::Seek) {
            self.classes.entry(call.class).or_default().add(call);
        }
    }

    fn finish(&mut self, _context: &Context<'_>) -> Option<Found> {
        let time = trace::saturating_sum(self.classes.values().map(|tally| tally.time));
        if time < self.least.max(1) || (time as f64) < self.share * self.all as f64 {
            return None;
        }
        let place = |(class, tally): (&IoClass, &Tally)| {
            let text = format!("{} calls of class {}", count(tally.n), class.name());
            tally.place(String::new(), text, tally.time)
        };
        let calls: u64 = self.classes.values().map(|tally| tally.n).sum();
        let share = 100.0 * time as f64 / self.all as f64;
        Found::speed(self.classes.iter().map(place).collect(), |_| {
            format!(
                "{} opens, closes, stats and seeks take {share:.0} % of the time of all calls \
                on files.",
                count(calls)
            )
        })
    }
}
