//! `files.parquet` and `initial.parquet`: the manifest as tables that any Parquet reader
//! understands.
//!
//! What is read back is checked: paths are absolute and plain, in order and without doubles,
//! extents in order. Anything else is refused.

mod changes;
mod origins;

pub use changes::{
    Change, ChangeKind, files as changed_files, read as read_changes, told as told_changes,
    write as write_changes,
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

/// About so many bytes has a row.
const ROW: usize = 256;
/// Rows written and read at once.
const BATCH: usize = 8192;
/// Row groups of the tables that we write are smaller; a larger one is refused.
pub(super) const GROUP_BYTES: i64 = 256 << 20;

pub(super) type Columns = Vec<(String, ArrayRef)>;

/// Rows of a table whose length is not known before.
pub(super) const MANY: usize = 1 << 20;

/// Returns the properties for a table of about this many rows.
pub(super) fn properties(rows: usize) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(trace::compression((rows * ROW) as u64))
        .set_max_row_group_row_count(Some(BATCH * 8))
        .build()
}

/// Converts an error of the Parquet or Arrow library to an I/O error.
pub(super) fn trouble(e: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

/// Converts an error of the Parquet writer. The kind of an I/O error is kept, so that a full disk
/// is recognised.
pub(super) fn written(e: ParquetError) -> io::Error {
    match e {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(io) => *io,
            Err(other) => io::Error::other(other),
        },
        e => io::Error::other(e),
    }
}

/// Returns the error for a damaged manifest.
pub(super) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the manifest is damaged: {what}"))
}

/// Writes the manifest. The rows must be in the order of their paths.
pub fn write_rows(file: Box<dyn Sink>, rows: &[Row]) -> io::Result<()> {
    let mut writer = None;
    let mut file = Some(file);
    for chunk in rows.chunks(BATCH).chain(rows.is_empty().then_some(rows)) {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns(chunk).into_iter().map(|(n, a)| (n, a, true)),
        )
        .map_err(trouble)?;
        let writer = match (&mut writer, file.take()) {
            (Some(writer), _) => writer,
            (none, Some(file)) => none.insert(
                ArrowWriter::try_new(file, batch.schema(), Some(properties(rows.len())))
                    .map_err(written)?,
            ),
            (None, None) => return Err(wrong("no file to write to")),
        };
        writer.write(&batch).map_err(written)?;
    }
    let mut file = writer.ok_or_else(|| wrong("no rows"))?.into_inner().map_err(written)?;
    file.sync()
}

/// Returns the columns of the manifest.
fn columns(rows: &[Row]) -> Columns {
    let path: ArrayRef = Arc::new(rows.iter().map(|r| Some(&r.path[..])).collect::<BinaryArray>());
    let file: ArrayRef = Arc::new(rows.iter().map(|r| r.file).collect::<UInt32Array>());
    let mut all = vec![("path".to_owned(), path), ("file".to_owned(), file)];
    state_columns("initial", &rows.iter().map(|r| r.initial.as_ref()), &mut all);
    all.push(("initial_holes".to_owned(), ranges(rows.iter().map(|r| Some(&r.holes[..])))));
    all.push(("initial_allocated".to_owned(), ranges(rows.iter().map(|r| Some(&r.allocated[..])))));
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
    let extents = ranges(content().map(|c| {
        if let Some(Digest { known: Known::Extents(extents), .. }) = c {
            Some(&extents[..])
        } else {
            None
        }
    }));
    all.push(("final_extents".to_owned(), extents));
    let zeros = content().map(|c| c.map(|digest| &digest.zeros[..]).filter(|z| !z.is_empty()));
    all.push(("final_zeros".to_owned(), ranges(zeros)));
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
    let number = |get: fn(&State) -> Option<u32>| -> ArrayRef {
        Arc::new(states.clone().map(|s| s.and_then(get)).collect::<UInt32Array>())
    };
    let kind: ArrayRef =
        Arc::new(states.clone().map(|s| s.map(|s| s.kind.name())).collect::<StringArray>());
    let size: ArrayRef =
        Arc::new(states.clone().map(|s| s.and_then(|s| s.size)).collect::<UInt64Array>());
    let target: ArrayRef = Arc::new(
        states.clone().map(|s| s.and_then(|s| s.target.as_deref())).collect::<BinaryArray>(),
    );
    let columns = [
        ("type", kind),
        ("mode", number(|s| s.mode)),
        ("uid", number(|s| s.uid)),
        ("gid", number(|s| s.gid)),
        ("size", size),
        ("links", number(|s| s.links)),
        ("target", target),
        ("group", number(|s| s.group)),
        ("xattrs", attributes(states.clone().map(|s| s.map(|s| &s.xattrs[..])))),
    ];
    all.extend(columns.into_iter().map(|(name, array)| (format!("{prefix}_{name}"), array)));
}

