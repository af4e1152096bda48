//! `snapshot.parquet`: initial bytes of files that the program opened, as far as no call read or
//! wrote them, copied from the live file system when the recording has just ended.
//!
//! The trace holds the bytes that calls read or wrote. Other bytes are still in the files, so that
//! nothing need be copied while the program runs. Bytes that calls overwrote, cut off or removed
//! without a call having read them are gone: the program can only have used them through a mapping.

use crate::files::table::{
    GROUP_BYTES, UNKNOWN_ROW_COUNT, invalid_data, write_error, writer_properties,
};
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rustix::fd::OwnedFd;
use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::io;
use std::sync::Arc;
use trace::storage::Sink;

/// The largest number of bytes in a row.
const MAX_BYTES_PER_ROW: u64 = 1 << 20;
/// The number of rows that are written and read at once.
const BATCH_ROWS: usize = 8;

/// Initial bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// [`super::Row::file`].
    pub file: u32,
    /// The offset of the first byte in the file.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
    /// The bytes; `None`: they are a hole.
    pub bytes: Option<Vec<u8>>,
}

/// Writes `snapshot.parquet`.
pub struct Writer {
    schema: Arc<Schema>,
    writer: ArrowWriter<Box<dyn Sink>>,
    /// Rows that are not written yet.
    rows: Vec<Copied>,
    /// The number of bytes in the current row group.
    group_bytes: u64,
    /// The number of bytes copied, without holes.
    pub bytes: u64,
}

impl Writer {
    /// Begins the table in this file.
    pub fn new(file: Box<dyn Sink>) -> io::Result<Self> {
        let field = |name: &str, kind| Field::new(name, kind, false);
        let bytes = Field::new("bytes", DataType::Binary, true);
        let schema = Arc::new(Schema::new(vec![
            field("file", DataType::UInt32),
            field("offset", DataType::UInt64),
            field("len", DataType::UInt64),
            bytes,
        ]));
        let writer =
            ArrowWriter::try_new(file, schema.clone(), Some(writer_properties(UNKNOWN_ROW_COUNT)))
                .map_err(write_error)?;
        Ok(Self { schema, writer, rows: Vec::new(), group_bytes: 0, bytes: 0 })
    }

    /// Copies the range `start..end` of `file` into rows of the file with the id `file_id`. Returns
    /// false if it cannot be read, or the file ends before `end`.
    pub fn copy(
        &mut self,
        file_id: u32,
        file: &OwnedFd,
        (start, end): (u64, u64),
    ) -> io::Result<bool> {
        let mut offset = start;
        while offset < end {
            let data = match seek(file, SeekFrom::Data(offset)) {
                Ok(data) => data.min(end),
                Err(rustix::io::Errno::NXIO) => end,
                Err(_) => offset,
            };
            if data > offset {
                self.push(Copied { file: file_id, offset, len: data - offset, bytes: None })?;
                offset = data;
                continue;
            }
            let hole = seek(file, SeekFrom::Hole(offset)).unwrap_or(end).clamp(offset + 1, end);
            let mut bytes = vec![0; MAX_BYTES_PER_ROW.min(hole - offset) as usize];
            match rustix::io::pread(file, &mut bytes[..], offset) {
                Ok(n) if n > 0 => bytes.truncate(n),
                _ => return Ok(false),
            }
            let len = bytes.len() as u64;
            self.bytes += len;
            self.push(Copied { file: file_id, offset, len, bytes: Some(bytes) })?;
            offset += len;
        }
        Ok(true)
    }

    /// Adds a row, and writes the rows if there are enough.
    fn push(&mut self, row: Copied) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Writes the rows that are not written yet. Begins a new row group if the current one is
    /// large.
    fn flush(&mut self) -> io::Result<()> {
        let mut bytes = BinaryBuilder::new();
        for row in &self.rows {
            bytes.append_option(row.bytes.as_deref());
            self.group_bytes += row.bytes.as_ref().map_or(0, |b| b.len() as u64);
        }
        let u64_column = |get: fn(&Copied) -> u64| -> ArrayRef {
            Arc::new(self.rows.iter().map(get).collect::<UInt64Array>())
        };
        let file: ArrayRef = Arc::new(self.rows.iter().map(|r| r.file).collect::<UInt32Array>());
        let batch = RecordBatch::try_new(
            self.schema.clone(),
            vec![file, u64_column(|r| r.offset), u64_column(|r| r.len), Arc::new(bytes.finish())],
        );
        self.writer.write(&batch.map_err(invalid_data)?).map_err(write_error)?;
        self.rows.clear();
        if self.group_bytes >= GROUP_BYTES as u64 / 4 {
            self.writer.flush().map_err(write_error)?;
            self.group_bytes = 0;
        }
        Ok(())
    }

    /// Writes the remaining rows, finishes the table and syncs the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer.into_inner().map_err(write_error)?.sync()
    }
}

/// Reads `snapshot.parquet`, in its order, in bounded memory.
pub struct Reader {
    batches: ParquetRecordBatchReader,
    /// The rest of the batch that was read last.
    rows: std::vec::IntoIter<Copied>,
}

impl Reader {
    /// Opens the table for reading.
    pub fn open(file: File) -> io::Result<Self> {
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|b| b.with_batch_size(BATCH_ROWS).build())
            .map_err(invalid_data)?;
        Ok(Self { batches, rows: Vec::new().into_iter() })
    }

    /// Decodes the rows of a batch. Returns `None` if a column is missing or has another type, or
    /// if a row has fewer or more bytes than its length says.
    fn rows(batch: &RecordBatch) -> Option<Vec<Copied>> {
        let column = |name: &str, kind: &DataType| {
            batch.column_by_name(name).filter(|c| c.data_type() == kind)
        };
        let file = column("file", &DataType::UInt32)?.as_primitive::<UInt32Type>();
        let offset = column("offset", &DataType::UInt64)?.as_primitive::<UInt64Type>();
        let len = column("len", &DataType::UInt64)?.as_primitive::<UInt64Type>();
        let bytes = column("bytes", &DataType::Binary)?.as_binary::<i32>();
        let row = |i: usize| {
            let held = (!bytes.is_null(i)).then(|| bytes.value(i).to_vec());
            let row = Copied {
                file: file.value(i),
                offset: offset.value(i),
                len: len.value(i),
                bytes: held,
            };
            row.bytes.as_ref().is_none_or(|b| b.len() as u64 == row.len).then_some(row)
        };
        (0..batch.num_rows()).map(row).collect()
    }
}

impl Iterator for Reader {
    type Item = io::Result<Copied>;
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            match self.batches.next()? {
                Ok(batch) => match Self::rows(&batch) {
                    Some(rows) => self.rows = rows.into_iter(),
                    None => {
                        return Some(Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "the snapshot is damaged",
                        )));
                    }
                },
                Err(e) => return Some(Err(invalid_data(e))),
            }
        }
    }
}
