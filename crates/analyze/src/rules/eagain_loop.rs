//! A descriptor is tried again and again without waiting.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Found, count};
use crate::findings::files::Files;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "eagain-loop",
    level: Level::Speed,
    means: "A descriptor that is not ready is tried again and again, without a wait between.",
    when: "At least `count` calls on an open file fail with EAGAIN while the thread has not \
           waited since the one before, and they are at least `share` of the calls on it.",
    cost: "The time of these calls. The CPU time that the loop burns comes on top.",
    remedy: "Wait with poll or epoll until the descriptor is ready.",
    source: "xrootd#303, mpdscribble#60 (363,839 calls in 5 s)",
    query: "reanimator stat --by file,errno -e status=failed --sort calls {trace}",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 1000.0, means: "calls that fail" },
        Threshold {
            key: "share",
            unit: Unit::Share,
            value: 0.5,
            means: "of the calls on the open file",
        },
    ],
    classes: &[IoClass::Wait],
    needs_files: false,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(EagainLoop::new(values)) };

const EAGAIN: u32 = linux_raw_sys::errno::EAGAIN;

/// The calls on an open file.
#[derive(Default)]
struct Calls {
    all: u64,
    in_vain: Tally,
    /// The thread that failed last, and how often it had waited then.
    last: Option<(u32, u64)>,
    path: Box<[u8]>,
}

struct EagainLoop {
    count: u64,
    share: f64,
    waits: HashMap<u32, u64>,
    handles: HashMap<u64, Calls>,
}

impl EagainLoop {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            share: values.get("share"),
            waits: HashMap::default(),
            handles: HashMap::default(),
        }
    }

    fn counts(&self, calls: &Calls) -> bool {
        calls.in_vain.n >= self.count && calls.in_vain.n as f64 >= self.share * calls.all as f64
    }
}

impl Rule for EagainLoop {
    fn call(&mut self, call: &View<'_>) {
        let tid = call.call.tid;
        let fails = call.errno.map(i32::unsigned_abs) == Some(EAGAIN);
        let Some(handle) = call.handle.filter(|_| fails || call.spec.uses.moves_data) else {
            *self.waits.entry(tid).or_default() += 1;
            return;
        };
        let waited = self.waits.get(&tid).copied().unwrap_or(0);
        let calls = self.handles.entry(handle.id).or_default();
        calls.all += 1;
        if !fails {
            calls.last = None;
            return;
        }
        if calls.last == Some((tid, waited)) {
            if calls.in_vain.n == 0 {
                calls.path = handle.path.clone();
            }
            calls.in_vain.add(call);
        }
        calls.last = Some((tid, waited));
    }

    fn closed(&mut self, handle: u64, _files: &Files) {
        if self.handles.get(&handle).is_some_and(|calls| !self.counts(calls)) {
            self.handles.remove(&handle);
        }
    }

    fn finish(&mut self, _context: &Context<'_>) -> Option<Found> {
        let found = self.handles.values().filter(|calls| self.counts(calls));
        let total: u64 = found.clone().map(|calls| calls.in_vain.n).sum();
        let place = |calls: &Calls| {
            let text = format!("{} of {} calls in vain", count(calls.in_vain.n), count(calls.all));
            calls.in_vain.place(trace::text::escape(&calls.path), text, calls.in_vain.time)
        };
        Found::speed(found.map(place).collect(), |_| {
            format!("{} calls found nothing to do and were repeated at once.", count(total))
        })
    }
}
