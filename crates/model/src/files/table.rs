//! `files.parquet` and `initial.parquet`: the manifest as tables that any Parquet reader
//! understands.
//!
//! What is read back is checked: paths are absolute, without `.` and `..`, in order and without
//! duplicates, and extents are in order. Anything else is refused.

mod changes;
mod origins;

pub use changes::{
    Change, ChangeKind, count_files as count_changed_files,
    describe_first as describe_first_changes, read as read_changes, write as write_changes,
};
pub use origins::{OriginWriter, Origins};

use super::row::{Content, Digest, FileType, Final, Known, Origin, Row, State};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, ListArray, RecordBatch, StringArray, StructArray, UInt32Array,
    UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io;
use std::sync::Arc;
use trace::storage::Sink;

/// The approximate size of a row in bytes.
const ROW_BYTES: usize = 256;
/// The number of rows that are written or read at once.
const BATCH_ROWS: usize = 8192;
/// A row group of more bytes is refused. Those that are written are smaller.
pub(super) const GROUP_BYTES: i64 = 256 << 20;

pub(super) type Columns = Vec<(String, ArrayRef)>;

/// The number of rows that is assumed for a table whose length is not known beforehand.
pub(super) const UNKNOWN_ROW_COUNT: usize = 1 << 20;

/// Returns the properties of the Parquet writer for a table of about this many rows.
pub(super) fn writer_properties(rows: usize) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(trace::compression((rows * ROW_BYTES) as u64))
        .set_max_row_group_row_count(Some(BATCH_ROWS * 8))
        .build()
}

/// Converts an error of the Parquet or Arrow library to an I/O error.
pub(super) fn invalid_data(e: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

/// Converts an error of the Parquet writer. The kind of an I/O error is kept, so that a full disk
/// is recognised.
pub(super) fn write_error(e: ParquetError) -> io::Error {
    match e {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(io) => *io,
            Err(other) => io::Error::other(other),
        },
        e => io::Error::other(e),
    }
}

/// Returns the error for a manifest that is damaged as `what` says.
pub(super) fn damaged_manifest(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the manifest is damaged: {what}"))
}

/// Writes `rows`, which must be in the order of their paths, as `files.parquet` or
/// `unnamed.parquet`, and syncs the file.
pub fn write_rows(file: Box<dyn Sink>, rows: &[Row]) -> io::Result<()> {
    let mut writer = None;
    let mut file = Some(file);
    for chunk in rows.chunks(BATCH_ROWS).chain(rows.is_empty().then_some(rows)) {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns(chunk).into_iter().map(|(n, a)| (n, a, true)),
        )
        .map_err(invalid_data)?;
        let writer = match (&mut writer, file.take()) {
            (Some(writer), _) => writer,
            (none, Some(file)) => none.insert(
                ArrowWriter::try_new(file, batch.schema(), Some(writer_properties(rows.len())))
                    .map_err(write_error)?,
            ),
            (None, None) => return Err(damaged_manifest("no file to write to")),
        };
        writer.write(&batch).map_err(write_error)?;
    }
    let mut file =
        writer.ok_or_else(|| damaged_manifest("no rows"))?.into_inner().map_err(write_error)?;
    file.sync()
}

