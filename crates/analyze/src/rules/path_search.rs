//! Names are searched for in many directories.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::files::PathId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "path-search",
    level: Level::Speed,
    means: "Many names are looked for where they are not.",
    when: "At least `count` calls, and at least `share` of all calls with a path, fail with ENOENT \
           for a last component that is missed in two places or more, and nothing is found or made \
           there later.",
    cost: "The time of the calls that failed.",
    remedy: "Shorten search paths (PATH, include and module directories), put what is used \
           most first, or remember where it was found.",
    source: "pnpm/pnpm#750, pop-os/cosmic-settings#1570",
    query: "reanimator stat --by errno,dir -e status=failed --sort calls {trace}",
    thresholds: &[
        Threshold {
            key: "count",
            unit: Unit::Count,
            value: 1000.0,
            means: "calls that find nothing",
        },
        Threshold {
            key: "share",
            unit: Unit::Share,
            value: 0.2,
            means: "of the calls with a path",
        },
    ],
    classes: &[IoClass::Open, IoClass::Stat, IoClass::Name, IoClass::Dir],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(PathSearch::new(values)) };

const ENOENT: u32 = linux_raw_sys::errno::ENOENT;

struct PathSearch {
    count: u64,
    share: f64,
    all: u64,
    /// Paths that were missed, and not there since.
    missed: HashMap<PathId, Tally>,
}

impl PathSearch {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            share: values.get("share"),
            all: 0,
            missed: HashMap::default(),
        }
    }
}

impl Rule for PathSearch {
    fn call(&mut self, call: &View<'_>) {
        let [Some(name), second] = call.names else { return };
        self.all += 1;
        match call.errno.map(i32::unsigned_abs) {
            Some(ENOENT) => self.missed.entry(name.path).or_default().add(call),
            // It was looked for because it was to be made.
            None => {
                for name in [Some(name), second].into_iter().flatten() {
                    self.missed.remove(&name.path);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let mut names = HashMap::<&[u8], (Tally, u64)>::default();
        for (path, tally) in &self.missed {
            let path = context.files.path(*path);
            let last = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
            let (sum, places) = names.entry(last).or_default();
            sum.merge(tally);
            *places += 1;
        }
        names.retain(|_, (_, places)| *places > 1);
        let n: u64 = names.values().map(|(tally, _)| tally.n).sum();
        if n < self.count || (n as f64) < self.share * self.all as f64 {
            return None;
        }
        let place = |(name, (tally, places)): (&&[u8], &(Tally, u64))| {
            let text = format!("missed {} times in {} places", count(tally.n), count(*places));
            tally.place(trace::text::escape(name), text, tally.time)
        };
        let share = 100.0 * n as f64 / self.all as f64;
        Found::speed(names.iter().map(place).collect(), |_| {
            format!(
                "{} of {} calls with a path ({share:.0} %) search for names in several places in \
                 vain.",
                count(n),
                count(self.all)
            )
        })
    }
}
