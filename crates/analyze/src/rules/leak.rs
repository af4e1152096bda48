//! Descriptors that are not closed.

use super::tally::Tally;
use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Evidence, Found, count};
use crate::findings::files::{FileId, Files};
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::IoClass;
use ahash::HashMap;
use linux_raw_sys::errno::{EMFILE, ENFILE};

static DEFINITION: Definition = Definition {
    name: "leak",
    level: Level::High,
    means: "Descriptors are opened and not closed.",
    when: "`high`: a call fails with EMFILE or ENFILE. `note`: when a process or the trace ends, \
           it has opened one file at least `count` times and not closed it, for longer than `age`.",
    cost: "",
    remedy: "Close on all paths, those of errors too (RAII, with, defer).",
    source: "iovisor/bcc PR#3655, tio#14",
    query: "reanimator stat --by file,call -e open,openat,close {trace}",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 64.0, means: "open files of one file" },
        Threshold { key: "age", unit: Unit::Time, value: 1e9, means: "since they were opened" },
    ],
    classes: &IoClass::ALL,
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(Leak::new(values)) };

/// An open file that is not closed yet.
struct Open {
    file: FileId,
    pid: u32,
    since: u64,
    seq: u64,
}

struct Leak {
    count: u64,
    age: u64,
    open: HashMap<u64, Open>,
    open_of: HashMap<FileId, u64>,
    /// How many files are open so often.
    files_over_count: u64,
    refused: HashMap<u32, Tally>,
    found: HashMap<FileId, (u64, u64)>,
}

impl Leak {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count").max(1),
            age: values.number("age"),
            open: HashMap::default(),
            open_of: HashMap::default(),
            files_over_count: 0,
            refused: HashMap::default(),
            found: HashMap::default(),
        }
    }
}

impl Rule for Leak {
    fn call(&mut self, call: &View<'_>) {
        if call.errno.is_some_and(|e| [EMFILE, ENFILE].contains(&e.unsigned_abs())) {
            self.refused.entry(call.call.pid).or_default().add(call);
        }
        if let (true, Some(file), Some(handle)) = (call.opens(), call.file, call.handle) {
            let (pid, since, seq) = (call.call.pid, call.left(), call.seq());
            if self.open.insert(handle.id, Open { file, pid, since, seq }).is_none() {
                let n = self.open_of.entry(file).or_default();
                *n += 1;
                self.files_over_count += u64::from(*n == self.count);
            }
        }
    }

    fn closed(&mut self, handle: u64, _files: &Files) {
        let Some(open) = self.open.remove(&handle) else { return };
        if let Some(n) = self.open_of.get_mut(&open.file) {
            self.files_over_count -= u64::from(*n == self.count);
            *n -= 1;
            if *n == 0 {
                self.open_of.remove(&open.file);
            }
        }
    }

    /// Notes the files of which process `pid`, or any process if `None`, still has at least so many
    /// descriptors open for so long that they count as leaked, as it ends at the time `at`.
    fn process_ended(&mut self, pid: Option<u32>, at: u64) {
        if self.files_over_count == 0 {
            return;
        }
        let mut old = HashMap::<FileId, (u64, u64)>::default();
        for open in self.open.values() {
            let of_it = pid.is_none_or(|pid| pid == open.pid);
            if of_it && at.saturating_sub(open.since) >= self.age {
                let (n, seq) = old.entry(open.file).or_insert((0, open.seq));
                *n += 1;
                *seq = (*seq).min(open.seq);
            }
        }
        for (file, (n, seq)) in old.into_iter().filter(|(_, (n, _))| *n >= self.count) {
            let known = self.found.entry(file).or_insert((n, seq));
            known.0 = known.0.max(n);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let refused: u64 = self.refused.values().map(|tally| tally.n).sum();
        let mut places: Vec<Evidence> = Vec::new();
        for (pid, tally) in &self.refused {
            let text = format!("{} calls of process {pid} had no descriptor", count(tally.n));
            places.push(tally.place(String::new(), text, 0));
        }
        for (file, (n, seq)) in &self.found {
            let text = format!("opened {} times and not closed", count(*n));
            let file = context.files.name(*file);
            places.push(Evidence { seq: *seq, file, text, weight: *n, ..Evidence::default() });
        }
        let level = if refused > 0 { Level::High } else { Level::Note };
        Found::safety(level, places, |places| match refused {
            0 => format!(
                "At the end of a process {} was still open many times: the descriptors are \
                 probably never closed.",
                places[0].file
            ),
            n => format!("{} calls failed because too many files were open.", count(n)),
        })
    }
}