/// Builds the columns of `files.parquet`.
fn columns(rows: &[Row]) -> Columns {
    let path: ArrayRef = Arc::new(rows.iter().map(|r| Some(&r.path[..])).collect::<BinaryArray>());
    let file: ArrayRef = Arc::new(rows.iter().map(|r| r.file).collect::<UInt32Array>());
    let mut all = vec![("path".to_owned(), path), ("file".to_owned(), file)];
    state_columns("initial", &rows.iter().map(|r| r.initial.as_ref()), &mut all);
    all.push(("initial_holes".to_owned(), ranges_column(rows.iter().map(|r| Some(&r.holes[..])))));
    all.push((
        "initial_allocated".to_owned(),
        ranges_column(rows.iter().map(|r| Some(&r.allocated[..]))),
    ));
    let present = |r: &Row| match r.last {
        Final::Unknown(_) => "unknown",
        Final::Absent => "absent",
        Final::Present(..) => "present",
    };
    all.push((
        "final".to_owned(),
        Arc::new(rows.iter().map(|r| Some(present(r))).collect::<StringArray>()),
    ));
    let last = rows
        .iter()
        .map(|r| if let Final::Present(state, _) = &r.last { Some(state) } else { None });
    state_columns("final", &last, &mut all);
    let content = || {
        rows.iter().map(|r| {
            if let Final::Present(_, Content::Hash(digest)) = &r.last { Some(digest) } else { None }
        })
    };
    let hash: ArrayRef =
        Arc::new(content().map(|c| c.map(|digest| &digest.hash[..])).collect::<BinaryArray>());
    all.push(("final_blake3".to_owned(), hash));
    // Null: the whole file.
    let extents = ranges_column(content().map(|c| {
        if let Some(Digest { known: Known::Extents(extents), .. }) = c {
            Some(&extents[..])
        } else {
            None
        }
    }));
    all.push(("final_extents".to_owned(), extents));
    let zeros = content().map(|c| c.map(|digest| &digest.zeros[..]).filter(|z| !z.is_empty()));
    all.push(("final_zeros".to_owned(), ranges_column(zeros)));
    let reasons: StringArray = rows
        .iter()
        .map(|r| match &r.last {
            Final::Unknown(reason) | Final::Present(_, Content::Not(reason)) => {
                Some(reason.as_str())
            }
            _ => None,
        })
        .collect();
    all.push(("not_compared".to_owned(), Arc::new(reasons)));
    all
}

/// Adds the columns of a state, whose names begin with `prefix`.
pub(super) fn state_columns<'a>(
    prefix: &str,
    states: &(impl Iterator<Item = Option<&'a State>> + Clone),
    all: &mut Columns,
) {
    let u32_column = |get: fn(&State) -> Option<u32>| -> ArrayRef {
        Arc::new(states.clone().map(|s| s.and_then(get)).collect::<UInt32Array>())
    };
    let type_column: ArrayRef =
        Arc::new(states.clone().map(|s| s.map(|s| s.kind.name())).collect::<StringArray>());
    let size_column: ArrayRef =
        Arc::new(states.clone().map(|s| s.and_then(|s| s.size)).collect::<UInt64Array>());
    let target_column: ArrayRef = Arc::new(
        states.clone().map(|s| s.and_then(|s| s.target.as_deref())).collect::<BinaryArray>(),
    );
    let columns = [
        ("type", type_column),
        ("mode", u32_column(|s| s.mode)),
        ("uid", u32_column(|s| s.uid)),
        ("gid", u32_column(|s| s.gid)),
        ("size", size_column),
        ("links", u32_column(|s| s.links)),
        ("target", target_column),
        ("group", u32_column(|s| s.group)),
        ("xattrs", xattrs_column(states.clone().map(|s| s.map(|s| &s.xattrs[..])))),
    ];
    all.extend(columns.into_iter().map(|(name, array)| (format!("{prefix}_{name}"), array)));
}

/// Builds a column of lists of structs with these fields. `children` are the columns of the fields,
/// for the elements of all lists one after the other.
fn list_column<'a, T: 'a>(
    lists: impl Iterator<Item = Option<&'a [T]>> + Clone,
    fields: Fields,
    children: Vec<ArrayRef>,
) -> ArrayRef {
    let offsets = OffsetBuffer::from_lengths(lists.clone().map(|l| l.map_or(0, <[T]>::len)));
    let nulls = lists.map(|l| l.is_some()).collect();
    let values = StructArray::new(fields.clone(), children, None);
    Arc::new(ListArray::new(
        Arc::new(Field::new("item", DataType::Struct(fields), false)),
        offsets,
        Arc::new(values),
        Some(nulls),
    ))
}

/// Builds a column of lists of ranges.
fn ranges_column<'a>(lists: impl Iterator<Item = Option<&'a [(u64, u64)]>> + Clone) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("offset", DataType::UInt64, false),
        Field::new("len", DataType::UInt64, false),
    ]);
    let all = || lists.clone().flatten().flatten();
    let children: Vec<ArrayRef> = vec![
        Arc::new(all().map(|r| Some(r.0)).collect::<UInt64Array>()),
        Arc::new(all().map(|r| Some(r.1)).collect::<UInt64Array>()),
    ];
    list_column(lists, fields, children)
}

