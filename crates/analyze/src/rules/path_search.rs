//! Names are searched for in many directories.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "path-search",
    level: Level::Speed,
    means: "Many names are looked for where they are not.",
    when: "At least `count` calls with a path fail with ENOENT, and at least `share` of all \
           calls with a path. The places are last components, with the number of \
           directories or times they were missed in.",
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
/// So many last components are told apart.
const MOST: usize = 1 << 18;

struct PathSearch {
    count: u64,
    share: f64,
    all: u64,
    missed: Tally,
    names: HashMap<Box<[u8]>, Tally>,
}

impl PathSearch {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            share: values.get("share"),
            all: 0,
            missed: Tally::default(),
            names: HashMap::default(),
        }
    }
}

impl Rule for PathSearch {
    fn call(&mut self, call: &View<'_>) {
        let Some(name) = call.names[0] else { return };
        self.all += 1;
        if call.errno.map(i32::unsigned_abs) != Some(ENOENT) {
            return;
        }
        self.missed.add(call);
        let path = call.files.path(name.path);
        let last = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
        if let Some(tally) = self.names.get_mut(last) {
            tally.add(call);
        } else if self.names.len() < MOST {
            self.names.entry(last.into()).or_default().add(call);
        }
    }

    fn finish(&mut self, _context: &Context<'_>) -> Option<Found> {
        let Tally { n, time, .. } = self.missed;
        if n < self.count || (n as f64) < self.share * self.all as f64 {
            return None;
        }
        let place = |(name, tally): (&Box<[u8]>, &Tally)| {
            let text = format!("not there {} times", count(tally.n));
            tally.place(trace::text::escape(name), text, tally.time)
        };
        let share = 100.0 * n as f64 / self.all as f64;
        let mut found = Found::speed(self.names.iter().map(place).collect(), |_| {
            format!(
                "{} of {} calls with a path ({share:.0} %) find nothing there.",
                count(n),
                count(self.all)
            )
        })?;
        found.cost = time;
        Some(found)
    }
}
