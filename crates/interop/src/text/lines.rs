//! The lines of a text.

use crate::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line: a call with data, four characters a byte. What is longer comes in payloads.
const LINE: u64 = 1 << 30;

pub(crate) struct Lines {
    file: BufReader<File>,
    path: PathBuf,
    /// The bytes read so far.
    pub bytes: u64,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        Ok(Self { file: BufReader::new(file), path: path.to_owned(), bytes: 0 })
    }

    /// The next line without its newline; `None` at the end. These tools write ASCII; bytes that
    /// are not UTF-8 are replaced. Fails if the file cannot be read.
    pub fn next(&mut self) -> Result<Option<String>, Error> {
        let mut bytes = Vec::new();
        let n = (&mut self.file)
            .take(LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(Error::io("read", &self.path))?;
        self.bytes += n as u64;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok((n > 0).then_some(text))
    }
}