/// Builds a column of lists of extended attributes.
fn xattrs_column<'a>(
    lists: impl Iterator<Item = Option<&'a [(Vec<u8>, Vec<u8>)]>> + Clone,
) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("name", DataType::Binary, false),
        Field::new("value", DataType::Binary, false),
    ]);
    let all = || lists.clone().flatten().flatten();
    let children: Vec<ArrayRef> = vec![
        Arc::new(all().map(|a| Some(&a.0[..])).collect::<BinaryArray>()),
        Arc::new(all().map(|a| Some(&a.1[..])).collect::<BinaryArray>()),
    ];
    list_column(lists, fields, children)
}

/// Opens a table for reading. Fails if a row group is larger than [`GROUP_BYTES`].
pub(super) fn open_table(file: File) -> io::Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(invalid_data)?;
    if builder.metadata().row_groups().iter().any(|g| g.total_byte_size() > GROUP_BYTES) {
        return Err(damaged_manifest("a row group is too large"));
    }
    builder.with_batch_size(BATCH_ROWS).build().map_err(invalid_data)
}

/// Reads `files.parquet` or `unnamed.parquet`. Fails if it is damaged, a path is not plain
/// (`is_plain`), or paths are out of order.
pub fn read_rows(file: File) -> io::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for batch in open_table(file)? {
        let batch = batch.map_err(invalid_data)?;
        let reader = BatchReader { batch: &batch };
        for i in 0..batch.num_rows() {
            let row = reader.row(i)?;
            if !is_plain(&row.path) || rows.last().is_some_and(|last| last.path >= row.path) {
                return Err(damaged_manifest("a path is not plain or out of order"));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Returns whether a path is absolute and made of names only: no `.`, `..`, empty names or NULs.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let parts = |p: &[u8]| {
        p.split(|&b| b == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0))
    };
    path == b"/" || path.strip_prefix(b"/").is_some_and(parts)
}

/// Reads the cells of some rows of a table. Every method fails if the column is missing or has
/// another type.
pub(super) struct BatchReader<'a> {
    pub(super) batch: &'a RecordBatch,
}

