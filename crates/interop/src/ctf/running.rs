//! Finds the thread that an event is about.
//!
//! An event may carry the context `tid`. Most kernel traces have none; there `sched_switch` shows
//! which thread runs on a CPU from then on. Before a CPU's first switch it is the thread that was
//! switched from. Where events are missing, the thread is unknown until the CPU's next switch.

use super::layout::EventClass;
use super::stream::{Item, Lost, Trace};
use super::value::{Event, Value};
use crate::Error;
use ahash::HashMap;

const SWITCH: &str = "sched_switch";

/// The thread that runs on each CPU, as far as the events until now show.
#[derive(Clone, Default)]
pub(crate) struct Running {
    by_cpu: HashMap<u64, u32>,
}

/// Returns the number in the event's field of this name.
fn field_u32(value: &Value<'_>, name: &str) -> Option<u32> {
    value.get(name).and_then(Value::to_register).and_then(|n| u32::try_from(n).ok())
}

/// Returns whether events of this class are switches from one thread to another on a CPU.
fn is_switch(kind: &EventClass) -> bool {
    kind.name == SWITCH
}

/// Returns whether events of this class show which thread runs.
pub(crate) fn shows_running_thread(kind: &EventClass) -> bool {
    is_switch(kind)
}

impl Running {
    /// Finds the threads that ran at the beginning of the trace. Fails if the trace cannot be read.
    pub fn at_start(trace: &Trace) -> Result<Self, Error> {
        let mut by_cpu = HashMap::default();
        if trace.metadata.streams.values().all(super::layout::StreamClass::has_thread) {
            return Ok(Self { by_cpu });
        }
        let mut unknown = ahash::HashSet::default();
        trace.select(is_switch, |item| {
            match item {
                Item::Event(event) if is_switch(event.kind) => {
                    let cpu = event.cpu.unwrap_or(0);
                    if let Some(tid) = field_u32(&event.fields, "prev_tid")
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

    /// Returns the thread that caused the event, if it is known. Must be called with all events in
    /// order.
    pub fn thread_of(&mut self, event: &Event<'_>) -> Option<u32> {
        let cpu = event.cpu.unwrap_or(0);
        let thread = field_u32(&event.context, "tid").or_else(|| self.by_cpu.get(&cpu).copied());
        if is_switch(event.kind) {
            match field_u32(&event.fields, "next_tid") {
                Some(next) => self.by_cpu.insert(cpu, next),
                None => self.by_cpu.remove(&cpu),
            };
        }
        thread
    }

    /// Forgets which threads run on the CPUs of which events are missing.
    pub fn forget_cpus(&mut self, lost: &Lost) {
        match lost.cpu {
            Some(cpu) => drop(self.by_cpu.remove(&cpu)),
            None => self.by_cpu.clear(),
        }
    }
}
