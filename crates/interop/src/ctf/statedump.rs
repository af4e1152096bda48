//! What LTTng tells of processes that were there before it: whose threads they are, and what is open in which table of descriptors (lttng-modules,
//! `instrumentation/events/lttng-statedump.h`).

use super::decode::{Event, Value};
use crate::forks::{Forks, THREAD};
use std::collections::{HashMap, HashSet};
use trace::import::Fork;

/// An open descriptor.
pub(super) struct Open<'e> {
    /// In which processes.
    pub pids: Vec<u32>,
    pub fd: i32,
    pub path: &'e [u8],
    /// `O_*`.
    pub flags: u32,
}

/// Gathered in a first reading.
#[derive(Default)]
pub(super) struct Dump {
    /// Whose a thread is.
    pids: HashMap<u32, u32>,
    /// By a table's address: the processes that use it.
    tables: HashMap<u64, Vec<u32>>,
    /// Processes of which calls are told: the dump has the whole machine's.
    active: HashSet<u32>,
}

fn number(event: &Event, name: &str) -> Option<u64> {
    event.fields.get(name).and_then(Value::register)
}

fn task(event: &Event, name: &str) -> Option<u32> {
    number(event, name).and_then(|n| u32::try_from(n).ok())
}

impl Dump {
    /// A thread and its process, if the event tells of one.
    pub fn process(&mut self, event: &Event) {
        let (Some(tid), Some(pid)) = (task(event, "tid"), task(event, "pid")) else { return };
        self.pids.insert(tid, pid);
        if let Some(table) = number(event, "file_table_address") {
            let users = self.tables.entry(table).or_default();
            if !users.contains(&pid) {
                users.push(pid);
            }
        }
    }

    /// Thread `tid` made a call.
    pub fn acts(&mut self, tid: u32) {
        self.active.insert(tid);
    }

    /// When all is read: threads are their processes', from the beginning on.
    pub fn end(&mut self, forks: &mut Forks, began: u64) {
        self.active = self.active.iter().map(|tid| self.pids.get(tid).copied().unwrap_or(*tid)).collect();
        for (tid, pid) in self.pids.iter().filter(|(tid, pid)| tid != pid) {
            forks.made.entry(*tid).or_default().insert(0, Fork { parent: *pid, flags: THREAD, time: began });
        }
    }

    /// What an event tells of a descriptor. `None`: no process is known to have its table.
    pub fn descriptor<'e>(&self, event: &'e Event) -> Option<Open<'e>> {
        let (fd, Some(Value::Text(path))) = (number(event, "fd")?, event.fields.get("filename")) else { return None };
        // Older ones name the process.
        let one = task(event, "pid").map(|pid| vec![pid]);
        let mut pids = one.or_else(|| self.tables.get(&number(event, "file_table_address")?).cloned())?;
        pids.retain(|pid| self.active.contains(pid));
        Some(Open { pids, fd: fd as i32, path, flags: number(event, "flags").unwrap_or(0) as u32 })
    }
}