impl BatchReader<'_> {
    /// Returns the column of this name. Fails if it is missing or has another type.
    fn column(&self, name: &str, kind: &DataType) -> io::Result<&ArrayRef> {
        let column = self
            .batch
            .column_by_name(name)
            .ok_or_else(|| damaged_manifest("a column is missing"))?;
        if column.data_type() == kind {
            Ok(column)
        } else {
            Err(damaged_manifest("a column has another type"))
        }
    }
    /// Returns the integer in row `i` of a column; `None`: null.
    pub(super) fn u32(&self, name: &str, i: usize) -> io::Result<Option<u32>> {
        let column = self.column(name, &DataType::UInt32)?;
        Ok(column.is_valid(i).then(|| column.as_primitive::<UInt32Type>().value(i)))
    }
    /// Returns the integer in row `i` of a column; `None`: null.
    pub(super) fn u64(&self, name: &str, i: usize) -> io::Result<Option<u64>> {
        let column = self.column(name, &DataType::UInt64)?;
        Ok(column.is_valid(i).then(|| column.as_primitive::<UInt64Type>().value(i)))
    }
    /// Returns the bytes in row `i` of a column; `None`: null.
    pub(super) fn bytes(&self, name: &str, i: usize) -> io::Result<Option<&[u8]>> {
        let column = self.column(name, &DataType::Binary)?;
        Ok(column.is_valid(i).then(|| column.as_binary::<i32>().value(i)))
    }
    /// Returns the text in row `i` of a column; `None`: null.
    pub(super) fn text(&self, name: &str, i: usize) -> io::Result<Option<&str>> {
        let column = self.column(name, &DataType::Utf8)?;
        Ok(column.is_valid(i).then(|| column.as_string::<i32>().value(i)))
    }
    /// Returns the two fields of the list of pairs in row `i` of a column, as one column each;
    /// `None`: null. `kind` is the type of both.
    fn pairs(
        &self,
        name: &str,
        i: usize,
        kind: &DataType,
    ) -> io::Result<Option<(ArrayRef, ArrayRef)>> {
        let column = self
            .batch
            .column_by_name(name)
            .and_then(|c| c.as_list_opt::<i32>())
            .ok_or_else(|| damaged_manifest("a list column is missing"))?;
        if column.is_null(i) {
            return Ok(None);
        }
        let items = column.value(i);
        let pair = items.as_struct_opt().filter(|s| {
            s.num_columns() == 2
                && s.columns().iter().all(|c| c.data_type() == kind && c.null_count() == 0)
        });
        let pair = pair.ok_or_else(|| damaged_manifest("a list column has another type"))?;
        Ok(Some((pair.column(0).clone(), pair.column(1).clone())))
    }
    /// Returns the list of ranges in row `i` of a column, as (offset, length); `None`: null. Fails
    /// if they overlap or are out of order.
    fn ranges_column(&self, name: &str, i: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
        let Some((offsets, lens)) = self.pairs(name, i, &DataType::UInt64)? else {
            return Ok(None);
        };
        let (offsets, lens) = (
            offsets.as_primitive::<UInt64Type>().values(),
            lens.as_primitive::<UInt64Type>().values(),
        );
        let ranges: Vec<(u64, u64)> = offsets.iter().copied().zip(lens.iter().copied()).collect();
        let ends = ranges.iter().map(|r| r.0.checked_add(r.1));
        if ends.clone().any(|e| e.is_none())
            || ranges.iter().skip(1).zip(ends).any(|(next, end)| end.is_some_and(|e| e > next.0))
        {
            return Err(damaged_manifest("extents out of order"));
        }
        Ok(Some(ranges))
    }
    /// Decodes the state in row `i` from the columns whose names begin with `prefix`. Returns
    /// `None` if there is no file.
    pub(super) fn state(&self, prefix: &str, i: usize) -> io::Result<Option<State>> {
        let Some(file_type) = self.text(&format!("{prefix}_type"), i)? else { return Ok(None) };
        let u32_cell = |what: &str| self.u32(&format!("{prefix}_{what}"), i);
        let xattrs = self.pairs(&format!("{prefix}_xattrs"), i, &DataType::Binary)?;
        let xattrs = xattrs.map_or_else(Vec::new, |(names, values)| {
            let (names, values) = (names.as_binary::<i32>(), values.as_binary::<i32>());
            (0..names.len()).map(|i| (names.value(i).to_vec(), values.value(i).to_vec())).collect()
        });
        Ok(Some(State {
            kind: FileType::by_name(file_type),
            mode: u32_cell("mode")?.map(|m| m & 0o7777),
            uid: u32_cell("uid")?,
            gid: u32_cell("gid")?,
            size: self.u64(&format!("{prefix}_size"), i)?,
            links: u32_cell("links")?,
            target: self.bytes(&format!("{prefix}_target"), i)?.map(<[u8]>::to_vec),
            group: u32_cell("group")?,
            xattrs,
        }))
    }
    /// Decodes row `i` of `files.parquet`.
    fn row(&self, i: usize) -> io::Result<Row> {
        let reason = self.text("not_compared", i)?.map(str::to_owned);
        let last = match (self.text("final", i)?, self.state("final", i)?) {
            (Some("absent"), _) => Final::Absent,
            (Some("present"), Some(state)) => {
                let content = match (self.bytes("final_blake3", i)?.map(TryInto::try_into), reason)
                {
                    (Some(Ok(hash)), _) => Content::Hash(Digest {
                        known: self
                            .ranges_column("final_extents", i)?
                            .map_or(Known::Whole, Known::Extents),
                        // Since version 1.3.
                        zeros: match self.batch.column_by_name("final_zeros") {
                            Some(_) => self.ranges_column("final_zeros", i)?.unwrap_or_default(),
                            None => Vec::new(),
                        },
                        hash,
                    }),
                    (Some(Err(_)), _) => {
                        return Err(damaged_manifest("a hash is not 32 bytes long"));
                    }
                    (None, Some(reason)) => Content::Not(reason),
                    (None, None) => Content::None,
                };
                Final::Present(state, content)
            }
            _ => Final::Unknown(reason.unwrap_or_default()),
        };
        Ok(Row {
            path: self
                .bytes("path", i)?
                .ok_or_else(|| damaged_manifest("a row without a path"))?
                .to_vec(),
            file: self.u32("file", i)?,
            initial: self.state("initial", i)?,
            holes: self.ranges_column("initial_holes", i)?.unwrap_or_default(),
            allocated: self.ranges_column("initial_allocated", i)?.unwrap_or_default(),
            last,
        })
    }
}
