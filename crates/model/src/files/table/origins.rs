//! `initial.parquet`: where the trace holds bytes of the initial content of files.

use super::*;

/// Writes `initial.parquet`, row by row.
pub struct OriginWriter {
    /// The file, until the writer is created.
    file: Option<Box<dyn Sink>>,
    /// The writer, which is created with the first rows.
    writer: Option<ArrowWriter<Box<dyn Sink>>>,
    /// Rows that are not written yet.
    buffer: Vec<Origin>,
}

impl OriginWriter {
    /// Begins the table in this file.
    pub fn new(file: Box<dyn Sink>) -> Self {
        Self { file: Some(file), writer: None, buffer: Vec::new() }
    }

    /// Returns the writer of the table, which is created with the first rows: they show how many
    /// rows there may be.
    fn writer(&mut self) -> io::Result<&mut ArrowWriter<Box<dyn Sink>>> {
        if let Some(file) = self.file.take() {
            let field = |name: &str, kind: DataType| Field::new(name, kind, false);
            let schema = Schema::new(vec![
                field("file", DataType::UInt32),
                field("offset", DataType::UInt64),
                field("len", DataType::UInt64),
                field("seq", DataType::UInt64),
                field("at", DataType::UInt64),
            ]);
            let properties = writer_properties(self.buffer.len());
            let writer = ArrowWriter::try_new(file, Arc::new(schema), Some(properties));
            self.writer = Some(writer.map_err(write_error)?);
        }
        self.writer.as_mut().ok_or_else(|| io::Error::other("the table could not be begun"))
    }

    /// Adds a row, and writes the rows if there are enough.
    pub fn push(&mut self, origin: Origin) -> io::Result<()> {
        self.buffer.push(origin);
        if self.buffer.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Writes the rows of the buffer.
    fn flush(&mut self) -> io::Result<()> {
        let u64_column = |get: fn(&Origin) -> u64| -> ArrayRef {
            Arc::new(self.buffer.iter().map(get).collect::<UInt64Array>())
        };
        let file: ArrayRef = Arc::new(self.buffer.iter().map(|o| o.file).collect::<UInt32Array>());
        let batch = [
            ("file", file),
            ("offset", u64_column(|o| o.offset)),
            ("len", u64_column(|o| o.len)),
            ("seq", u64_column(|o| o.seq)),
            ("at", u64_column(|o| o.at)),
        ];
        let batch = RecordBatch::try_from_iter(batch).map_err(invalid_data)?;
        self.writer()?.write(&batch).map_err(write_error)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the remaining rows, finishes the table and syncs the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let writer = self.writer.ok_or_else(|| io::Error::other("flushing begins the table"))?;
        writer.into_inner().map_err(write_error)?.sync()
    }
}

/// Reads `initial.parquet`, in its order, in bounded memory.
pub struct Origins {
    batches: ParquetRecordBatchReader,
    /// The rest of the batch that was read last.
    batch: std::vec::IntoIter<Origin>,
}

impl Origins {
    /// Opens the table.
    pub fn open(file: File) -> io::Result<Self> {
        Ok(Self { batches: open_table(file)?, batch: Vec::new().into_iter() })
    }

    /// Reads the next batch of rows into `batch`. Returns false at the end.
    fn next_batch(&mut self) -> io::Result<bool> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let batch = batch.map_err(invalid_data)?;
        let reader = BatchReader { batch: &batch };
        let file =
            reader.column("file", &DataType::UInt32)?.as_primitive::<UInt32Type>().values().clone();
        let u64_column = |name| {
            Ok::<_, io::Error>(
                reader
                    .column(name, &DataType::UInt64)?
                    .as_primitive::<UInt64Type>()
                    .values()
                    .clone(),
            )
        };
        let (offset, len, seq, at) =
            (u64_column("offset")?, u64_column("len")?, u64_column("seq")?, u64_column("at")?);
        let rows: Vec<Origin> = (0..batch.num_rows())
            .map(|i| Origin {
                file: file[i],
                offset: offset[i],
                len: len[i],
                seq: seq[i],
                at: at[i],
            })
            .collect();
        self.batch = rows.into_iter();
        Ok(true)
    }
}

impl Iterator for Origins {
    type Item = io::Result<Origin>;
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(origin) = self.batch.next() {
                return Some(Ok(origin));
            }
            match self.next_batch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
