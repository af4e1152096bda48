//! Buffers that a program lists: `struct iovec[]`, `struct msghdr` and `struct iocb` (64-bit
//! layouts).

use crate::inspect::memory::{Span, read, read_spans, span};
use crate::records::{PayloadSink, PayloadSpec};
use trace::record::PayloadKind;

/// `UIO_MAXIOV`: more the kernel takes nowhere.
pub(in crate::ptrace) const MAX_VECTORS: u64 = linux_raw_sys::general::UIO_MAXIOV as u64;
/// Bytes of a `struct msghdr`.
pub(in crate::ptrace) const MSGHDR: usize = size_of::<libc::msghdr>();
/// Bytes of a `struct mmsghdr`.
pub(in crate::ptrace) const MMSGHDR: usize = size_of::<libc::mmsghdr>();
/// Bytes of a `struct iocb`.
pub(in crate::ptrace) const IOCB: usize = size_of::<libc::iocb>();
/// The longest socket address (`struct sockaddr_storage`).
const NAME: u64 = size_of::<libc::sockaddr_storage>() as u64;
/// The longest control message that is believed.
const CONTROL: u64 = 1 << 20;

/// `IOCB_CMD_PWRITE` and `IOCB_CMD_PWRITEV` (`include/uapi/linux/aio_abi.h`).
const WRITE: u16 = 1;
const WRITE_VECTORS: u16 = 8;

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Reads `struct iovec[count]`; what cannot be read is not there.
pub(in crate::ptrace) fn read_iovecs(tid: i32, address: u64, count: usize, into: &mut Vec<u8>) {
    into.resize(count * 16, 0);
    let n = read(tid, address, into);
    into.truncate(n);
}

/// The stretches that they name.
pub(in crate::ptrace) fn spans(iovecs: &[u8], into: &mut Vec<Span>) {
    into.clear();
    into.extend(iovecs.chunks_exact(16).map(|v| span(u64_at(v, 0), u64_at(v, 8) as usize)));
}

/// What messages or control blocks name, gathered in their order.
#[derive(Default)]
pub(in crate::ptrace) struct Gathered {
    iovecs: Vec<u8>,
    one: Vec<u8>,
    spans: Vec<Span>,
    data: u64,
    names: Vec<Span>,
    controls: Vec<Span>,
    scratch: Vec<Span>,
}

impl Gathered {
    fn clear(&mut self) {
        self.iovecs.clear();
        self.spans.clear();
        self.names.clear();
        self.controls.clear();
        self.data = 0;
    }

    /// Adds what `count` iovecs at `address` name, at most `moved` bytes.
    fn vectors(&mut self, tid: i32, address: u64, count: u64, moved: u64) {
        if address == 0 {
            return;
        }
        read_iovecs(tid, address, count.min(MAX_VECTORS) as usize, &mut self.one);
        self.iovecs.extend_from_slice(&self.one);
        spans(&self.one, &mut self.scratch);
        let mut left = moved;
        for s in &self.scratch {
            let len = (s.iov_len as u64).min(left);
            left -= len;
            if len > 0 {
                self.spans.push(Span { iov_base: s.iov_base, iov_len: len as usize });
                self.data += len;
            }
        }
    }

    /// Gathers from `struct msghdr`s or `struct mmsghdr`s of `size` bytes; the latter say
    /// themselves how many bytes they moved.
    pub fn messages(&mut self, tid: i32, headers: &[u8], size: usize, moved: Option<u64>) {
        self.clear();
        for h in headers.chunks_exact(size) {
            let moved = moved.unwrap_or_else(|| u64::from(u32_at(h, MSGHDR)));
            let (name, control) = (u64_at(h, 0), u64_at(h, 32));
            if name != 0 {
                self.names.push(span(name, u64::from(u32_at(h, 8)).min(NAME) as usize));
            }
            if control != 0 {
                self.controls.push(span(control, u64_at(h, 40).min(CONTROL) as usize));
            }
            self.vectors(tid, u64_at(h, 16), u64_at(h, 24), moved);
        }
    }

    /// Gathers from an array of pointers to `struct iocb`, whose bytes go into `blocks`: the
    /// buffers of those that write.
    pub fn control_blocks(&mut self, tid: i32, address: u64, count: usize, blocks: &mut Vec<u8>) {
        self.clear();
        self.one.resize(count * 8, 0);
        let n = read(tid, address, &mut self.one) / 8;
        let pointers: Vec<u64> = self.one[..n * 8].chunks_exact(8).map(|p| u64_at(p, 0)).collect();
        let each: Vec<Span> = pointers.iter().map(|p| span(*p, IOCB)).collect();
        blocks.resize(n * IOCB, 0);
        let got = if n == 0 { 0 } else { read_spans(tid, &each, blocks) };
        blocks.truncate(got);
        for block in blocks.chunks_exact(IOCB) {
            let (buffer, bytes) = (u64_at(block, 24), u64_at(block, 32));
            match u16::from_le_bytes([block[16], block[17]]) {
                WRITE => {
                    let bytes = bytes.min(u64::from(i32::MAX as u32));
                    self.spans.push(span(buffer, bytes as usize));
                    self.data += bytes;
                }
                WRITE_VECTORS => self.vectors(tid, buffer, bytes, u64::from(i32::MAX as u32)),
                _ => {}
            }
        }
    }

    /// The control messages.
    pub fn controls(&self) -> &[Span] {
        &self.controls
    }

    /// Names, controls, vectors, and the data that they hold.
    pub fn put(
        &self,
        tid: i32,
        limit: u64,
        due: &dyn Fn(PayloadKind, u64, u64) -> PayloadSpec,
        sink: &mut impl PayloadSink,
    ) {
        for (kind, spans) in
            [(PayloadKind::Name, &self.names), (PayloadKind::Control, &self.controls)]
        {
            let all: u64 = spans.iter().map(|s| s.iov_len as u64).sum();
            if all > 0 {
                sink.put_memory(tid, due(kind, all, u64::MAX), spans);
            }
        }
        if !self.iovecs.is_empty() {
            sink.put_bytes(
                due(PayloadKind::Iovecs, self.iovecs.len() as u64, u64::MAX),
                &self.iovecs,
            );
        }
        if self.data > 0 {
            sink.put_memory(tid, due(PayloadKind::Data, self.data, limit), &self.spans);
        }
    }
}
