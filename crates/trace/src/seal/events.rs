//! Writes `events.parquet`: the events in the order of time.
//!
//! Events arrive in this order unless an engine learns of one late. An event that is older than one
//! that was already written goes to `events-late.parquet`, as late calls do.

use super::OutputDir;
use super::segment::BinaryViewColumn;
use super::table::{ROW_OVERHEAD_BYTES, Table, writer_properties};
use crate::document::Sealed;
use crate::error::Error;
use crate::format::columns;
use crate::format::record::{Header, RecordKind};
use crate::journal::Record;
use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt8Array,
    UInt32Array, UInt64Array,
};
use arrow_buffer::Buffer;
use std::sync::Arc;

/// A row group is written when this many events wait,
const GROUP_ROWS: usize = 16 << 10;
/// or when their payloads have this many bytes.
const GROUP_BYTES: usize = 16 << 20;
/// Late events are kept in memory until the end. No engine produces more than this many; further
/// ones, in a forged journal, are counted as lost.
const LATE_ROWS: usize = 256 << 10;
const LATE_BYTES: usize = 64 << 20;

/// Events that are not written yet, and the bytes of their payloads.
#[derive(Default)]
struct Waiting {
    /// The head of each event, and the range of its payloads in `payloads` as (offset, length).
    rows: Vec<(Header, (u32, u32))>,
    payloads: Vec<u8>,
}

impl Waiting {
    /// Adds an event. `body` are its payloads.
    fn add(&mut self, header: Header, body: &[u8]) {
        self.rows.push((header, (self.payloads.len() as u32, body.len() as u32)));
        self.payloads.extend_from_slice(body);
    }
}

/// Writes events to their tables.
#[derive(Default)]
pub(super) struct Events {
    waiting: Waiting,
    late: Waiting,
    /// The time of the last event written. Earlier ones are late.
    last_time: u64,
    table: Option<Table>,
    late_table: Option<Table>,
    /// The number of events, written or waiting.
    pub event_count: u64,
    /// The number of late events that were dropped because of the limits.
    pub dropped_late: u64,
}

impl Events {
    /// Adds an event, and writes a row group if enough events wait.
    pub fn add(
        &mut self,
        record: &Record<'_>,
        output: &OutputDir<'_>,
        clock_offset: i64,
    ) -> Result<(), Error> {
        let late = record.header.entered < self.last_time;
        if late && (self.late.payloads.len() >= LATE_BYTES || self.late.rows.len() >= LATE_ROWS) {
            self.dropped_late += 1;
            return Ok(());
        }
        self.event_count += 1;
        let to = if late { &mut self.late } else { &mut self.waiting };
        to.add(record.header, record.body);
        if self.waiting.rows.len() >= GROUP_ROWS || self.waiting.payloads.len() >= GROUP_BYTES {
            self.flush(output, clock_offset)
        } else {
            Ok(())
        }
    }

    /// Writes the waiting events as a row group.
    pub fn flush(&mut self, output: &OutputDir<'_>, clock_offset: i64) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        self.last_time =
            waiting.rows.iter().map(|(h, _)| h.entered).max().unwrap_or(self.last_time);
        write_group(&mut self.table, "events.parquet", waiting, output, clock_offset)
    }

    /// Writes what is left and finishes the tables. A table without events is not created.
    pub fn finish(
        mut self,
        output: &OutputDir<'_>,
        clock_offset: i64,
    ) -> Result<Vec<Sealed>, Error> {
        self.flush(output, clock_offset)?;
        write_group(&mut self.late_table, "events-late.parquet", self.late, output, clock_offset)?;
        self.table.into_iter().chain(self.late_table).map(Table::finish).collect()
    }
}

/// Writes the waiting events, sorted by time, to the table `name`, which is created with the first
/// of them.
fn write_group(
    table: &mut Option<Table>,
    name: &str,
    mut waiting: Waiting,
    output: &OutputDir<'_>,
    clock_offset: i64,
) -> Result<(), Error> {
    if waiting.rows.is_empty() {
        return Ok(());
    }
    waiting.rows.sort_by_key(|(h, _)| h.entered);
    let table = match table {
        Some(table) => table,
        none => none.insert(Table::create(
            output.storage,
            output.dir,
            output.path,
            name,
            columns::events(),
            writer_properties(
                (waiting.rows.len() * ROW_OVERHEAD_BYTES + waiting.payloads.len()) as u64,
            )
            .set_write_batch_size(64)
            .build(),
        )?),
    };
    table.write(&build_batch(&waiting.rows, &Buffer::from_vec(waiting.payloads), clock_offset))
}

/// Builds the Arrow columns of some events.
fn build_batch(
    rows: &[(Header, (u32, u32))],
    payload_bytes: &Buffer,
    clock_offset: i64,
) -> RecordBatch {
    let kind_name =
        |h: &Header| RecordKind::from_number(h.kind).map_or("unknown", RecordKind::name);
    let mut payloads = BinaryViewColumn::new(payload_bytes, rows.len());
    rows.iter().for_each(|(_, range)| payloads.push(Some(*range)));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampNanosecondArray::from_iter_values(
                rows.iter().map(|(h, _)| (h.entered as i64).wrapping_add(clock_offset)),
            )
            .with_timezone("UTC"),
        ),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(h, _)| h.entered as i64))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(h, _)| kind_name(h)))),
        Arc::new(UInt8Array::from_iter_values(rows.iter().map(|(h, _)| h.kind))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(h, _)| h.pid))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(h, _)| h.tid))),
    ];
    for a in 0..6 {
        columns.push(Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(h, _)| h.args[a]))));
    }
    columns.push(payloads.finish());
    RecordBatch::try_new(columns::events(), columns)
        .expect("the columns are those of the schema, equally long")
}
