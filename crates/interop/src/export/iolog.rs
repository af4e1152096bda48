//! fio's iolog, version 3 (`fio --read_iolog`): reads, writes, syncs and trims of each file, times
//! in microseconds from the first of them.
//!
//! fio reads names (up to the next blank, and 255 bytes at most), offsets and lengths; it generates
//! the data itself.

use super::{Format, ResolvedCall, Writer, Written, write_calls};
use abi::Effect;
use linux_raw_sys::general::FALLOC_FL_PUNCH_HOLE;
use std::collections::BTreeSet;
use std::io::{self, Write};

pub(crate) const FORMAT: Format = Format {
    name: "fio",
    extensions: &["iolog"],
    export: |trace, to, progress| write_calls(trace, to, false, &mut Iolog::default(), progress),
};

#[derive(Default)]
pub(crate) struct Iolog {
    /// When the first call was entered, in nanoseconds.
    began: Option<u64>,
    /// The time of the last line, in microseconds since then.
    last_time: u64,
    /// The paths of the files that were opened.
    open_files: BTreeSet<Vec<u8>>,
}

/// The longest name that fio reads, in bytes.
const MAX_NAME: usize = 255;
const OTHER_CALLS: Written =
    Written::Unsupported("calls other than read, write, sync and trim of a file");
const UNREADABLE_NAMES: Written = Written::Unsupported(
    "reads, writes, syncs and trims of files whose names fio cannot read (blanks, or more than 255 \
     bytes)",
);

impl Iolog {
    /// Writes the first line of the file, unless it was written before.
    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.open_files.is_empty() { out.write_all(b"fio version 3 iolog\n") } else { Ok(()) }
    }

    /// Writes a line: what was done with a file.
    fn write_line(&self, path: &[u8], action: &str, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{} ", self.last_time)?;
        out.write_all(path)?;
        writeln!(out, " {action}")
    }
}

/// Returns what fio is to do for a call, such as `read OFFSET LENGTH`. Returns `None` if fio has
/// nothing like it.
fn fio_action(resolved: &ResolvedCall<'_>) -> Option<String> {
    let call = resolved.call;
    let spec = call.spec().filter(|_| call.succeeded())?;
    match (resolved.moved_bytes(), spec.effect) {
        (Some((0, _)), _) => None,
        (Some((n, reads)), _) => {
            let offset = resolved.operands.offset?;
            Some(format!("{} {offset} {n}", if reads { "read" } else { "write" }))
        }
        (None, Effect::Allocate) if call.args[1] & u64::from(FALLOC_FL_PUNCH_HOLE) != 0 => {
            Some(format!("trim {} {}", call.args[2], call.args[3]))
        }
        _ if spec.name == "fsync" => Some("sync 0 0".to_owned()),
        _ if spec.name == "fdatasync" => Some("datasync 0 0".to_owned()),
        _ => None,
    }
}

impl Writer for Iolog {
    fn call(&mut self, resolved: &ResolvedCall<'_>, out: &mut dyn Write) -> io::Result<Written> {
        let call = resolved.call;
        let file = resolved.operands.fds.iter().flatten().next().map(|d| &d.file);
        let Some((file, action)) = file.filter(|f| f.is_stored()).zip(fio_action(resolved)) else {
            return Ok(OTHER_CALLS);
        };
        let path = &*file.path;
        // What isspace(3) takes for blanks, vertical tabs among them.
        let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
        if path.iter().any(blank) || path.len() > MAX_NAME || !path.starts_with(b"/") {
            return Ok(UNREADABLE_NAMES);
        }
        let began = *self.began.get_or_insert(call.entered);
        // fio requires that times do not decrease.
        self.last_time = self.last_time.max(call.entered.saturating_sub(began) / 1000);
        self.write_header(out)?;
        if !self.open_files.contains(path) {
            self.write_line(path, "add", out)?;
            self.write_line(path, "open", out)?;
            self.open_files.insert(path.to_vec());
        }
        self.write_line(path, &action, out)?;
        Ok(Written::All)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write_header(out)?;
        self.open_files.iter().try_for_each(|path| self.write_line(path, "close", out))
    }
}
