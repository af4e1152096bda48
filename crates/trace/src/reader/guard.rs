//! A file of a trace is believed only so far: what stands here is checked before the Parquet reader
//! sees it.
//!
//! A trace may come from anyone. The Parquet reader takes memory as a file's numbers demand, before
//! it has seen whether the bytes are there, and panics on some of the impossible. So: the file's
//! hash must be the one in `trace.json` (this finds damage); footer and page heads must be sound
//! and their numbers within what this program writes (this bounds the memory that a forger can make
//! us take); and what still panics is caught and becomes an error.

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

/// Bytes of footer.
const MAX_FOOTER_BYTES: usize = 1 << 20;
/// Rows of a row group.
const MAX_ROWS: i64 = 1 << 20;
/// Elements of all lists in a column of a row group.
const MAX_VALUES: i64 = 16 << 20;
/// Row groups of a file.
const MAX_ROW_GROUPS: usize = 1 << 12;
/// Bytes of one column of one row group when decoded: the longest row and a whole window more.
const MAX_COLUMN_BYTES: u64 = 384 << 20;
/// Bytes of all columns of one row group when decoded.
const MAX_GROUP_BYTES: u64 = 640 << 20;

/// What a file needs when it is read.
pub(super) struct Checked {
    pub source: TraceFile,
    pub metadata: ArrowReaderMetadata,
    /// Bytes of the longest page when decoded.
    pub page: u64,
}

/// Whether the bytes are those that were sealed.
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
    /// A panic in this thread is about to be caught, and must not be reported.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic on impossible bytes. The panic becomes an error, and is not reported as one
/// of this program.
pub fn catch_panics<T>(file: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                report(info);
            }
        }));
    });
    let outer = CAUGHT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(outer);
    done.unwrap_or_else(|_| Err(Error::damaged(file, "it cannot be decoded")))
}

/// Checks footer and pages of the columns for which `wanted` holds.
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

/// The footer: its Thrift structure, its length, `PAR1`.
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

/// The pages of a column: bytes of all of them and of the longest when decoded.
fn check_pages(source: &TraceFile, start: u64, len: u64, rows: i64) -> Option<(u64, u64)> {
    let end = start.checked_add(len).filter(|end| *end <= source.bytes())?;
    let (mut at, mut all, mut longest) = (start, 0u64, 0);
    while at < end {
        // Heads of our pages have no statistics and some 30 bytes.
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
