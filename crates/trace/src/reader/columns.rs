//! Reads some columns of one file as Arrow batches, for statistics.
//!
//! Unlike [`Reader`](super::Reader) this reads only the pages of the columns asked for, so that the
//! BLAKE3 hash of the file is not compared: `verify` and replay do that. The length of the file and
//! the structure of its footer and of these pages are checked before anything is decoded.

use super::Trace;
use super::chunk_reader::TraceFile;
use super::guard::{self, Checked, catch_panics};
use crate::document::Sealed;
use crate::error::Error;
use crate::storage::open_file_at;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use std::sync::Arc;

/// The target size of a batch in bytes.
const BATCH_BYTES: u64 = 16 << 20;
/// The largest number of rows in a batch.
const BATCH_ROWS: u64 = 16 << 10;

/// Iterates over the rows of some columns of one file, in batches of at most 16,384 rows and about
/// 16 MiB. The iteration ends after the first error.
pub struct ColumnBatches {
    name: String,
    rows: u64,
    nulls: Vec<String>,
    reader: ParquetRecordBatchReader,
    ended: bool,
}

impl Trace {
    /// Opens a file of the trace ([`Trace::segments`], [`Trace::sealed`]) to read the columns with
    /// these names; those that the file lacks are left out, and so are those that are null in every
    /// row ([`ColumnBatches::is_null`]). Columns of text are read as
    /// dictionaries with `u32` keys. Fails if the length of the file is not the recorded one, or if
    /// its structure is invalid.
    pub fn columns(&self, sealed: &Sealed, columns: &[&str]) -> Result<ColumnBatches, Error> {
        let name = &sealed.file;
        if name.contains('/') {
            return Err(Error::damaged(crate::document::NAME, "it names a file outside the trace"));
        }
        let file = open_file_at(self.dir(), name).map_err(Error::io("open", name))?;
        let source = TraceFile::new(file).map_err(Error::io("read", name))?;
        if source.bytes() != sealed.bytes {
            return Err(Error::damaged(name, "its length differs from the one in trace.json"));
        }
        let checked = guard::check(name, source, &|column| columns.contains(&column))?;
        let metadata = checked.metadata.metadata();
        let rows = metadata.file_metadata().num_rows().max(0) as u64;
        let null = |column: &&&str| metadata.row_groups().iter().all(|g| is_null(g, column));
        let nulls: Vec<String> = columns.iter().filter(null).map(ToString::to_string).collect();
        let columns: Vec<&str> =
            columns.iter().copied().filter(|c| !nulls.iter().any(|null| null == c)).collect();
        let reader = catch_panics(name, || reader(name, checked, &columns))?;
        Ok(ColumnBatches { name: name.clone(), rows, nulls, reader, ended: false })
    }
}

/// Returns whether the statistics say that a column of text is null in every row of the group.
fn is_null(group: &RowGroupMetaData, column: &str) -> bool {
    let found = group.columns().iter().find(|c| c.column_path().string() == column);
    found.filter(|c| c.column_type() == Type::BYTE_ARRAY).is_some_and(|c| {
        let nulls = c.statistics().and_then(Statistics::null_count_opt);
        nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows()))
    })
}

impl ColumnBatches {
    /// Returns whether this column, which is one of text, was left out as it is null in every row.
    pub fn is_null(&self, column: &str) -> bool {
        self.nulls.iter().any(|null| null == column)
    }

    /// Returns the number of rows that the file says it has.
    pub const fn rows(&self) -> u64 {
        self.rows
    }
}

impl Iterator for ColumnBatches {
    type Item = Result<RecordBatch, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let Self { name, reader, .. } = self;
        let next = catch_panics(name, || {
            reader.next().transpose().map_err(|e| Error::damaged(&*name, e.to_string()))
        });
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// Creates a Parquet reader for the columns that the file has.
fn reader(
    name: &str,
    checked: Checked,
    columns: &[&str],
) -> Result<ParquetRecordBatchReader, Error> {
    let damaged = |e: parquet::errors::ParquetError| Error::damaged(name, e.to_string());
    let Checked { source, metadata, .. } = checked;
    // Each text of a dictionary is decoded once.
    let as_dictionary = |f: &Arc<Field>| match f.data_type() {
        DataType::Utf8 => Arc::new(f.as_ref().clone().with_data_type(DataType::Dictionary(
            Box::new(DataType::UInt32),
            Box::new(DataType::Utf8),
        ))),
        _ => f.clone(),
    };
    let schema = Arc::new(Schema::new(
        metadata.schema().fields().iter().map(as_dictionary).collect::<Vec<_>>(),
    ));
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(schema);
    let metadata =
        ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(damaged)?;
    let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
    let groups = metadata.metadata().row_groups();
    let rows: u64 = groups.iter().map(|g| g.num_rows().unsigned_abs()).sum();
    let bytes: u64 = groups
        .iter()
        .flat_map(RowGroupMetaData::columns)
        .filter(|c| columns.contains(&c.column_path().string().as_str()))
        .map(|c| c.uncompressed_size().unsigned_abs())
        .fold(0, u64::saturating_add);
    let batch =
        (BATCH_BYTES * rows.min(1 << 32)).checked_div(bytes).unwrap_or(1).clamp(1, BATCH_ROWS);
    ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
        .with_projection(mask)
        .with_batch_size(batch as usize)
        .build()
        .map_err(damaged)
}
