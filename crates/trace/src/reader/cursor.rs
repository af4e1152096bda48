//! Decodes the rows of one file, or of several in sequence, one batch at a time.

use super::Trace;
use super::chunk_reader::TraceFile;
use super::guard::{self, Checked, catch_panics, check_hash};
use crate::call::payloads::{DataBytes, parse_payloads_at};
use crate::call::{Call, Event, Item};
use crate::document::Sealed;
use crate::error::Error;
use crate::format::columns::ARGS;
use crate::format::record::{FdSnapshot, NO_EXIT, RecordKind};
use crate::storage::open_file_at;
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Int64Array, RecordBatch, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use std::sync::Arc;

/// The target size of a batch in bytes.
const BATCH_BYTES: u64 = 4 << 20;
/// The largest number of rows in a batch.
const BATCH_ROWS: u64 = 4 << 10;

/// The columns that are read from a file with calls.
const OF_CALLS: [&str; 20] = [
    "seq",
    "entered",
    "duration",
    "pid",
    "tid",
    "result",
    "nr",
    "flags",
    "dev",
    "ino",
    "mode",
    "fd_offset",
    "a0",
    "a1",
    "a2",
    "a3",
    "a4",
    "a5",
    "pieces",
    "data",
];
/// The columns that are read from a file with events.
const OF_EVENTS: [&str; 11] =
    ["at", "kind", "pid", "tid", "a0", "a1", "a2", "a3", "a4", "a5", "pieces"];

/// What a reader decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether the bytes of data payloads are read. If not, the column is skipped, and data
    /// payloads have a length but no bytes.
    pub data: bool,
}

/// The kind of rows in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Calls,
    Events,
}

/// A source of decoded batches.
pub(super) trait Batches {
    /// Returns the next batch, or `None` at the end.
    fn next(&mut self) -> Result<Option<Batch>, Error>;
}

/// Iterates over the rows of a source of batches.
pub(super) struct Cursor {
    from: Box<dyn Batches>,
    batch: Option<Batch>,
    row: usize,
    /// The decoded size, in bytes, of the longest page of the file that is open.
    pub page: u64,
}

impl Cursor {
    /// Creates a cursor before the first row of these batches. `page` is the decoded size of the
    /// longest page in bytes.
    pub fn new(from: Box<dyn Batches>, page: u64) -> Self {
        Self { from, batch: None, row: 0, page }
    }

    /// Returns the time of the next item, or `None` at the end.
    pub fn peek(&mut self) -> Result<Option<u64>, Error> {
        loop {
            if let Some(time) = self.batch.as_ref().and_then(|b| b.time(self.row)) {
                return Ok(Some(time));
            }
            // Free the old batch before the next one is decoded.
            self.batch = None;
            let Some(batch) = self.from.next()? else { return Ok(None) };
            (self.batch, self.row) = (Some(batch), 0);
        }
    }

    /// Returns the item that [`Cursor::peek`] announced.
    pub fn take(&mut self) -> Result<Item, Error> {
        let batch = self.batch.as_ref().expect("peek has seen a row");
        self.row += 1;
        batch.item(self.row - 1)
    }
}

/// A file that is being decoded.
pub(super) struct Decoder {
    name: String,
    table: Table,
    options: ReadOptions,
    reader: ParquetRecordBatchReader,
    /// The decoded size, in bytes, of the longest page.
    pub page: u64,
}

impl Decoder {
    /// Opens a file and checks its hash and its structure (see [`guard`]).
    pub fn open(
        trace: &Trace,
        sealed: &Sealed,
        table: Table,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        let name = sealed.file.clone();
        if name.contains('/') {
            return Err(Error::damaged(crate::document::NAME, "it names a file outside the trace"));
        }
        let file = open_file_at(trace.dir(), &name).map_err(Error::io("open", &name))?;
        if !trace.inner.checked {
            check_hash(&file, sealed)?;
        }
        let columns: &[&str] = if table == Table::Calls { &OF_CALLS } else { &OF_EVENTS };
        let wanted = |column: &str| columns.contains(&column) && (options.data || column != "data");
        let source = TraceFile::new(file).map_err(Error::io("read", &name))?;
        let Checked { source, metadata, page } = guard::check(&name, source, &wanted)?;
        let reader = catch_panics(&name, || reader(&name, source, &metadata, &wanted))?;
        Ok(Self { name, table, options, reader, page })
    }
}

