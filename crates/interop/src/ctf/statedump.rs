//! What LTTng tells of processes that were there before it: whose threads they are, and what is open in which table of descriptors (lttng-modules,
//! `instrumentation/events/lttng-statedump.h`).

use super::value::{Event, Value};
use crate::importing::forks::{Forks, THREAD};
use ::import::Fork;
use ahash::{HashMap, HashSet};

/// The event that tells of a thread.
pub(crate) const PROCESS: &str = "lttng_statedump_process_state";
/// The event that tells of a descriptor.
pub(crate) const DESCRIPTOR: &str = "lttng_statedump_file_descriptor";

/// An open descriptor.
#[derive(Clone)]
pub(crate) struct Open {
    pub fd: i32,
    pub path: Vec<u8>,
    /// `O_*`.
    pub flags: u32,
}

#[derive(Default)]
pub(crate) struct Dump {
    /// Whose a thread is: of a first reading.
    pids: HashMap<u32, u32>,
    /// By a table's address: the processes that use it; of a first reading.
    tables: HashMap<u64, Vec<u32>>,
    /// By process. The dump has the whole machine's: they wait until their process does something.
    open: HashMap<u32, Vec<Open>>,
    /// Processes that have done something.
    met: HashSet<u32>,
}

fn number(event: &Event<'_>, name: &str) -> Option<u64> {
    event.fields.get(name).and_then(Value::register)
}

fn task(event: &Event<'_>, name: &str) -> Option<u32> {
    number(event, name).and_then(|n| u32::try_from(n).ok())
}

impl Dump {
    /// A thread and its process.
    pub fn process(&mut self, event: &Event<'_>) {
        let (Some(tid), Some(pid)) = (task(event, "tid"), task(event, "pid")) else { return };
        self.pids.insert(tid, pid);
        if let Some(table) = number(event, "file_table_address") {
            let users = self.tables.entry(table).or_default();
            if !users.contains(&pid) {
                users.push(pid);
            }
        }
    }

    /// The first reading is over: threads are their processes', from the beginning on.
    pub fn end(&mut self, forks: &mut Forks, began: u64) {
        for (tid, pid) in self.pids.iter().filter(|(tid, pid)| tid != pid) {
            forks
                .made
                .entry(*tid)
                .or_default()
                .insert(0, Fork { parent: *pid, flags: THREAD, time: began });
        }
    }

    /// A descriptor, and those of its processes that have done something already; the others will hear of it. `None`: no process is known to have its table.
    pub fn descriptor(&mut self, event: &Event<'_>) -> Option<(Open, Vec<u32>)> {
        let (fd, Some(Value::Text(path))) = (number(event, "fd")?, event.fields.get("filename"))
        else {
            return None;
        };
        // Older ones name the process.
        let one = task(event, "pid").map(|pid| vec![pid]);
        let pids =
            one.or_else(|| self.tables.get(&number(event, "file_table_address")?).cloned())?;
        let open = Open {
            fd: fd as i32,
            path: path.clone(),
            flags: number(event, "flags").unwrap_or(0) as u32,
        };
        let (met, others): (Vec<u32>, Vec<u32>) =
            pids.into_iter().partition(|pid| self.met.contains(pid));
        for pid in others {
            self.open.entry(pid).or_default().push(open.clone());
        }
        Some((open, met))
    }

    /// Thread `tid` does something: what is open in its process, the first time.
    pub fn met(&mut self, tid: u32) -> Vec<Open> {
        let pid = self.pids.get(&tid).copied().unwrap_or(tid);
        if self.met.insert(pid) { self.open.remove(&pid).unwrap_or_default() } else { Vec::new() }
    }
}
