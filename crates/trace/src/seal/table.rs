//! Writing one Parquet file of a trace: hashed as it goes, durable when it is finished.

use crate::document::Sealed;
use crate::error::Error;
use crate::storage::{Sink, Storage, file_at};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

/// A Parquet file that is being written.
pub(super) struct Table {
    writer: ArrowWriter<Hashing>,
    name: String,
    path: PathBuf,
}

struct Hashing {
    sink: Box<dyn Sink>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// About so many bytes has a row, besides its payloads and its data.
pub(super) const ROW: usize = 128;

/// How a table of about so many bytes is compressed. What a compressor needs for each column, to
/// write and to read it, costs more than a small table saves.
pub fn compression(bytes: u64) -> Compression {
    if bytes < 64 << 10 {
        return Compression::UNCOMPRESSED;
    }
    Compression::ZSTD(ZstdLevel::try_new(1).expect("zstd has a level 1"))
}

/// What all tables have in common, for about so many bytes: no dictionaries for what rarely
/// repeats, no statistics about bulk data.
pub(super) fn properties(bytes: u64) -> WriterPropertiesBuilder {
    let mut properties = WriterProperties::builder()
        .set_compression(compression(bytes))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("reanimator ", env!("CARGO_PKG_VERSION")).to_owned());
    for name in ["pieces", "data"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    for name in ["seq", "time", "entered", "duration", "at"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties
}

impl Table {
    /// A new file `name` in the trace `path`, whose directory is `dir`.
    pub fn create(
        storage: &dyn Storage,
        dir: BorrowedFd<'_>,
        path: &Path,
        name: &str,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, Error> {
        let path = path.join(name);
        let sink = storage.create(dir, name).map_err(Error::io("create", &path))?;
        let sink = Hashing { sink, hasher: blake3::Hasher::new(), bytes: 0 };
        // Without Arrow's own schema in the file, every reader sees the plain types of the Parquet
        // schema.
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(sink, schema, options)
            .map_err(|e| writing(&path, e))?;
        Ok(Self { writer, name: name.to_owned(), path })
    }

    /// Adds rows, as one row group of their own.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.writer
            .write(batch)
            .and_then(|()| self.writer.flush())
            .map_err(|e| writing(&self.path, e))
    }

    /// Ends the file; it is durable then.
    pub fn finish(self) -> Result<Sealed, Error> {
        let mut inner = self.writer.into_inner().map_err(|e| writing(&self.path, e))?;
        inner.sink.sync().map_err(Error::io("write", &self.path))?;
        Ok(Sealed {
            file: self.name,
            bytes: inner.bytes,
            blake3: inner.hasher.finalize().to_hex().to_string(),
        })
    }
}

/// The file `name`, which is durable, as it goes into `trace.json`.
pub(super) fn hash(dir: BorrowedFd<'_>, name: &str) -> io::Result<Sealed> {
    let file = file_at(dir, name)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file)?;
    Ok(Sealed {
        file: name.to_owned(),
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// The operating system's error within, so that a full disk can be told from others.
fn writing(path: &Path, error: ParquetError) -> Error {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(e) => *e,
            Err(e) => io::Error::other(e),
        },
        other => io::Error::other(other),
    };
    Error::io("write", path)(source)
}
