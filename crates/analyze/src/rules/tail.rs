//! A few calls take much longer than most.

use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Evidence, Found, count};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "tail",
    level: Level::Speed,
    means: "A few calls take far longer than most of their kind.",
    when: "Of a kind of call with at least `count` calls, those that take at least `times` \
           as long as the median take at least `share` of its time, and `time`.",
    cost: "What these calls take longer than the median.",
    remedy: "Look at what happens at their time: write-back, a full queue, a cold cache, \
           locks in the file system.",
    source: "DXT Explorer: stragglers; Drishti (0.15)",
    query: "SELECT seq, call, file, bytes, duration/1e6 AS ms FROM '{trace}/calls-*.parquet' \
           WHERE duration IS NOT NULL AND file LIKE '/%' ORDER BY duration DESC LIMIT 20;",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 1000.0, means: "calls of the kind" },
        Threshold { key: "times", unit: Unit::Times, value: 100.0, means: "the median" },
        Threshold { key: "share", unit: Unit::Share, value: 0.1, means: "of the time of the kind" },
        Threshold { key: "time", unit: Unit::Time, value: 10e6, means: "of these calls together" },
    ],
    classes: &[
        IoClass::Read,
        IoClass::Write,
        IoClass::Open,
        IoClass::Close,
        IoClass::Stat,
        IoClass::Change,
        IoClass::Name,
        IoClass::Dir,
        IoClass::Sync,
    ],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(Tail::new(values)) };

/// Steps of the histogram for each power of two.
const STEPS: usize = 8;
const SLOWEST: usize = 10;

/// The durations of a kind of call.
struct Kind {
    name: &'static str,
    /// Number and sum of the durations in each step.
    steps: Vec<(u64, u64)>,
    /// Duration, number and file of the slowest ones.
    slowest: Vec<(u64, u64, Option<FileId>)>,
}

/// Returns the step of a duration.
fn step(duration: u64) -> usize {
    let bits = 64 - duration.leading_zeros() as usize;
    let below = duration << (64 - bits.max(1)) as u32;
    bits * STEPS + (below >> 60) as usize % STEPS
}

impl Kind {
    fn add(&mut self, call: &View<'_>) {
        let (n, sum) = &mut self.steps[step(call.duration)];
        (*n, *sum) = (*n + 1, sum.saturating_add(call.duration));
        let least = self.slowest.last().map_or(0, |slow| slow.0);
        if self.slowest.len() < SLOWEST || call.duration > least {
            let at = self.slowest.partition_point(|slow| slow.0 >= call.duration);
            self.slowest.insert(at, (call.duration, call.seq(), call.file));
            self.slowest.truncate(SLOWEST);
        }
    }

    /// Returns the mean duration of the step that has the median.
    fn median(&self) -> u64 {
        let all: u64 = self.steps.iter().map(|(n, _)| n).sum();
        let mut seen = 0;
        let has_median = |(n, _): &&(u64, u64)| {
            seen += n;
            seen * 2 >= all && *n > 0
        };
        self.steps.iter().find(has_median).map_or(0, |(n, sum)| sum / n)
    }
}

struct Tail {
    count: u64,
    times: f64,
    share: f64,
    least: u64,
    kinds: HashMap<(&'static str, IoClass), Kind>,
}

impl Tail {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            times: values.get("times"),
            share: values.get("share"),
            least: values.number("time"),
            kinds: HashMap::default(),
        }
    }

    /// Returns the places of a kind, and what its slow calls take longer than the median.
    fn of_kind(&self, kind: &Kind, context: &Context<'_>) -> Option<(Vec<Evidence>, u64, u64)> {
        let sums = |of: &[(u64, u64)]| {
            of.iter().fold((0, 0), |a: (u64, u64), b| (a.0 + b.0, a.1.saturating_add(b.1)))
        };
        let (all, time) = sums(&kind.steps);
        let median = kind.median();
        let limit = (self.times * median as f64) as u64;
        let (slow, taken) = sums(kind.steps.get(step(limit) + 1..).unwrap_or(&[]));
        if all < self.count
            || slow == 0
            || taken < self.least
            || (taken as f64) < self.share * time as f64
        {
            return None;
        }
        let place = |(duration, seq, file): &(u64, u64, Option<FileId>)| Evidence {
            seq: *seq,
            file: file.map(|file| context.files.name(file)).unwrap_or_default(),
            text: format!("{}, {} times the median", kind.name, count(duration / median.max(1))),
            cost: duration.saturating_sub(median),
            ..Evidence::default()
        };
        let slowest = kind.slowest.iter().filter(|(duration, ..)| *duration >= limit);
        Some((
            slowest.map(place).collect(),
            taken.saturating_sub(slow.saturating_mul(median)),
            slow,
        ))
    }
}

impl Rule for Tail {
    fn call(&mut self, call: &View<'_>) {
        let empty =
            || Kind { name: call.spec.name, steps: vec![(0, 0); 65 * STEPS], slowest: Vec::new() };
        self.kinds.entry((call.spec.name, call.class)).or_insert_with(empty).add(call);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let (mut places, mut cost, mut slow) = (Vec::new(), 0, 0);
        for kind in self.kinds.values() {
            if let Some((found, longer, n)) = self.of_kind(kind, context) {
                places.extend(found);
                cost = longer.saturating_add(cost);
                slow += n;
            }
        }
        let times = self.times;
        let mut found = Found::speed(places, |_| {
            format!(
                "{} of the calls took at least {times} times as long as most of their kind.",
                count(slow)
            )
        })?;
        found.cost = cost;
        Some(found)
    }
}
