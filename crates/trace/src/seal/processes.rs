//! Writes `processes.parquet`: one row per thread. The kernel reuses the ids of processes and
//! threads, so that a `Start` event always begins a new row.

use super::OutputDir;
use super::table::{ROW_OVERHEAD_BYTES, Table, writer_properties};
use crate::document::Sealed;
use crate::error::Error;
use crate::format::columns;
use crate::format::record::{Header, PayloadKind, Payloads, RecordKind};
use crate::journal::Record;
use abi::OPERATIONS;
use ahash::HashMap;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use std::sync::Arc;

#[derive(Default)]
struct Thread {
    pid: u32,
    tid: u32,
    parent: Option<u32>,
    new_process: bool,
    started: u64,
    ended: Option<u64>,
    status: Option<u64>,
    program: Option<String>,
    command: Option<Vec<u8>>,
    calls: u64,
    bytes: u64,
}

/// The largest number of rows in the table.
const MAX_ROWS: usize = 1 << 20;

/// The threads found so far.
#[derive(Default)]
pub(super) struct ThreadTable {
    threads: Vec<Thread>,
    alive: HashMap<u32, usize>,
    /// The latest thread with each id that has ended.
    ended: HashMap<u32, usize>,
}

impl ThreadTable {
    /// Returns the row of the thread in `header`. Adds one if the thread is new.
    fn get_or_add(&mut self, header: &Header) -> &mut Thread {
        if self.threads.len() >= MAX_ROWS {
            // Only a forged journal has so many: the last row stands for the rest.
            return self.threads.last_mut().expect("there are many");
        }
        let index = *self.alive.entry(header.tid).or_insert_with(|| {
            let new_process = header.pid == header.tid;
            self.threads.push(Thread {
                pid: header.pid,
                tid: header.tid,
                new_process,
                started: header.entered,
                ..Thread::default()
            });
            self.threads.len() - 1
        });
        &mut self.threads[index]
    }

    /// Counts a call and its captured bytes for its thread.
    pub fn add_call(&mut self, header: &Header, bytes: u64) {
        // An operation may complete, or be reported as under way, after the end of its thread.
        let ended = self.ended.get(&header.tid).filter(|_| header.nr >= OPERATIONS);
        let thread = match ended {
            Some(&i)
                if self.threads[i].pid == header.pid && !self.alive.contains_key(&header.tid) =>
            {
                &mut self.threads[i]
            }
            _ => self.get_or_add(header),
        };
        thread.calls += 1;
        thread.bytes = thread.bytes.saturating_add(bytes);
    }

    /// Updates the rows of threads from an event.
    pub fn add_event(&mut self, record: &Record<'_>) {
        let header = &record.header;
        let text = |kind: PayloadKind, arg: Option<u8>| {
            Payloads::new(record.body)
                .find(|(h, _)| h.kind == kind as u8 && arg.is_none_or(|a| a == h.arg))
                .map(|(_, bytes)| bytes.to_vec())
        };
        match RecordKind::from_number(header.kind) {
            Some(RecordKind::Start) => {
                self.alive.remove(&header.tid);
                let thread = self.get_or_add(header);
                thread.parent = (header.args[0] != 0).then_some(header.args[0] as u32);
                thread.new_process = header.args[3] != 0;
            }
            Some(RecordKind::Exec) => {
                // The thread that called has become the first one of its process.
                let caller = header.args[0] as u32;
                if caller != header.tid
                    && let Some(index) = self.alive.remove(&caller)
                {
                    self.threads[index].ended = Some(header.entered);
                }
                let program = text(PayloadKind::String, None);
                self.get_or_add(header).program = program.map(|p| crate::format::text::escape(&p));
            }
            Some(RecordKind::State) => {
                let (program, command) =
                    (text(PayloadKind::String, None), text(PayloadKind::StrVec, Some(0)));
                let thread = self.get_or_add(header);
                thread.program = program.map(|p| crate::format::text::escape(&p));
                thread.command = command;
            }
            Some(RecordKind::Exit) => {
                let thread = self.get_or_add(header);
                thread.ended = Some(header.entered);
                thread.status = Some(header.args[0]);
                if let Some(index) = self.alive.remove(&header.tid) {
                    self.ended.insert(header.tid, index);
                }
            }
            _ => {}
        }
    }

    /// Returns the number of threads.
    pub fn thread_count(&self) -> u64 {
        self.threads.len() as u64
    }

    /// Returns the number of processes: threads that began one, and processes whose first thread
    /// was not recorded.
    pub fn process_count(&self) -> u64 {
        let began = self.threads.iter().filter(|t| t.new_process).count();
        let firsts: std::collections::HashSet<u32> =
            self.threads.iter().filter(|t| t.new_process).map(|t| t.pid).collect();
        let others: std::collections::HashSet<u32> =
            self.threads.iter().map(|t| t.pid).filter(|p| !firsts.contains(p)).collect();
        (began + others.len()) as u64
    }

    /// Writes the table.
    pub fn write(&self, output: &OutputDir<'_>) -> Result<Sealed, Error> {
        let t = &self.threads;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from_iter_values(t.iter().map(|t| t.pid))),
            Arc::new(UInt32Array::from_iter_values(t.iter().map(|t| t.tid))),
            Arc::new(UInt32Array::from_iter(t.iter().map(|t| t.parent))),
            Arc::new(BooleanArray::from_iter(t.iter().map(|t| Some(t.new_process)))),
            Arc::new(Int64Array::from_iter_values(t.iter().map(|t| t.started as i64))),
            Arc::new(Int64Array::from_iter(t.iter().map(|t| t.ended.map(|e| e as i64)))),
            Arc::new(Int64Array::from_iter(t.iter().map(|t| t.status.map(|e| e as i64)))),
            Arc::new(StringArray::from_iter(t.iter().map(|t| t.program.as_deref()))),
            Arc::new(BinaryArray::from_iter(t.iter().map(|t| t.command.as_deref()))),
            Arc::new(UInt64Array::from_iter_values(t.iter().map(|t| t.calls))),
            Arc::new(UInt64Array::from_iter_values(t.iter().map(|t| t.bytes))),
        ];
        let batch = RecordBatch::try_new(columns::processes(), columns)
            .expect("the columns are those of the schema, equally long");
        let mut table = Table::create(
            output.storage,
            output.dir,
            output.path,
            "processes.parquet",
            columns::processes(),
            writer_properties((batch.num_rows() * ROW_OVERHEAD_BYTES) as u64).build(),
        )?;
        table.write(&batch)?;
        table.finish()
    }
}
