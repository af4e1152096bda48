//! Writes the rows of a window as a segment, and its late rows as a second file.
//!
//! Invariant: the segments that are not late are in the order of entry, within each file and from
//! one file to the next. A call that was entered before the last row of the previous segment is
//! late.

use super::OutputDir;
use super::names::{Derived, DerivedColumns, DerivedPart, derive};
use super::table::{ROW_OVERHEAD_BYTES, Table, writer_properties};
use super::window::{ROW_BYTES, Row, Window};
use crate::document::Segment;
use crate::error::Error;
use crate::format::columns;
use crate::format::record::NO_EXIT;
use crate::semantics::Inference;
use ahash::HashSet;
use arrow_array::builder::{BinaryViewBuilder, StringDictionaryBuilder};
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, TimestampNanosecondArray,
    UInt8Array, UInt32Array, UInt64Array,
};
use arrow_buffer::Buffer;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// The target size of a data page in bytes. A reader that wants one row decodes a whole page.
const PAGE_BYTES: usize = 1 << 20;

/// A window that is complete: its rows are in the order of entry and have their derived columns.
pub(super) struct FilledWindow {
    /// The rows, whose ranges lie in `data` and `payloads`.
    rows: Vec<Row>,
    data: Buffer,
    payloads: Buffer,
    /// The derived columns of the rows.
    derived: DerivedColumns,
}

impl FilledWindow {
    /// Sorts the rows and derives their columns. Windows must be passed in their order, since each
    /// one advances the inference.
    pub fn new(window: Window, inference: &mut dyn Inference) -> Self {
        let Window { mut rows, data, payloads, events, .. } = window;
        rows.sort_by_key(|r| r.header.entered);
        let (data, payloads) = (Buffer::from_vec(data), Buffer::from_vec(payloads));
        let derived = derive(inference, &rows, &payloads, events);
        Self { rows, data, payloads, derived }
    }
}

/// Writes segments one after the other.
///
/// A late row is one that was entered before the last row of an earlier segment.
#[derive(Default)]
pub(super) struct Segments {
    /// The number in the name of the next segment.
    next_number: usize,
    /// The time of entry of the last row that is not late.
    last_entered: u64,
    /// The number of the next row in the trace.
    next_seq: u64,
    /// The segments that were written.
    pub written: Vec<Segment>,
}

impl Segments {
    /// Writes the rows of a window as a segment, and its late rows as another one. A segment
    /// without rows is not written.
    pub fn write(
        &mut self,
        output: &OutputDir<'_>,
        clock_offset: i64,
        window: &FilledWindow,
    ) -> Result<(), Error> {
        let FilledWindow { rows, data, payloads, derived } = window;
        if rows.is_empty() {
            return Ok(());
        }
        let late = rows.partition_point(|r| r.header.entered < self.last_entered);
        for (range, is_late) in [(late..rows.len(), false), (0..late, true)] {
            let (rows, derived) = (&rows[range.clone()], derived.part(range));
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
            let name = format!(
                "calls-{:05}{}.parquet",
                self.next_number,
                if is_late { "-late" } else { "" }
            );
            let data_bytes: u64 =
                rows.iter().filter_map(|r| r.data).map(|(_, len)| u64::from(len)).sum();
            let bytes = data_bytes + rows.iter().map(|r| u64::from(r.payloads.1)).sum::<u64>();
            // The Parquet writer checks the size of a page each time it has written this many rows.
            let rows_per_check = (PAGE_BYTES / 4 * rows.len())
                .checked_div(bytes as usize)
                .unwrap_or(1024)
                .clamp(1, 1024);
            let mut properties =
                writer_properties(bytes + (rows.len() * ROW_OVERHEAD_BYTES) as u64)
                    .set_write_batch_size(rows_per_check)
                    .set_data_page_size_limit(PAGE_BYTES);
            if has_repeated_data(rows) {
                let column = ColumnPath::from("data");
                properties = properties
                    .set_column_dictionary_enabled(column.clone(), true)
                    .set_column_dictionary_page_size_limit(column, 1 << 30);
            }
            let mut table = Table::create(
                output.storage,
                output.dir,
                output.path,
                &name,
                columns::calls(),
                properties.build(),
            )?;
            table.write(&build_batch(
                rows,
                data,
                payloads,
                clock_offset,
                self.next_seq,
                &derived,
            ))?;
            let sealed = table.finish()?;
            let (first, last) = (first.header.entered, last.header.entered);
            self.written.push(Segment {
                sealed,
                rows: rows.len() as u64,
                late: is_late,
                seq: self.next_seq,
                first,
                last,
                data_bytes,
            });
            self.next_seq += rows.len() as u64;
            if !is_late {
                self.last_entered = last;
            }
        }
        self.next_number += 1;
        Ok(())
    }
}

/// Returns whether a dictionary for the column `data` pays: a quarter of the bytes repeats, or the
/// bytes without a dictionary would exceed the size of a window. A dictionary without repeated data
/// halves the writing speed (docs/decisions/0018-one-column-for-data.md).
fn has_repeated_data(rows: &[Row]) -> bool {
    let mut ranges = HashSet::with_capacity_and_hasher(rows.len(), Default::default());
    let (mut total, mut repeated) = (0, 0);
    for range in rows.iter().filter_map(|r| r.data) {
        total += u64::from(range.1);
        if !ranges.insert(range) {
            repeated += u64::from(range.1);
        }
    }
    repeated > 0 && (repeated >= total / 4 || total > ROW_BYTES as u64)
}

