//! Writes one Parquet file of a trace. The file is hashed while it is written, and durable when it
//! is finished.

use crate::document::Sealed;
use crate::error::Error;
use crate::storage::{Sink, Storage, open_file_at};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
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
    writer: ArrowWriter<HashingSink>,
    /// The name of the file.
    name: String,
    /// The path of the file, for error messages.
    path: PathBuf,
}

/// Passes bytes on to a sink, hashes them and counts them.
struct HashingSink {
    sink: Box<dyn Sink>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for HashingSink {
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

/// The approximate size of a row in bytes, without its payloads and its data.
pub(super) const ROW_OVERHEAD_BYTES: usize = 128;

/// Returns the compression for a table of about `bytes` bytes. A small table is not compressed:
/// setting up the compressor for each column, for writing and for reading, costs more than it
/// saves.
pub fn compression(bytes: u64) -> Compression {
    if bytes < 64 << 10 {
        return Compression::UNCOMPRESSED;
    }
    Compression::ZSTD(ZstdLevel::try_new(1).expect("zstd has a level 1"))
}

/// Returns the properties that all tables have in common, for a table of about `bytes` bytes.
/// Columns that rarely repeat get no dictionary, and bulk data get no statistics.
pub(super) fn writer_properties(bytes: u64) -> WriterPropertiesBuilder {
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
    /// Creates the file `name`. `dir` is the trace's directory and `path` its path in error
    /// messages.
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
        let sink = HashingSink { sink, hasher: blake3::Hasher::new(), bytes: 0 };
        // Without Arrow's own schema in the file, every reader sees the plain types of the Parquet
        // schema.
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(sink, schema, options)
            .map_err(|e| write_error(&path, e))?;
        Ok(Self { writer, name: name.to_owned(), path })
    }

    /// Writes the rows of `batch` as one row group.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.writer
            .write(batch)
            .and_then(|()| self.writer.flush())
            .map_err(|e| write_error(&self.path, e))
    }

    /// Finishes and syncs the file. Returns its name, length and hash.
    pub fn finish(self) -> Result<Sealed, Error> {
        let mut inner = self.writer.into_inner().map_err(|e| write_error(&self.path, e))?;
        inner.sink.sync().map_err(Error::io("write", &self.path))?;
        Ok(Sealed {
            file: self.name,
            bytes: inner.bytes,
            blake3: inner.hasher.finalize().to_hex().to_string(),
        })
    }
}

/// Returns the name, length and hash of a file that is already written and durable.
pub(super) fn hash_file(dir: BorrowedFd<'_>, name: &str) -> io::Result<Sealed> {
    let file = open_file_at(dir, name)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file)?;
    Ok(Sealed {
        file: name.to_owned(),
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// Converts an error of the Parquet writer. The I/O error in it is kept, so that a full disk is
/// recognised.
fn write_error(path: &Path, error: ParquetError) -> Error {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(e) => *e,
            Err(e) => io::Error::other(e),
        },
        other => io::Error::other(other),
    };
    Error::io("write", path)(source)
}
