//! Reading the memory of another process.

/// A range of memory, of another process or of this one: address and length in bytes.
pub(crate) type Span = libc::iovec;

/// Returns the range of `len` bytes at `address` in another process.
pub(crate) fn span(address: u64, len: usize) -> Span {
    Span { iov_base: address as *mut libc::c_void, iov_len: len }
}

/// Reads the ranges of process memory, one after the other, into `local`. Returns how many bytes
/// could be read. There may be at most 1024 ranges; together they must not be longer than `local`.
pub(crate) fn read_spans(tid: i32, spans: &[Span], local: &mut [u8]) -> usize {
    let local_span = Span { iov_base: local.as_mut_ptr().cast(), iov_len: local.len() };
    // SAFETY: the kernel writes at most `local.len()` bytes into `local`; the remote addresses are
    // checked by the kernel.
    let read_bytes = unsafe {
        libc::process_vm_readv(tid, &local_span, 1, spans.as_ptr(), spans.len() as libc::c_ulong, 0)
    };
    usize::try_from(read_bytes).unwrap_or(0)
}

/// Reads from `address` in the memory of thread `tid` into `local`. Returns how many bytes could be
/// read.
pub(crate) fn read(tid: i32, address: u64, local: &mut [u8]) -> usize {
    read_spans(tid, &[span(address, local.len())], local)
}

/// Reads a 64-bit number from the memory of thread `tid`. Returns `None` if the address is 0 or
/// unreadable.
pub(crate) fn read_u64(tid: i32, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (address != 0 && read(tid, address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
}

/// Reads a 32-bit number from the memory of thread `tid`. Returns `None` if the address is 0 or
/// unreadable.
pub(crate) fn read_u32(tid: i32, address: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    (address != 0 && read(tid, address, &mut bytes) == 4).then(|| u32::from_le_bytes(bytes))
}

const PAGE: usize = 4096;
/// The longest string that is read; longer than any that the kernel accepts (`MAX_ARG_STRLEN`).
const MAX_STRING: usize = 256 << 10;

/// Reads strings of a stopped process. The part of a page that was read last is cached, since
/// strings often lie side by side; [`Strings::forget`] must be called when the process has run.
pub(crate) struct Strings {
    /// The address of the cached page; `u64::MAX`: none is cached.
    page_address: u64,
    /// The range of the page that is cached.
    start: usize,
    end: usize,
    bytes: Box<[u8; PAGE]>,
}

impl Strings {
    /// Starts with an empty cache.
    pub fn new() -> Self {
        Self { page_address: u64::MAX, start: 0, end: 0, bytes: Box::new([0; PAGE]) }
    }
    /// Empties the cache.
    pub fn forget(&mut self) {
        self.page_address = u64::MAX;
    }
    /// Returns what can be read from `address` to the end of its page. A read never crosses a page
    /// boundary, since the next page may not be mapped.
    fn rest_of_page(&mut self, tid: i32, address: u64) -> &[u8] {
        let offset = (address % PAGE as u64) as usize;
        let page_address = address - offset as u64;
        if page_address != self.page_address || offset < self.start {
            let read_bytes = read(tid, address, &mut self.bytes[offset..]);
            (self.page_address, self.start, self.end) = (page_address, offset, offset + read_bytes);
        }
        &self.bytes[offset.min(self.end)..self.end]
    }
    /// Appends the string at `address` in the memory of thread `tid`, without its NUL, to `to`.
    /// Returns false if a part of it could not be read or it is longer than [`MAX_STRING`].
    pub fn append(&mut self, tid: i32, mut address: u64, to: &mut Vec<u8>) -> bool {
        let begin = to.len();
        while to.len() - begin < MAX_STRING {
            let tail = self.rest_of_page(tid, address);
            if let Some(end) = tail.iter().position(|b| *b == 0) {
                to.extend_from_slice(&tail[..end]);
                return true;
            }
            let n = tail.len();
            to.extend_from_slice(tail);
            let Some(next) = address.checked_add(n as u64) else { return false };
            if n == 0 || next % PAGE as u64 != 0 {
                return false;
            }
            address = next;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_across_pages() {
        let me = std::process::id() as i32;
        let text: Vec<u8> = (0..10_000).map(|i| b'a' + (i % 26) as u8).chain([0]).collect();
        let mut strings = Strings::new();
        let mut got = Vec::new();
        assert!(strings.append(me, text.as_ptr() as u64, &mut got));
        assert_eq!(got, &text[..10_000]);
        got.clear();
        assert!(strings.append(me, text[9_990..].as_ptr() as u64, &mut got) && got.len() == 10);
        got.clear();
        assert!(!strings.append(me, 16, &mut got) && got.is_empty());
        assert_eq!(read_u64(me, 8), None);
    }
}