/// Builds the Arrow columns of some rows. `seq` is the number of the first one in the trace. The
/// rows' ranges lie in `data` and `payloads`.
fn build_batch(
    rows: &[Row],
    data: &Buffer,
    payloads: &Buffer,
    clock_offset: i64,
    seq: u64,
    derived: &DerivedPart<'_>,
) -> RecordBatch {
    let count = rows.len();
    let mut call = StringDictionaryBuilder::<UInt32Type>::new();
    let mut variant = StringDictionaryBuilder::<UInt32Type>::new();
    let mut error = StringDictionaryBuilder::<UInt32Type>::new();
    let mut payloads_column = BinaryViewColumn::new(payloads, count);
    let mut data_column = BinaryViewColumn::new(data, count);
    for (row, row_derived) in rows.iter().zip(derived.rows) {
        call.append_value(&row_derived.call);
        variant.append_option(row_derived.variant);
        error.append_option(row_derived.error);
        payloads_column.push(Some(row.payloads));
        data_column.push(row.data);
    }
    let text_column = |index_of_text: fn(&Derived) -> Option<u32>| -> ArrayRef {
        let keys = UInt32Array::from_iter(derived.rows.iter().map(index_of_text));
        Arc::new(
            DictionaryArray::try_new(keys, derived.texts.clone())
                .expect("each row's text is in the table of texts"),
        )
    };
    let header = |i: usize| &rows[i].header;
    let returned = |i: usize| (header(i).flags & NO_EXIT == 0).then_some(header(i));
    let fd_snapshot = |i: usize| header(i).fd_snapshot.known();
    let u32_column = |value: &dyn Fn(usize) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values((0..count).map(value)))
    };
    let time = (0..count).map(|i| (header(i).entered as i64).wrapping_add(clock_offset));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(seq..seq + count as u64)),
        Arc::new(TimestampNanosecondArray::from_iter_values(time).with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values((0..count).map(|i| header(i).entered as i64))),
        Arc::new(Int64Array::from_iter(
            (0..count).map(|i| returned(i).map(|h| h.left.wrapping_sub(h.entered) as i64)),
        )),
        u32_column(&|i| header(i).pid),
        u32_column(&|i| header(i).tid),
        Arc::new(call.finish()),
        Arc::new(variant.finish()),
        Arc::new(Int64Array::from_iter((0..count).map(|i| returned(i).map(|h| h.ret)))),
        Arc::new(error.finish()),
        Arc::new(Int32Array::from_iter(derived.rows.iter().map(|a| a.fd))),
        text_column(|a| a.file),
        text_column(|a| a.paths[0]),
        text_column(|a| a.paths[1]),
        Arc::new(Int64Array::from_iter(derived.rows.iter().map(|a| a.offset))),
        Arc::new(Int64Array::from_iter(derived.rows.iter().map(|a| a.bytes))),
        u32_column(&|i| header(i).nr),
        Arc::new(UInt8Array::from_iter_values((0..count).map(|i| header(i).flags))),
        u32_column(&|i| header(i).cpu),
        Arc::new(UInt32Array::from_iter((0..count).map(|i| fd_snapshot(i).map(|s| s.dev)))),
        Arc::new(UInt64Array::from_iter((0..count).map(|i| fd_snapshot(i).map(|s| s.ino)))),
        Arc::new(UInt32Array::from_iter(
            (0..count).map(|i| fd_snapshot(i).map(|s| u32::from(s.mode))),
        )),
        Arc::new(UInt64Array::from_iter((0..count).map(|i| fd_snapshot(i).map(|s| s.offset)))),
    ];
    for a in 0..6 {
        columns
            .push(Arc::new(UInt64Array::from_iter_values((0..count).map(|i| header(i).args[a]))));
    }
    columns.push(payloads_column.finish());
    columns.push(data_column.finish());
    RecordBatch::try_new(columns::calls(), columns)
        .expect("the columns are those of the schema, equally long")
}

/// Builds a binary column whose values are ranges of one buffer.
pub(super) struct BinaryViewColumn {
    builder: BinaryViewBuilder,
    /// The index of the buffer in the builder.
    block: u32,
}

impl BinaryViewColumn {
    /// Starts a column of `rows` cells, whose values are ranges of `bytes`.
    pub fn new(bytes: &Buffer, rows: usize) -> Self {
        let mut builder = BinaryViewBuilder::with_capacity(rows);
        let block = builder.append_block(bytes.clone());
        Self { builder, block }
    }
    /// Appends a cell with this range, as (offset, length), or null.
    pub fn push(&mut self, range: Option<(u32, u32)>) {
        match range {
            Some((start, len)) => self
                .builder
                .try_append_view(self.block, start, len)
                .expect("the bytes holds what its rows point to"),
            None => self.builder.append_null(),
        }
    }
    /// Returns the column.
    pub fn finish(mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}
