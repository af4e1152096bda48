//! LTTng's state dump: the threads and processes that were running when it began, and their open
//! descriptors (lttng-modules, `instrumentation/events/lttng-statedump.h`).

use super::value::{Event, Value};
use crate::importing::forks::{Forks, THREAD_FLAGS};
use ::import::Fork;
use ahash::{HashMap, HashSet};

/// The event that describes a thread.
pub(crate) const PROCESS: &str = "lttng_statedump_process_state";
/// The event that describes a descriptor.
pub(crate) const DESCRIPTOR: &str = "lttng_statedump_file_descriptor";

/// An open descriptor.
#[derive(Clone)]
pub(crate) struct OpenDescriptor {
    pub fd: i32,
    pub path: Vec<u8>,
    /// `O_*`.
    pub flags: u32,
}

#[derive(Default)]
pub(crate) struct StateDump {
    /// The process of each thread, from the first pass.
    pids: HashMap<u32, u32>,
    /// The processes that use a table of descriptors, by its address, from the first pass.
    tables: HashMap<u64, Vec<u32>>,
    /// Open descriptors by process ID. The dump has those of the whole machine: they are kept here
    /// until their process makes its first call.
    open: HashMap<u32, Vec<OpenDescriptor>>,
    /// Processes that have made a call.
    active: HashSet<u32>,
}

/// Returns the number in the event's field of this name.
fn field_u64(event: &Event<'_>, name: &str) -> Option<u64> {
    event.fields.get(name).and_then(Value::to_register)
}

/// Returns the thread or process id in the event's field of this name.
fn field_task(event: &Event<'_>, name: &str) -> Option<u32> {
    field_u64(event, name).and_then(|n| u32::try_from(n).ok())
}

impl StateDump {
    /// Adds the thread and its process that an event of the first pass shows.
    pub fn add_process(&mut self, event: &Event<'_>) {
        let (Some(tid), Some(pid)) = (field_task(event, "tid"), field_task(event, "pid")) else {
            return;
        };
        self.pids.insert(tid, pid);
        if let Some(table) = field_u64(event, "file_table_address") {
            let users = self.tables.entry(table).or_default();
            if !users.contains(&pid) {
                users.push(pid);
            }
        }
    }

    /// Ends the first pass: adds the threads to `forks`, as started by their processes at the time
    /// `began`.
    pub fn end_first_pass(&mut self, forks: &mut Forks, began: u64) {
        for (tid, pid) in self.pids.iter().filter(|(tid, pid)| tid != pid) {
            forks
                .starts
                .entry(*tid)
                .or_default()
                .insert(0, Fork { parent: *pid, flags: THREAD_FLAGS, time: began });
        }
    }

    /// Adds a descriptor. Returns it, and the IDs of those of its processes that have made a call
    /// already; it is kept for the others. Returns `None` if no process is known to have its table.
    pub fn add_descriptor(&mut self, event: &Event<'_>) -> Option<(OpenDescriptor, Vec<u32>)> {
        let (fd, Some(Value::Text(path))) = (field_u64(event, "fd")?, event.fields.get("filename"))
        else {
            return None;
        };
        // Older versions of LTTng name the process, and not the table.
        let single = field_task(event, "pid").map(|pid| vec![pid]);
        let pids = single
            .or_else(|| self.tables.get(&field_u64(event, "file_table_address")?).cloned())?;
        let open = OpenDescriptor {
            fd: fd as i32,
            path: path.clone(),
            flags: field_u64(event, "flags").unwrap_or(0) as u32,
        };
        let (active, others): (Vec<u32>, Vec<u32>) =
            pids.into_iter().partition(|pid| self.active.contains(pid));
        for pid in others {
            self.open.entry(pid).or_default().push(open.clone());
        }
        Some((open, active))
    }

    /// Returns the descriptors that the process of thread `tid` had open, and counts the process as
    /// active. To be called when the thread makes a call; returns nothing after the first time.
    pub fn take_open(&mut self, tid: u32) -> Vec<OpenDescriptor> {
        let pid = self.pids.get(&tid).copied().unwrap_or(tid);
        if self.active.insert(pid) {
            self.open.remove(&pid).unwrap_or_default()
        } else {
            Vec::new()
        }
    }
}
