//! Processes and threads by name, at a time: numbers recur.

use super::By;
use super::labels::{column, text_column};
use super::texts::Texts;
use ahash::{HashMap, HashSet};
use arrow_array::{Array, Int64Array, RecordBatch, UInt32Array};
use trace::{Error, Trace};

const FILE: &str = "processes.parquet";

/// A row of `processes.parquet`.
struct Thread {
    pid: u32,
    tid: u32,
    parent: Option<u32>,
    started: u64,
    program: Option<String>,
}

/// The number of the text for each process or thread, from a time on.
#[derive(Default)]
pub(super) struct Processes {
    /// By process or thread: its beginnings in ascending order, with the texts' numbers.
    since: HashMap<u32, Vec<(u64, u32)>>,
}

impl Processes {
    /// Reads the table of processes, and adds the texts of the key to `texts`.
    pub fn read(trace: &Trace, by: By, texts: &Texts) -> Result<Self, Error> {
        let threads = read_threads(trace)?;
        // A child runs its parent's program until it executes another.
        let mut program_of = HashMap::<u32, &str>::default();
        let mut used = HashSet::default();
        let mut since = HashMap::<u32, Vec<(u64, u32)>>::default();
        for thread in &threads {
            let of = |number: &u32| program_of.get(number).copied();
            let own = thread.program.as_deref().filter(|program| !program.is_empty());
            let inherited = || match thread.pid == thread.tid {
                true => thread.parent.as_ref().and_then(of),
                false => of(&thread.pid),
            };
            let program = own.or_else(inherited);
            if let Some(program) = program {
                program_of.insert(thread.pid, program);
            }
            let id = if by == By::Thread { thread.tid } else { thread.pid };
            let generations = since.entry(id).or_default();
            if by != By::Thread && thread.pid != thread.tid && !generations.is_empty() {
                continue;
            }
            let name = program.map(|p| p.rsplit('/').next().unwrap_or(p));
            let number = match (by, name) {
                (By::Exe, _) => program.map_or(0, |program| texts.number(program)),
                (_, None) => texts.number(&unique(&mut used, &id.to_string())),
                (_, Some(name)) => texts.number(&unique(&mut used, &format!("{id} {name}"))),
            };
            generations.push((thread.started, number));
        }
        Ok(Self { since })
    }

    /// Returns the number of the text of a process or thread at a time, or `None` if the table does
    /// not have it.
    pub fn number(&self, id: u32, time: u64) -> Option<u32> {
        let generations = self.since.get(&id)?;
        let at = generations.partition_point(|(started, _)| *started <= time);
        generations.get(at.saturating_sub(1)).map(|(_, number)| *number)
    }
}

/// Returns the text, with a count behind it if it was used before.
fn unique(used: &mut HashSet<String>, text: &str) -> String {
    let counted = (2..).map(|n| format!("{text} ({n})"));
    let mut all = std::iter::once(text.to_owned()).chain(counted);
    all.find(|name| used.insert(name.clone())).unwrap_or_default()
}

/// Reads the threads in the order of their beginning.
fn read_threads(trace: &Trace) -> Result<Vec<Thread>, Error> {
    let sealed = trace.sealed().find(|sealed| sealed.file == FILE);
    let sealed = sealed.ok_or_else(|| Error::damaged(FILE, "the trace has no such table"))?;
    let mut threads = Vec::new();
    let mut batches = trace.columns(sealed, &["pid", "tid", "parent", "started", "program"])?;
    while let Some(batch) = batches.next() {
        add_threads(&batch?, batches.is_null("program"), &mut threads)?;
    }
    threads.sort_by_key(|thread| thread.started);
    Ok(threads)
}

fn add_threads(
    batch: &RecordBatch,
    no_program: bool,
    threads: &mut Vec<Thread>,
) -> Result<(), Error> {
    let pid: UInt32Array = column(FILE, batch, "pid")?;
    let tid: UInt32Array = column(FILE, batch, "tid")?;
    let parent: UInt32Array = column(FILE, batch, "parent")?;
    let started: Int64Array = column(FILE, batch, "started")?;
    let program = text_column(FILE, batch, "program", no_program)?;
    threads.extend((0..batch.num_rows()).map(|i| Thread {
        pid: pid.value(i),
        tid: tid.value(i),
        parent: (!parent.is_null(i)).then(|| parent.value(i)),
        started: started.value(i) as u64,
        program: program.key(i).map(|key| program.text(key).to_owned()),
    }));
    Ok(())
}