/// Returns a column of lists of structs with these fields.
fn list<'a, T: 'a>(
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

/// Returns a column of lists of ranges.
fn ranges<'a>(lists: impl Iterator<Item = Option<&'a [(u64, u64)]>> + Clone) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("offset", DataType::UInt64, false),
        Field::new("len", DataType::UInt64, false),
    ]);
    let all = || lists.clone().flatten().flatten();
    let children: Vec<ArrayRef> = vec![
        Arc::new(all().map(|r| Some(r.0)).collect::<UInt64Array>()),
        Arc::new(all().map(|r| Some(r.1)).collect::<UInt64Array>()),
    ];
    list(lists, fields, children)
}

/// Returns a column of lists of extended attributes.
fn attributes<'a>(
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
    list(lists, fields, children)
}

/// Opens a table for reading.
pub(super) fn reader(file: File) -> io::Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(trouble)?;
    if builder.metadata().row_groups().iter().any(|g| g.total_byte_size() > GROUP_BYTES) {
        return Err(wrong("a row group is too large"));
    }
    builder.with_batch_size(BATCH).build().map_err(trouble)
}

/// Reads the manifest. Fails if it is damaged, or a path is not plain.
pub fn read_rows(file: File) -> io::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for batch in reader(file)? {
        let batch = batch.map_err(trouble)?;
        let table = Table { batch: &batch };
        for i in 0..batch.num_rows() {
            let row = table.row(i)?;
            if !plain(&row.path) || rows.last().is_some_and(|last| last.path >= row.path) {
                return Err(wrong("a path is not plain or out of order"));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Returns whether a path is absolute and made of names only: no `.`, `..`, empty names or NULs.
pub(super) fn plain(path: &[u8]) -> bool {
    let parts = |p: &[u8]| {
        p.split(|&b| b == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0))
    };
    path == b"/" || path.strip_prefix(b"/").is_some_and(parts)
}

pub(super) struct Table<'a> {
    pub(super) batch: &'a RecordBatch,
}

impl Table<'_> {
    /// Returns the column of this name. Fails if it is missing or has another type.
    fn column(&self, name: &str, kind: &DataType) -> io::Result<&ArrayRef> {
        let column = self.batch.column_by_name(name).ok_or_else(|| wrong("a column is missing"))?;
        if column.data_type() == kind {
            Ok(column)
        } else {
            Err(wrong("a column has another type"))
        }
    }
    pub(super) fn u32(&self, name: &str, i: usize) -> io::Result<Option<u32>> {
        let column = self.column(name, &DataType::UInt32)?;
        Ok(column.is_valid(i).then(|| column.as_primitive::<UInt32Type>().value(i)))
    }
    pub(super) fn u64(&self, name: &str, i: usize) -> io::Result<Option<u64>> {
        let column = self.column(name, &DataType::UInt64)?;
        Ok(column.is_valid(i).then(|| column.as_primitive::<UInt64Type>().value(i)))
    }
    pub(super) fn bytes(&self, name: &str, i: usize) -> io::Result<Option<&[u8]>> {
        let column = self.column(name, &DataType::Binary)?;
        Ok(column.is_valid(i).then(|| column.as_binary::<i32>().value(i)))
    }
    pub(super) fn text(&self, name: &str, i: usize) -> io::Result<Option<&str>> {
        let column = self.column(name, &DataType::Utf8)?;
        Ok(column.is_valid(i).then(|| column.as_string::<i32>().value(i)))
    }
    /// Returns the two columns of the list of pairs in row `i`.
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
            .ok_or_else(|| wrong("a list column is missing"))?;
        if column.is_null(i) {
            return Ok(None);
        }
        let items = column.value(i);
        let pair = items.as_struct_opt().filter(|s| {
            s.num_columns() == 2
                && s.columns().iter().all(|c| c.data_type() == kind && c.null_count() == 0)
        });
        let pair = pair.ok_or_else(|| wrong("a list column has another type"))?;
        Ok(Some((pair.column(0).clone(), pair.column(1).clone())))
    }
    /// Returns the list of ranges in row `i` of a column. Fails if they overlap or are out of
    /// order.
    fn ranges(&self, name: &str, i: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
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
            return Err(wrong("extents out of order"));
        }
        Ok(Some(ranges))
    }
    /// Decodes the state in row `i`. Returns `None` if the file is not there.
    pub(super) fn state(&self, prefix: &str, i: usize) -> io::Result<Option<State>> {
        let Some(kind) = self.text(&format!("{prefix}_type"), i)? else { return Ok(None) };
        let number = |what: &str| self.u32(&format!("{prefix}_{what}"), i);
        let xattrs = self.pairs(&format!("{prefix}_xattrs"), i, &DataType::Binary)?;
        let xattrs = xattrs.map_or_else(Vec::new, |(names, values)| {
            let (names, values) = (names.as_binary::<i32>(), values.as_binary::<i32>());
            (0..names.len()).map(|i| (names.value(i).to_vec(), values.value(i).to_vec())).collect()
        });
        Ok(Some(State {
            kind: FileType::by_name(kind),
            mode: number("mode")?.map(|m| m & 0o7777),
            uid: number("uid")?,
            gid: number("gid")?,
            size: self.u64(&format!("{prefix}_size"), i)?,
            links: number("links")?,
            target: self.bytes(&format!("{prefix}_target"), i)?.map(<[u8]>::to_vec),
            group: number("group")?,
            xattrs,
        }))
    }
    /// Decodes row `i`.
    fn row(&self, i: usize) -> io::Result<Row> {
        let reason = self.text("not_compared", i)?.map(str::to_owned);
        let last = match (self.text("final", i)?, self.state("final", i)?) {
            (Some("absent"), _) => Final::Absent,
            (Some("present"), Some(state)) => {
                let content = match (self.bytes("final_blake3", i)?.map(TryInto::try_into), reason)
                {
                    (Some(Ok(hash)), _) => Content::Hash(Digest {
                        known: self
                            .ranges("final_extents", i)?
                            .map_or(Known::Whole, Known::Extents),
                        // Since version 1.3.
                        zeros: match self.batch.column_by_name("final_zeros") {
                            Some(_) => self.ranges("final_zeros", i)?.unwrap_or_default(),
                            None => Vec::new(),
                        },
                        hash,
                    }),
                    (Some(Err(_)), _) => return Err(wrong("a hash is not 32 bytes long")),
                    (None, Some(reason)) => Content::Not(reason),
                    (None, None) => Content::None,
                };
                Final::Present(state, content)
            }
            _ => Final::Unknown(reason.unwrap_or_default()),
        };
        Ok(Row {
            path: self.bytes("path", i)?.ok_or_else(|| wrong("a row without a path"))?.to_vec(),
            file: self.u32("file", i)?,
            initial: self.state("initial", i)?,
            holes: self.ranges("initial_holes", i)?.unwrap_or_default(),
            allocated: self.ranges("initial_allocated", i)?.unwrap_or_default(),
            last,
        })
    }
}
