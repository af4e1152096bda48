//! `initial.parquet`: where initial content stands in the trace.

use super::*;

/// Writes `initial.parquet`, row by row.
pub struct OriginWriter {
    /// Where it is written to, until there are rows.
    file: Option<Box<dyn Sink>>,
    writer: Option<ArrowWriter<Box<dyn Sink>>>,
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
            let properties = properties(self.buffer.len());
            let writer = ArrowWriter::try_new(file, Arc::new(schema), Some(properties));
            self.writer = Some(writer.map_err(written)?);
        }
        self.writer.as_mut().ok_or_else(|| io::Error::other("the table could not be begun"))
    }

    /// Adds a row, and writes the rows if there are enough.
    pub fn push(&mut self, origin: Origin) -> io::Result<()> {
        self.buffer.push(origin);
        if self.buffer.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Writes the waiting rows.
    fn flush(&mut self) -> io::Result<()> {
        let wide = |get: fn(&Origin) -> u64| -> ArrayRef {
            Arc::new(self.buffer.iter().map(get).collect::<UInt64Array>())
        };
        let file: ArrayRef = Arc::new(self.buffer.iter().map(|o| o.file).collect::<UInt32Array>());
        let batch = [
            ("file", file),
            ("offset", wide(|o| o.offset)),
            ("len", wide(|o| o.len)),
            ("seq", wide(|o| o.seq)),
            ("at", wide(|o| o.at)),
        ];
        let batch = RecordBatch::try_from_iter(batch).map_err(trouble)?;
        self.writer()?.write(&batch).map_err(written)?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the table and makes it durable.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let writer = self.writer.ok_or_else(|| io::Error::other("flushing begins the table"))?;
        writer.into_inner().map_err(written)?.sync()
    }
}

/// Reads `initial.parquet`, in its order, in bounded memory.
pub struct Origins {
    batches: ParquetRecordBatchReader,
    batch: std::vec::IntoIter<Origin>,
}

impl Origins {
    /// Opens the table.
    pub fn open(file: File) -> io::Result<Self> {
        Ok(Self { batches: reader(file)?, batch: Vec::new().into_iter() })
    }

    /// Reads the next batch of rows. Returns false at the end.
    fn next_batch(&mut self) -> io::Result<bool> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let batch = batch.map_err(trouble)?;
        let table = Table { batch: &batch };
        let file =
            table.column("file", &DataType::UInt32)?.as_primitive::<UInt32Type>().values().clone();
        let wide = |name| {
            Ok::<_, io::Error>(
                table
                    .column(name, &DataType::UInt64)?
                    .as_primitive::<UInt64Type>()
                    .values()
                    .clone(),
            )
        };
        let (offset, len, seq, at) = (wide("offset")?, wide("len")?, wide("seq")?, wide("at")?);
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
