//! `snapshot.parquet`: bytes of files that the program opened and that no call of it moved, copied
//! from the live file system when the recording has just ended.
//!
//! What the trace read or wrote is in its calls; what it neither read nor wrote still stands in the
//! files, so nothing need be copied before the program may change it, and the program is not held
//! up. Bytes that it overwrote, cut off or removed without a call having read them are gone: only
//! that read them through a mapping can have depended on them.

use crate::files::table::{GROUP_BYTES, MANY, properties, trouble, written};
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

/// Bytes in a row at most.
const CHUNK: u64 = 1 << 20;
/// Rows written and read at once.
const ROWS: usize = 8;

/// Initial bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// [`super::Row::file`].
    pub file: u32,
    /// Where they stand in the file.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// The bytes; `None`: zeros without blocks.
    pub bytes: Option<Vec<u8>>,
}

/// Writes the table.
pub struct Writer {
    schema: Arc<Schema>,
    writer: ArrowWriter<Box<dyn Sink>>,
    rows: Vec<Copied>,
    group_bytes: u64,
    /// Bytes copied, holes not among them.
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
            ArrowWriter::try_new(file, schema.clone(), Some(properties(MANY))).map_err(written)?;
        Ok(Self { schema, writer, rows: Vec::new(), group_bytes: 0, bytes: 0 })
    }

    /// Copies the range `start..end` of `from`, the file with the number `file`. Returns false if
    /// it cannot be read, or ends before.
    pub fn copy(
        &mut self,
        file: u32,
        from: &OwnedFd,
        (start, end): (u64, u64),
    ) -> io::Result<bool> {
        let mut at = start;
        while at < end {
            let data = match seek(from, SeekFrom::Data(at)) {
                Ok(data) => data.min(end),
                Err(rustix::io::Errno::NXIO) => end,
                Err(_) => at,
            };
            if data > at {
                self.push(Copied { file, offset: at, len: data - at, bytes: None })?;
                at = data;
                continue;
            }
            let hole = seek(from, SeekFrom::Hole(at)).unwrap_or(end).clamp(at + 1, end);
            let mut bytes = vec![0; CHUNK.min(hole - at) as usize];
            match rustix::io::pread(from, &mut bytes[..], at) {
                Ok(n) if n > 0 => bytes.truncate(n),
                _ => return Ok(false),
            }
            let len = bytes.len() as u64;
            self.bytes += len;
            self.push(Copied { file, offset: at, len, bytes: Some(bytes) })?;
            at += len;
        }
        Ok(true)
    }

    /// Adds a row, and writes the rows if there are enough.
    fn push(&mut self, row: Copied) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    /// Writes the waiting rows.
    fn flush(&mut self) -> io::Result<()> {
        let mut bytes = BinaryBuilder::new();
        for row in &self.rows {
            bytes.append_option(row.bytes.as_deref());
            self.group_bytes += row.bytes.as_ref().map_or(0, |b| b.len() as u64);
        }
        let wide = |get: fn(&Copied) -> u64| -> ArrayRef {
            Arc::new(self.rows.iter().map(get).collect::<UInt64Array>())
        };
        let file: ArrayRef = Arc::new(self.rows.iter().map(|r| r.file).collect::<UInt32Array>());
        let batch = RecordBatch::try_new(
            self.schema.clone(),
            vec![file, wide(|r| r.offset), wide(|r| r.len), Arc::new(bytes.finish())],
        );
        self.writer.write(&batch.map_err(trouble)?).map_err(written)?;
        self.rows.clear();
        if self.group_bytes >= GROUP_BYTES as u64 / 4 {
            self.writer.flush().map_err(written)?;
            self.group_bytes = 0;
        }
        Ok(())
    }

    /// Ends the table and makes it durable.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer.into_inner().map_err(written)?.sync()
    }
}

/// Reads the table, in its order, in bounded memory.
pub struct Reader {
    batches: ParquetRecordBatchReader,
    rows: std::vec::IntoIter<Copied>,
}

impl Reader {
    /// Opens the table for reading.
    pub fn open(file: File) -> io::Result<Self> {
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|b| b.with_batch_size(ROWS).build())
            .map_err(trouble)?;
        Ok(Self { batches, rows: Vec::new().into_iter() })
    }

    /// Decodes the rows of a batch. Returns `None` if they are invalid.
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
                Err(e) => return Some(Err(trouble(e))),
            }
        }
    }
}
