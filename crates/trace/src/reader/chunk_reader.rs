//! Gives the Parquet reader access to a file of a trace, by reads at offsets that share no file
//! position.

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A file, and its length when it was opened.
#[derive(Clone)]
pub(super) struct TraceFile {
    file: Arc<File>,
    len: u64,
}

/// Reads a file sequentially from an offset.
pub(super) struct TraceFileReader {
    source: TraceFile,
    at: u64,
}

impl TraceFile {
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), len })
    }

    /// Returns the length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// Reads `len` bytes at offset `start`. Fails, without allocating memory, if the file is
    /// shorter.
    pub fn at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        if start.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }
}

impl Read for TraceFileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Length for TraceFile {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for TraceFile {
    type T = BufReader<TraceFileReader>;
    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(256, TraceFileReader { source: self.clone(), at: start }))
    }
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.at(start, length).map(Bytes::from).map_err(|e| ParquetError::External(Box::new(e)))
    }
}
