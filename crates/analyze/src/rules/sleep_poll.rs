//! Sleeping and looking again.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::files::PathId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "sleep-poll",
    level: Level::Speed,
    means: "A thread sleeps and looks again, in place of being told.",
    when: "At least `count` times in a row a thread sleeps (or waits until a timeout) for 1 \
           ms to 1 s, and the first path that it looks at then is the same as before, with \
           the same result.",
    cost: "The time of the looks, and half of the mean sleep: so much later is a change \
           noticed on average.",
    remedy: "Use inotify, a pipe, a lock, or a condition variable.",
    source: "celery/celery#1558",
    query: "reanimator stat --by path,call -e %file --sort calls {trace}",
    thresholds: &[Threshold {
        key: "count",
        unit: Unit::Count,
        value: 20.0,
        means: "rounds in a row",
    }],
    classes: &[IoClass::Wait, IoClass::Stat, IoClass::Open],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(SleepPoll::new(values)) };

const SLEEP: std::ops::RangeInclusive<u64> = 1_000_000..=1_000_000_000;
const ETIMEDOUT: u32 = linux_raw_sys::errno::ETIMEDOUT;

/// What a thread does between sleeps.
#[derive(Default)]
struct Thread {
    /// How long it slept since its last look.
    slept: u64,
    looked_at: Option<(PathId, Option<i32>)>,
    rounds: Tally,
    sleeps: u64,
}

struct SleepPoll {
    count: u64,
    threads: HashMap<u32, Thread>,
    /// With the sum of the half sleeps.
    found: HashMap<PathId, (Tally, u64)>,
}

impl SleepPoll {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            threads: HashMap::default(),
            found: HashMap::default(),
        }
    }

    fn settle(&mut self, tid: u32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let (rounds, slept) =
            (std::mem::take(&mut thread.rounds), std::mem::take(&mut thread.sleeps));
        if let Some((path, _)) = thread.looked_at.filter(|_| rounds.n >= self.count) {
            let found = self.found.entry(path).or_default();
            found.0.merge(&rounds);
            found.1 = found.1.saturating_add(slept / rounds.n / 2);
        }
    }
}

impl Rule for SleepPoll {
    fn call(&mut self, call: &View<'_>) {
        let tid = call.call.tid;
        if call.class == IoClass::Wait {
            let timed_out = match call.errno {
                None => call.call.ret == 0 && !call.spec.uses.moves_data,
                Some(errno) => errno.unsigned_abs() == ETIMEDOUT,
            };
            if timed_out && SLEEP.contains(&call.duration) {
                let thread = self.threads.entry(tid).or_default();
                thread.slept = thread.slept.saturating_add(call.duration);
            }
            return;
        }
        let (Some(name), Some(thread)) = (call.names[0], self.threads.get_mut(&tid)) else {
            return;
        };
        let slept = std::mem::take(&mut thread.slept);
        if slept == 0 {
            return;
        }
        let look = Some((name.path, call.errno));
        if thread.looked_at != look {
            self.settle(tid);
        }
        let thread = self.threads.entry(tid).or_default();
        thread.looked_at = look;
        thread.rounds.add(call);
        thread.sleeps = thread.sleeps.saturating_add(slept);
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let threads: Vec<u32> = self.threads.keys().copied().collect();
        threads.into_iter().for_each(|tid| self.settle(tid));
        let total: u64 = self.found.values().map(|(tally, _)| tally.n).sum();
        let place = |(path, (tally, late)): (&PathId, &(Tally, u64))| {
            let text = format!("looked at {} times after a sleep", count(tally.n));
            let cost = tally.time.saturating_add(*late);
            tally.place(context.files.text(*path), text, cost)
        };
        Found::speed(self.found.iter().map(place).collect(), |places| {
            format!("{} rounds of sleeping and looking at {} again.", count(total), places[0].file)
        })
    }
}
