//! What the parsers of text share: lines, numbers with fractions, and guessing a format.

use crate::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line: a call with 256 MiB of data, four characters a byte. A longer line is split.
const MAX_LINE_BYTES: u64 = 1 << 30;

pub(crate) struct Lines {
    file: BufReader<File>,
    path: PathBuf,
    /// The bytes read so far.
    pub bytes: u64,
}

impl Lines {
    /// Opens a text file for reading by lines.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        Ok(Self { file: BufReader::new(file), path: path.to_owned(), bytes: 0 })
    }

    /// Returns the next line without its newline, or `None` at the end. These tools write ASCII;
    /// bytes that are not UTF-8 are replaced. Fails if the file cannot be read.
    pub fn next_line(&mut self) -> Result<Option<String>, Error> {
        let mut bytes = Vec::new();
        let read_bytes = (&mut self.file)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut bytes)
            .map_err(Error::io("read", &self.path))?;
        self.bytes += read_bytes as u64;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok((read_bytes > 0).then_some(text))
    }
}

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Parses a number with an optional fraction, and returns it in nanoseconds. `unit` is the number
/// of nanoseconds in 1. Returns `None` if it is no such number, or too large.
pub(crate) fn parse_nanos(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let only_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then_some(());
    only_digits(whole).and(only_digits(fraction))?;
    let mut weight = unit;
    let fraction_nanos = fraction.bytes().fold(0, |sum, digit| {
        weight /= 10;
        sum + u64::from(digit - b'0') * weight
    });
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(fraction_nanos)
}

/// Returns whether more than half of the first 50 lines satisfy `known`.
pub(crate) fn most_lines_match<'t>(
    lines: impl Iterator<Item = &'t str>,
    known: impl Fn(&'t str) -> bool,
) -> bool {
    let (mut all, mut matching) = (0, 0);
    for line in lines.take(50) {
        (all, matching) = (all + 1, matching + u32::from(known(line)));
    }
    matching * 2 > all
}
