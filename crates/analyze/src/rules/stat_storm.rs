//! The same name is looked up again and again.

use super::repeats::Repeats;
use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count, of_files};
use crate::findings::files::PathId;
use crate::findings::view::View;
use abi::IoClass;

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

pub(crate) const ENTRY: Entry = Entry {
    definition: &DEFINITION,
    create: |values| Box::new(StatStorm { repeats: Repeats::new(values.number("count")) }),
};

struct StatStorm {
    /// Queries since the last change of each path.
    repeats: Repeats,
}

impl Rule for StatStorm {
    fn call(&mut self, call: &View<'_>) {
        match call.class {
            IoClass::Stat => {
                if let (Some(name), None) = (call.names[0], call.errno) {
                    self.repeats.add(name.path, call);
                }
            }
            IoClass::Open if !call.is_new && !call.truncates() => {}
            IoClass::Write => {
                if let Some(file) = call.file {
                    self.repeats.end(call.files.get(file).path);
                }
            }
            _ => {
                for name in call.names.iter().flatten() {
                    self.repeats.end(name.path);
                }
                if let Some(file) = call.file {
                    self.repeats.end(call.files.get(file).path);
                }
            }
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let (found, total) = self.repeats.finish();
        let place = |(path, tally): (&PathId, &Tally)| {
            let text = format!("asked for {} times, unchanged", count(tally.n));
            tally.place(context.files.text(*path), text, tally.saved_by(1))
        };
        Found::speed(found.iter().map(place).collect(), |places| {
            format!(
                "{} times the attributes {} were asked for, and nothing had changed.",
                count(total),
                of_files(places)
            )
        })
    }
}
