//! Checks a file of a trace before the Parquet reader sees it.
//!
//! A trace may come from an untrusted source. The Parquet reader allocates memory as the numbers in
//! a file demand, before it knows whether the bytes exist, and panics on some invalid input.
//! Therefore the file's hash must be the one in `trace.json` (this finds damage), the footer and
//! the page headers must be well-formed and their numbers within the limits of this program (this
//! bounds the memory that a forged file can make us use), and remaining panics are caught and
//! become errors.

use super::chunk_reader::TraceFile;
use super::thrift::Walk;
use crate::document::Sealed;
use crate::error::Error;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Encoding;
use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// The largest footer in bytes.
const MAX_FOOTER_BYTES: usize = 1 << 20;
/// The largest number of rows in a row group.
const MAX_ROWS: i64 = 1 << 20;
/// The largest number of elements in all lists of a column of a row group.
const MAX_VALUES: i64 = 16 << 20;
/// The largest number of row groups in a file.
const MAX_ROW_GROUPS: usize = 1 << 12;
/// The largest decoded size, in bytes, of one column of a row group: the longest row and a full
/// window.
const MAX_COLUMN_BYTES: u64 = 384 << 20;
/// The largest decoded size, in bytes, of all columns of a row group.
const MAX_GROUP_BYTES: u64 = 640 << 20;

/// A file that passed the checks.
pub(super) struct Checked {
    pub source: TraceFile,
    pub metadata: ArrowReaderMetadata,
    /// The decoded size, in bytes, of the longest page.
    pub page: u64,
}

/// Fails if the length or the hash of the file differs from those in `sealed`.
pub(crate) fn check_hash(file: &std::fs::File, sealed: &Sealed) -> Result<(), Error> {
    let damaged = |what: &str| Error::damaged(&sealed.file, what);
    let read = |e| Error::io("read", &sealed.file)(e);
    if file.metadata().map_err(read)?.len() != sealed.bytes {
        return Err(damaged("its length differs from the one in trace.json"));
    }
    let mut hasher = blake3::Hasher::new();
    let (mut at, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let n = file.read_at(&mut buffer, at).map_err(read)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    if hasher.finalize().to_hex().as_str() != sealed.blake3 {
        Err(damaged("its checksum differs from the one in trace.json"))
    } else {
        Ok(())
    }
}

thread_local! {
    /// Whether panics of this thread are caught, so that they must not be reported.
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which may panic on invalid input. A panic becomes an [`Error::Damaged`] for `file`
/// and is not reported on standard error.
pub fn catch_panics<T>(file: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                report(info);
            }
        }));
    });
    let outer = SILENT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    SILENT.set(outer);
    done.unwrap_or_else(|_| Err(Error::damaged(file, "it cannot be decoded")))
}

/// Checks the footer, and the pages of the columns for which `wanted` returns true. Fails if they
/// are malformed or exceed a limit.
pub(super) fn check(
    name: &str,
    source: TraceFile,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Checked, Error> {
    let damaged = |what: &str| Error::damaged(name, what);
    check_footer(&source).ok_or_else(|| damaged("its footer is invalid"))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = catch_panics(name, || {
        ArrowReaderMetadata::load(&source, options).map_err(|e| Error::damaged(name, e.to_string()))
    })?;
    let groups = metadata.metadata().row_groups();
    if groups.len() > MAX_ROW_GROUPS {
        return Err(damaged("it has too many row groups"));
    }
    let mut longest = 0;
    for group in groups {
        if !(0..=MAX_ROWS).contains(&group.num_rows()) {
            return Err(damaged("a row group has too many rows"));
        }
        let mut all = 0;
        for column in group.columns().iter().filter(|c| wanted(c.column_path().string().as_str())) {
            if column.encodings().any(|e| {
                !matches!(
                    e,
                    Encoding::PLAIN
                        | Encoding::RLE
                        | Encoding::RLE_DICTIONARY
                        | Encoding::PLAIN_DICTIONARY
                        | Encoding::DELTA_BINARY_PACKED
                )
            }) {
                return Err(damaged("a column has an unsupported encoding"));
            }
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let pages = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
            let (start, len) = pages.ok_or_else(|| damaged("a column has no position"))?;
            // A list has as many values as its elements.
            let values =
                if column.column_path().parts().len() > 1 { MAX_VALUES } else { group.num_rows() };
            if column.num_values() > values
                || (values != MAX_VALUES && column.num_values() != values)
            {
                return Err(damaged("a column has more or fewer values than there are rows"));
            }
            let (bytes, page) = check_pages(&source, start, len, values)
                .ok_or_else(|| damaged("its pages are invalid"))?;
            all += bytes;
            longest = longest.max(page);
            if bytes > MAX_COLUMN_BYTES || all > MAX_GROUP_BYTES {
                return Err(damaged("it is larger than a segment may be"));
            }
        }
    }
    Ok(Checked { source, metadata, page: longest })
}

/// Checks the footer: its Thrift structure, its length, and `PAR1`. Returns `None` if it is
/// invalid.
fn check_footer(source: &TraceFile) -> Option<()> {
    let end = source.bytes().checked_sub(8)?;
    let tail = source.at(end, 8).ok()?;
    let len = u32::from_le_bytes(tail[..4].try_into().ok()?) as usize;
    if tail[4..] != *b"PAR1" || len > MAX_FOOTER_BYTES {
        return None;
    }
    let footer = source.at(end.checked_sub(len as u64)?, len).ok()?;
    Walk::new(&footer).structure(&mut |_, _| {}).ok().map(drop)
}

/// Checks the page headers of a column of `len` bytes at offset `start`. Returns the decoded size
/// in bytes of all pages and of the longest page, or `None` if a header is invalid.
fn check_pages(source: &TraceFile, start: u64, len: u64, rows: i64) -> Option<(u64, u64)> {
    let end = start.checked_add(len).filter(|end| *end <= source.bytes())?;
    let (mut at, mut all, mut longest) = (start, 0u64, 0);
    while at < end {
        // The page headers that this program writes have no statistics and some 30 bytes.
        let head = source.at(at, (end - at).min(512) as usize).ok()?;
        let (mut decoded, mut stored, mut values, mut least) = (-1, -1, 0, 0);
        let len = Walk::new(&head)
            .structure(&mut |place, n| match place {
                [2] => decoded = n,
                [3] => stored = n,
                [5 | 8, 1] => values = values.max(n),
                // Each value of a dictionary takes a byte at the least.
                [7, 1] => least = n,
                _ => {}
            })
            .ok()?;
        let (decoded, stored) = (u64::try_from(decoded).ok()?, u64::try_from(stored).ok()?);
        if values > rows || least < 0 || least as u64 > decoded || decoded > MAX_COLUMN_BYTES {
            return None;
        }
        all = all.checked_add(decoded)?;
        longest = longest.max(decoded);
        at = at.checked_add(len as u64)?.checked_add(stored)?;
    }
    (at == end).then_some((all, longest))
}