impl Batches for Decoder {
    fn next(&mut self) -> Result<Option<Batch>, Error> {
        let Self { name, reader, .. } = self;
        let next = catch_panics(name, || {
            reader.next().transpose().map_err(|e| Error::damaged(&*name, e.to_string()))
        })?;
        let batch = next.map(|next| Batch::new(&self.name, &next, self.table, self.options));
        batch
            .map(|b| {
                b.ok_or_else(|| {
                    Error::damaged(&self.name, "a column is missing or of another type")
                })
            })
            .transpose()
    }
}

/// Creates a Parquet reader for the columns for which `wanted` returns true.
fn reader(
    name: &str,
    source: TraceFile,
    metadata: &ArrowReaderMetadata,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<ParquetRecordBatchReader, Error> {
    let damaged = |e: parquet::errors::ParquetError| Error::damaged(name, e.to_string());
    // Binary columns are read as views: a value refers to its page and is not copied, and an entry
    // of a dictionary exists once.
    let view = |f: &Arc<Field>| match f.data_type() {
        DataType::Binary => Arc::new(f.as_ref().clone().with_data_type(DataType::BinaryView)),
        _ => f.clone(),
    };
    let schema =
        Arc::new(Schema::new(metadata.schema().fields().iter().map(view).collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(schema);
    let metadata =
        ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(damaged)?;
    let leaves = metadata.parquet_schema().columns().iter().enumerate();
    let leaves: Vec<usize> =
        leaves.filter(|(_, c)| wanted(&c.path().string())).map(|(i, _)| i).collect();
    let groups = metadata.metadata().row_groups();
    let rows: u64 = groups.iter().map(|g| g.num_rows() as u64).sum();
    let columns = groups
        .iter()
        .flat_map(parquet::file::metadata::RowGroupMetaData::columns)
        .filter(|c| wanted(&c.column_path().string()));
    let bytes: u64 =
        columns.map(|c| c.uncompressed_size().unsigned_abs()).fold(0, u64::saturating_add);
    let batch =
        (BATCH_BYTES * rows.min(1 << 32)).checked_div(bytes).unwrap_or(1).clamp(1, BATCH_ROWS);
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaves);
    ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
        .with_projection(mask)
        .with_batch_size(batch as usize)
        .build()
        .map_err(damaged)
}

/// Decoded rows of one file.
pub(super) struct Batch {
    /// The name of the file, for errors.
    name: String,
    rows: usize,
    entered: Int64Array,
    pid: UInt32Array,
    tid: UInt32Array,
    args: [UInt64Array; 6],
    payloads: BinaryViewArray,
    data: Option<BinaryViewArray>,
    /// The kinds of events; `None` for calls.
    kind: Option<UInt8Array>,
    /// The columns that only calls have.
    call: Option<CallColumns>,
}

/// The columns of fd snapshots, which exist since version 1.2 and are only filled by engines that
/// take snapshots.
struct FdSnapshotColumns {
    dev: UInt32Array,
    ino: UInt64Array,
    mode: UInt32Array,
    offset: UInt64Array,
}

impl FdSnapshotColumns {
    /// Returns `None` if the batch has no fd snapshots.
    fn of(batch: &RecordBatch) -> Option<Self> {
        let mode: UInt32Array =
            column(batch, "mode").filter(|mode: &UInt32Array| mode.null_count() < mode.len())?;
        Some(Self {
            dev: column(batch, "dev")?,
            ino: column(batch, "ino")?,
            mode,
            offset: column(batch, "fd_offset")?,
        })
    }
}

impl CallColumns {
    /// Returns the fd snapshot in row `i`, or an empty one if the row has none.
    fn fd_snapshot(&self, i: usize) -> FdSnapshot {
        let known = self.fd_snapshot.as_ref().filter(|of| !of.mode.is_null(i));
        known.map_or_else(FdSnapshot::default, |of| FdSnapshot {
            ino: of.ino.value(i),
            offset: of.offset.value(i),
            dev: of.dev.value(i),
            mode: of.mode.value(i) as u16,
            pad: 0,
        })
    }
}

struct CallColumns {
    fd_snapshot: Option<FdSnapshotColumns>,
    seq: UInt64Array,
    duration: Int64Array,
    result: Int64Array,
    nr: UInt32Array,
    flags: UInt8Array,
}

/// Returns the column `name`, or `None` if it is missing or has another type.
fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Option<A> {
    batch.column_by_name(name).and_then(|c: &ArrayRef| c.as_any().downcast_ref::<A>()).cloned()
}

/// Returns the column `name` as [`column`] does, but `None` if it has nulls.
fn full<A: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Option<A> {
    column::<A>(batch, name).filter(|c| c.null_count() == 0)
}

impl Batch {
    /// Takes the columns of a batch. Returns `None` if one is missing, has another type, or has
    /// nulls where none are allowed.
    fn new(name: &str, batch: &RecordBatch, table: Table, options: ReadOptions) -> Option<Self> {
        let calls = table == Table::Calls;
        let args = ARGS.map(|name| full::<UInt64Array>(batch, name));
        let [Some(a0), Some(a1), Some(a2), Some(a3), Some(a4), Some(a5)] = args else {
            return None;
        };
        let call = || {
            Some(CallColumns {
                fd_snapshot: FdSnapshotColumns::of(batch),
                seq: full(batch, "seq")?,
                duration: column(batch, "duration")?,
                result: column(batch, "result")?,
                nr: full(batch, "nr")?,
                flags: full(batch, "flags")?,
            })
        };
        Some(Self {
            name: name.to_owned(),
            rows: batch.num_rows(),
            entered: full(batch, if calls { "entered" } else { "at" })?,
            pid: full(batch, "pid")?,
            tid: full(batch, "tid")?,
            args: [a0, a1, a2, a3, a4, a5],
            payloads: full(batch, "pieces")?,
            data: if calls && options.data { Some(column(batch, "data")?) } else { None },
            kind: if calls { None } else { Some(full(batch, "kind")?) },
            call: if calls { Some(call()?) } else { None },
        })
    }

    /// Returns the time of row `i`, or `None` if there is no such row.
    pub fn time(&self, i: usize) -> Option<u64> {
        (i < self.rows).then(|| self.entered.value(i) as u64)
    }

    /// Converts row `i` to a call or an event. Fails if its payloads are invalid.
    pub fn item(&self, i: usize) -> Result<Item, Error> {
        self.understood(i)
            .ok_or_else(|| Error::damaged(&self.name, "the data pieces of a row are invalid"))
    }

    /// Converts row `i`, or returns `None` if its payloads are invalid.
    fn understood(&self, i: usize) -> Option<Item> {
        let entered = self.entered.value(i) as u64;
        let (pid, tid) = (self.pid.value(i), self.tid.value(i));
        let args = std::array::from_fn(|a| self.args[a].value(i));
        let (page, place) = cell(&self.payloads, i)?;
        if let Some(kind) = &self.kind {
            let kind = RecordKind::from_number(kind.value(i))?;
            return Some(Item::Event(Event {
                time: entered,
                kind,
                pid,
                tid,
                args,
                payloads: parse_payloads_at(page, place, DataBytes::Inline)?,
            }));
        }
        let call = self.call.as_ref()?;
        let data = match &self.data {
            None => DataBytes::NotRead,
            Some(column) if column.is_null(i) => DataBytes::InColumn(None),
            Some(column) => {
                let (page, (start, len)) = self::cell(column, i)?;
                DataBytes::InColumn(if len == 0 {
                    None
                } else {
                    Some(page.slice_with_length(start, len))
                })
            }
        };
        let flags = call.flags.value(i);
        let left = (flags & NO_EXIT == 0 && !call.duration.is_null(i))
            .then(|| entered.wrapping_add(call.duration.value(i) as u64));
        let ret = if call.result.is_null(i) { 0 } else { call.result.value(i) };
        let payloads = parse_payloads_at(page, place, data)?;
        Some(Item::Call(Call {
            seq: call.seq.value(i),
            entered,
            exited: left,
            pid,
            tid,
            nr: call.nr.value(i),
            flags,
            args,
            ret,
            fd_snapshot: call.fd_snapshot(i),
            payloads,
        }))
    }
}

/// Returns the buffer that holds the value of row `i`, and its offset and length there. A short
/// value is stored in the view itself, a longer one in a page.
fn cell(column: &BinaryViewArray, i: usize) -> Option<(&Buffer, (usize, usize))> {
    let view = *column.views().get(i)?;
    let len = view as u32 as usize;
    let (buffer, offset) = if len <= 12 {
        (column.views().inner(), i * 16 + 4)
    } else {
        (column.data_buffers().get((view >> 64) as u32 as usize)?, (view >> 96) as usize)
    };
    (offset.checked_add(len)? <= buffer.len()).then_some((buffer, (offset, len)))
}
