//! An open file that is changed by other calls than the recorded one.

use crate::issue::raw;
use linux_raw_sys::general::{O_APPEND, O_DIRECT};

/// An open file whose bytes can be read and written anywhere while this lives.
pub(super) struct OpenFile<'a> {
    pub fd: i32,
    /// The name by which it was opened.
    pub path: &'a [u8],
    pub size: u64,
    /// Its status flags, if they had to be changed.
    saved_flags: Option<i64>,
}

impl Drop for OpenFile<'_> {
    fn drop(&mut self) {
        if let Some(flags) = self.saved_flags {
            raw::set_status_flags(self.fd, flags);
        }
    }
}

/// Returns a call's result as `Ok`, or its negative errno as `Err`.
pub(super) fn check(result: i64) -> Result<i64, i64> {
    if result < 0 { Err(result) } else { Ok(result) }
}

impl<'a> OpenFile<'a> {
    /// Prepares the open file `fd`, whose name is `path`, for reads and writes at any offset: gets
    /// its size, and clears `O_APPEND` and `O_DIRECT` until this is dropped. Fails with a negative
    /// errno.
    pub fn prepare(fd: i32, path: &'a [u8]) -> Result<Self, i64> {
        let size = raw::statx(fd, b"\0", true).map_err(raw::result_of)?.size;
        let flags = check(raw::status_flags(fd))?;
        // O_APPEND would write at the end, and O_DIRECT needs aligned blocks.
        let plain_flags = flags & !i64::from(O_APPEND | O_DIRECT);
        let changed = plain_flags != flags;
        if changed {
            check(raw::set_status_flags(fd, plain_flags))?;
        }
        Ok(Self { fd, path, size, saved_flags: changed.then_some(flags) })
    }

    /// Writes all bytes at offset `to`.
    pub fn write(&self, mut bytes: &[u8], mut to: u64) -> Result<(), i64> {
        while !bytes.is_empty() {
            let written = check(raw::write(self.fd, bytes, Some(to)))?;
            bytes = &bytes[written as usize..];
            to += written as u64;
        }
        Ok(())
    }
}
