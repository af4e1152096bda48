//! `events.parquet`: what happened that is no call, in the order of time.
//!
//! Events come in order except where an engine learns of one late; those that come after a later
//! one was written go to `events-late.parquet`, as with calls.

use super::Place;
use super::segment::Views;
use super::table::{ROW, Table, properties};
use crate::document::Sealed;
use crate::error::Error;
use crate::format::columns;
use crate::format::record::{Header, RecordKind};
use crate::journal::Record;
use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt8Array,
    UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use std::sync::Arc;

/// Events per row group.
const ROWS: usize = 16 << 10;
const BYTES: usize = 16 << 20;
/// Late events wait for the end. No engine makes so many; what a forged journal has more is counted
/// as lost.
const LATE_ROWS: usize = 256 << 10;
const LATE_BYTES: usize = 64 << 20;

#[derive(Default)]
struct Waiting {
    rows: Vec<(Header, (u32, u32))>,
    payloads: Vec<u8>,
}

impl Waiting {
    fn add(&mut self, header: Header, body: &[u8]) {
        self.rows.push((header, (self.payloads.len() as u32, body.len() as u32)));
        self.payloads.extend_from_slice(body);
    }
}

/// Events on their way into the table.
#[derive(Default)]
pub(super) struct Events {
    waiting: Waiting,
    late: Waiting,
    /// Time of the last event written.
    last: u64,
    table: Option<Table>,
    late_table: Option<Table>,
    pub count: u64,
    /// Late events beyond what memory is given to.
    pub dropped: u64,
}

impl Events {
    /// Adds an event.
    pub fn add(
        &mut self,
        record: &Record<'_>,
        place: &Place<'_>,
        clock_offset: i64,
    ) -> Result<(), Error> {
        let late = record.header.entered < self.last;
        if late && (self.late.payloads.len() >= LATE_BYTES || self.late.rows.len() >= LATE_ROWS) {
            self.dropped += 1;
            return Ok(());
        }
        self.count += 1;
        let to = if late { &mut self.late } else { &mut self.waiting };
        to.add(record.header, record.body);
        if self.waiting.rows.len() >= ROWS || self.waiting.payloads.len() >= BYTES {
            self.flush(place, clock_offset)
        } else {
            Ok(())
        }
    }

    /// Writes what is waiting as a row group.
    pub fn flush(&mut self, place: &Place<'_>, clock_offset: i64) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        self.last = waiting.rows.iter().map(|(h, _)| h.entered).max().unwrap_or(self.last);
        write(&mut self.table, "events.parquet", waiting, place, clock_offset)
    }

    /// Ends the tables; none is made of nothing.
    pub fn finish(mut self, place: &Place<'_>, clock_offset: i64) -> Result<Vec<Sealed>, Error> {
        self.flush(place, clock_offset)?;
        write(&mut self.late_table, "events-late.parquet", self.late, place, clock_offset)?;
        self.table.into_iter().chain(self.late_table).map(Table::finish).collect()
    }
}

fn write(
    table: &mut Option<Table>,
    name: &str,
    mut waiting: Waiting,
    place: &Place<'_>,
    clock_offset: i64,
) -> Result<(), Error> {
    if waiting.rows.is_empty() {
        return Ok(());
    }
    waiting.rows.sort_by_key(|(h, _)| h.entered);
    let table = match table {
        Some(table) => table,
        none => none.insert(Table::create(
            place.storage,
            place.dir,
            place.path,
            name,
            columns::events(),
            properties((waiting.rows.len() * ROW + waiting.payloads.len()) as u64)
                .set_write_batch_size(64)
                .build(),
        )?),
    };
    table.write(&batch(&waiting.rows, &Buffer::from_vec(waiting.payloads), clock_offset))
}

fn batch(rows: &[(Header, (u32, u32))], arena: &Buffer, clock_offset: i64) -> RecordBatch {
    let word = |h: &Header| RecordKind::from_number(h.kind).map_or("unknown", RecordKind::name);
    let mut payloads = Views::new(arena, rows.len());
    rows.iter().for_each(|(_, place)| payloads.push(Some(*place)));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampNanosecondArray::from_iter_values(
                rows.iter().map(|(h, _)| (h.entered as i64).wrapping_add(clock_offset)),
            )
            .with_timezone("UTC"),
        ),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(h, _)| h.entered as i64))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(h, _)| word(h)))),
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
