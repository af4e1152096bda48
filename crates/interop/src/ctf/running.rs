//! Which thread an event is about.
//!
//! An event may carry the context `tid`. Most kernel traces have none; there `sched_switch` tells
//! who runs on a CPU from then on. Before a CPU's first switch it is the thread that was switched
//! from. Where something is missing, nobody knows until the CPU's next switch.

use super::layout::Kind;
use super::stream::{Item, Lost, Trace};
use super::value::{Event, Value};
use crate::Error;
use ahash::HashMap;

const SWITCH: &str = "sched_switch";

/// Who runs on each CPU, as far as the events until now tell.
#[derive(Clone, Default)]
pub(crate) struct Running {
    by_cpu: HashMap<u64, u32>,
}

fn number(value: &Value<'_>, name: &str) -> Option<u32> {
    value.get(name).and_then(Value::register).and_then(|n| u32::try_from(n).ok())
}

fn is_switch(kind: &Kind) -> bool {
    kind.name == SWITCH
}

/// Whether who runs must be followed in events of this kind.
pub(crate) fn tells(kind: &Kind) -> bool {
    is_switch(kind)
}

impl Running {
    /// Who ran on each CPU at the beginning.
    pub fn at_start(trace: &Trace) -> Result<Self, Error> {
        let mut by_cpu = HashMap::default();
        if trace.metadata.streams.values().all(super::layout::Stream::tells_thread) {
            return Ok(Self { by_cpu });
        }
        let mut unknown = ahash::HashSet::default();
        trace.select(is_switch, |item| {
            match item {
                Item::Event(event) if is_switch(event.kind) => {
                    let cpu = event.cpu.unwrap_or(0);
                    if let Some(tid) = number(&event.fields, "prev_tid")
                        && !unknown.contains(&cpu)
                    {
                        by_cpu.entry(cpu).or_insert(tid);
                    }
                }
                Item::Lost(Lost { cpu, .. }) => {
                    let cpu = cpu.unwrap_or(0);
                    if !by_cpu.contains_key(&cpu) {
                        unknown.insert(cpu);
                    }
                }
                Item::Event(_) => {}
            }
            Ok::<(), Error>(())
        })?;
        Ok(Self { by_cpu })
    }

    /// An event happens: whose it is, if that is known.
    pub fn thread(&mut self, event: &Event<'_>) -> Option<u32> {
        let cpu = event.cpu.unwrap_or(0);
        let told = number(&event.context, "tid").or_else(|| self.by_cpu.get(&cpu).copied());
        if is_switch(event.kind) {
            match number(&event.fields, "next_tid") {
                Some(next) => self.by_cpu.insert(cpu, next),
                None => self.by_cpu.remove(&cpu),
            };
        }
        told
    }

    /// Events are missing.
    pub fn lost(&mut self, lost: &Lost) {
        match lost.cpu {
            Some(cpu) => drop(self.by_cpu.remove(&cpu)),
            None => self.by_cpu.clear(),
        }
    }
}
