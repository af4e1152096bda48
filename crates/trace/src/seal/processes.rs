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

/// A row of the table.
#[derive(Default)]
struct Thread {
    pid: u32,
    tid: u32,
    /// The process that created the thread, if that is known.
    parent: Option<u32>,
    /// Whether it is the first thread of its process.
    new_process: bool,
    /// When it started, or its first record was entered, in nanoseconds of `CLOCK_MONOTONIC`.
    started: u64,
    /// When it ended, likewise; `None`: it had not ended when recording ended.
    ended: Option<u64>,
    /// The wait status with which it ended.
    status: Option<u64>,
    /// The path of the executable, escaped.
    program: Option<String>,
    /// The command line: arguments with their terminating NULs.
    command: Option<Vec<u8>>,
    /// The number of its calls.
    calls: u64,
    /// The number of bytes captured in its calls.
    bytes: u64,
}

/// The largest number of rows in the table.
const MAX_ROWS: usize = 1 << 20;

/// The threads found so far.
#[derive(Default)]
pub(super) struct ThreadTable {
    /// The rows.
    threads: Vec<Thread>,
    /// The row of each thread that has not ended, by thread id.
    running: HashMap<u32, usize>,
    /// The row of the thread that has ended last with each thread id.
    ended_threads: HashMap<u32, usize>,
}

impl ThreadTable {
    /// Returns the row of the thread that the record is about. Adds one if it has none or has
    /// ended.
    fn get_or_add(&mut self, header: &Header) -> &mut Thread {
        if self.threads.len() >= MAX_ROWS {
            // Only a forged journal has so many threads: the last row is used for all others.
            return self.threads.last_mut().expect("there are many");
        }
        let index = *self.running.entry(header.tid).or_insert_with(|| {
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

    /// Counts a call, and its captured bytes, for its thread. An asynchronous operation (io_uring,
    /// libaio) also counts for its thread if that has ended.
    pub fn add_call(&mut self, header: &Header, captured_bytes: u64) {
        // An operation may complete, or be found not to have completed, after its thread has ended.
        let ended_row = self.ended_threads.get(&header.tid).filter(|_| header.nr >= OPERATIONS);
        let thread = match ended_row {
            Some(&row)
                if self.threads[row].pid == header.pid
                    && !self.running.contains_key(&header.tid) =>
            {
                &mut self.threads[row]
            }
            _ => self.get_or_add(header),
        };
        thread.calls += 1;
        thread.bytes = thread.bytes.saturating_add(captured_bytes);
    }

    /// Updates the rows of threads from an event.
    pub fn add_event(&mut self, record: &Record<'_>) {
        let header = &record.header;
        let payload_bytes = |kind: PayloadKind, arg: Option<u8>| {
            Payloads::new(record.body)
                .find(|(h, _)| h.kind == kind as u8 && arg.is_none_or(|a| a == h.arg))
                .map(|(_, bytes)| bytes.to_vec())
        };
        match RecordKind::from_number(header.kind) {
            Some(RecordKind::Start) => {
                self.running.remove(&header.tid);
                let thread = self.get_or_add(header);
                thread.parent = (header.args[0] != 0).then_some(header.args[0] as u32);
                thread.new_process = header.args[3] != 0;
            }
            Some(RecordKind::Exec) => {
                // The thread that called has become the first one of its process.
                let caller = header.args[0] as u32;
                if caller != header.tid
                    && let Some(index) = self.running.remove(&caller)
                {
                    self.threads[index].ended = Some(header.entered);
                }
                let program = payload_bytes(PayloadKind::String, None);
                self.get_or_add(header).program = program.map(|p| crate::format::text::escape(&p));
            }
            Some(RecordKind::State) => {
                let (program, command) = (
                    payload_bytes(PayloadKind::String, None),
                    payload_bytes(PayloadKind::StrVec, Some(0)),
                );
                let thread = self.get_or_add(header);
                thread.program = program.map(|p| crate::format::text::escape(&p));
                thread.command = command;
            }
            Some(RecordKind::Exit) => {
                let thread = self.get_or_add(header);
                thread.ended = Some(header.entered);
                thread.status = Some(header.args[0]);
                if let Some(index) = self.running.remove(&header.tid) {
                    self.ended_threads.insert(header.tid, index);
                }
            }
            _ => {}
        }
    }

    /// Returns the number of threads.
    pub fn thread_count(&self) -> u64 {
        self.threads.len() as u64
    }

    /// Returns the number of processes: first threads of processes, and processes whose first
    /// thread was not recorded.
    pub fn process_count(&self) -> u64 {
        let first_threads = self.threads.iter().filter(|t| t.new_process).count();
        let pids_of_first_threads: std::collections::HashSet<u32> =
            self.threads.iter().filter(|t| t.new_process).map(|t| t.pid).collect();
        let other_pids: std::collections::HashSet<u32> = self
            .threads
            .iter()
            .map(|t| t.pid)
            .filter(|p| !pids_of_first_threads.contains(p))
            .collect();
        (first_threads + other_pids.len()) as u64
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
