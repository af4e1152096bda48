//! The same missing name is looked for again and again.

use super::repeats::Repeats;
use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::files::PathId;
use crate::findings::view::View;
use abi::IoClass;

static DEFINITION: Definition = Definition {
    name: "same-miss",
    level: Level::Speed,
    means: "A name that is not there is looked for again and again.",
    when: "At least `count` calls in a row fail with ENOENT at the same path, while no call \
           of the trace makes it.",
    cost: "The time of these calls, less that of one.",
    remedy: "Remember that it is missing, or create it (an empty file, a link).",
    source: "Seen in a small Python program: 64 times",
    query: "reanimator stat --by path,errno -e status=failed --sort calls {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 50.0,
        means: "times in a row",
    }],
    classes: &[IoClass::Open, IoClass::Stat, IoClass::Name, IoClass::Dir],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry = Entry {
    definition: &DEFINITION,
    create: |values| Box::new(SameMiss { repeats: Repeats::new(values.number("count")) }),
};

const ENOENT: u32 = linux_raw_sys::errno::ENOENT;

struct SameMiss {
    /// Calls that found nothing, since each path was there last.
    repeats: Repeats,
}

impl Rule for SameMiss {
    fn call(&mut self, call: &View<'_>) {
        // Of a rename, which of the names is missing is not known.
        let [Some(name), None] = call.names else {
            call.names.iter().flatten().for_each(|name| self.repeats.end(name.path));
            return;
        };
        if call.errno.map(i32::unsigned_abs) == Some(ENOENT) {
            self.repeats.add(name.path, call);
        } else if call.errno.is_none() {
            self.repeats.end(name.path);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let (found, total) = self.repeats.finish();
        let place = |(path, tally): (&PathId, &Tally)| {
            let text = format!("not there {} times", count(tally.n));
            tally.place(context.files.text(*path), text, tally.saved_by(1))
        };
        Found::speed(found.iter().map(place).collect(), |places| match places {
            [one] => format!("{} was looked for {} times and never there.", one.file, count(total)),
            _ => format!(
                "{} names that are not there were looked for {} times.",
                count(places.len() as u64),
                count(total)
            ),
        })
    }
}
