//! stdout: data, buffered, checked. A reader that has gone is found by
//! [`crate::messages::Outcome::end`], which ends quietly.

use anyhow::Context;
use serde::Serialize;
use std::io::{BufWriter, StdoutLock, Write, stdout};

/// Returns stdout, locked and buffered. Flush it when done, to see its errors.
pub fn writer() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, stdout().lock())
}

/// Returns whether stdout is a regular file, as opposed to a terminal or a pipe.
pub fn is_file() -> bool {
    rustix::fs::fstat(stdout()).is_ok_and(|meta| {
        rustix::fs::FileType::from_raw_mode(meta.st_mode) == rustix::fs::FileType::RegularFile
    })
}

/// The context of errors of stdout, such as a full disk.
pub const REFUSED: &str = "cannot write to stdout";

/// Prints a text to stdout.
pub fn print_text(text: &str) -> anyhow::Result<()> {
    let mut out = writer();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context(REFUSED)
}

/// Prints one JSON document to stdout, with the version of its format.
pub fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    let document = crate::output::json::with_version(serde_json::to_value(document)?);
    let mut out = writer();
    serde_json::to_writer_pretty(&mut out, &document).context(REFUSED)?;
    out.write_all(b"\n").and_then(|()| out.flush()).context(REFUSED)
}
