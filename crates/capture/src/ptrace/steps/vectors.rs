//! Buffers that a program lists in memory: `struct iovec[]`, `struct msghdr` and `struct iocb`
//! (64-bit layouts).

use crate::inspect::memory::{Span, read, read_spans, span};
use crate::records::{PayloadSink, PayloadSpec};
use trace::record::PayloadKind;

/// The kernel accepts no longer arrays (`UIO_MAXIOV`).
pub(in crate::ptrace) const MAX_VECTORS: u64 = linux_raw_sys::general::UIO_MAXIOV as u64;
/// Bytes of a `struct msghdr`.
pub(in crate::ptrace) const MSGHDR: usize = size_of::<libc::msghdr>();
/// Bytes of a `struct mmsghdr`.
pub(in crate::ptrace) const MMSGHDR: usize = size_of::<libc::mmsghdr>();
/// Bytes of a `struct iocb`.
pub(in crate::ptrace) const IOCB: usize = size_of::<libc::iocb>();
/// The size in bytes of the longest socket address (`struct sockaddr_storage`).
const MAX_NAME: u64 = size_of::<libc::sockaddr_storage>() as u64;
/// The most bytes that are captured of a control message.
const MAX_CONTROL: u64 = 1 << 20;

/// Returns the number at this offset, or 0 behind the end.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
/// Returns the number at this offset, or 0 behind the end.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Reads `struct iovec[count]` into `into`, which holds only as much as could be read afterwards.
pub(in crate::ptrace) fn read_iovecs(tid: i32, address: u64, count: usize, into: &mut Vec<u8>) {
    into.resize(count * 16, 0);
    let n = read(tid, address, into);
    into.truncate(n);
}

/// Puts the memory ranges that these iovecs describe into `into`.
pub(in crate::ptrace) fn iovecs_to_spans(iovecs: &[u8], into: &mut Vec<Span>) {
    into.clear();
    into.extend(iovecs.chunks_exact(16).map(|v| span(u64_at(v, 0), u64_at(v, 8) as usize)));
}

/// Reads the addresses of `count` control blocks, which an array at `address` points to, and the
/// blocks into `blocks`, which holds only as much as could be read afterwards.
pub(in crate::ptrace) fn read_control_blocks(
    tid: i32,
    address: u64,
    count: usize,
    blocks: &mut Vec<u8>,
) -> Vec<u64> {
    let mut array = vec![0; count * 8];
    let n = read(tid, address, &mut array) / 8;
    let pointers: Vec<u64> = array[..n * 8].chunks_exact(8).map(|p| u64_at(p, 0)).collect();
    let each: Vec<Span> = pointers.iter().map(|p| span(*p, IOCB)).collect();
    blocks.resize(n * IOCB, 0);
    let got = if n == 0 { 0 } else { read_spans(tid, &each, blocks) };
    blocks.truncate(got);
    pointers
}

/// The buffers that messages refer to, in their order.
#[derive(Default)]
pub(in crate::ptrace) struct BufferList {
    /// The iovecs of all messages.
    iovecs: Vec<u8>,
    /// Scratch: the array that is being read.
    array: Vec<u8>,
    /// The data.
    spans: Vec<Span>,
    /// The length of the data in bytes.
    data: u64,
    /// The socket addresses.
    names: Vec<Span>,
    /// The control messages.
    controls: Vec<Span>,
    /// Scratch: the ranges of one array.
    scratch: Vec<Span>,
}

impl BufferList {
    /// Removes all buffers.
    fn clear(&mut self) {
        self.iovecs.clear();
        self.spans.clear();
        self.names.clear();
        self.controls.clear();
        self.data = 0;
    }

    /// Adds the buffers that `count` iovecs at `address` describe, at most `moved` bytes.
    fn add_vectors(&mut self, tid: i32, address: u64, count: u64, moved: u64) {
        if address == 0 {
            return;
        }
        read_iovecs(tid, address, count.min(MAX_VECTORS) as usize, &mut self.array);
        self.iovecs.extend_from_slice(&self.array);
        iovecs_to_spans(&self.array, &mut self.scratch);
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

    /// Replaces the buffers by those of `struct msghdr`s or `struct mmsghdr`s of `size` bytes each.
    /// `moved` is how many bytes a message transferred; `None`: each `struct mmsghdr` has its own
    /// count.
    pub fn set_messages(&mut self, tid: i32, headers: &[u8], size: usize, moved: Option<u64>) {
        self.clear();
        for h in headers.chunks_exact(size) {
            let moved = moved.unwrap_or_else(|| u64::from(u32_at(h, MSGHDR)));
            let (name, control) = (u64_at(h, 0), u64_at(h, 32));
            if name != 0 {
                self.names.push(span(name, u64::from(u32_at(h, 8)).min(MAX_NAME) as usize));
            }
            if control != 0 {
                self.controls.push(span(control, u64_at(h, 40).min(MAX_CONTROL) as usize));
            }
            self.add_vectors(tid, u64_at(h, 16), u64_at(h, 24), moved);
        }
    }

    /// Returns the control messages.
    pub fn controls(&self) -> &[Span] {
        &self.controls
    }

    /// Gives socket addresses, control messages, iovecs and data to `sink`. `spec(kind, wanted,
    /// limit)` makes the specification of a payload; `limit` is that of the data.
    pub fn put_into(
        &self,
        tid: i32,
        limit: u64,
        spec: &dyn Fn(PayloadKind, u64, u64) -> PayloadSpec,
        sink: &mut impl PayloadSink,
    ) {
        for (kind, spans) in
            [(PayloadKind::Name, &self.names), (PayloadKind::Control, &self.controls)]
        {
            let all: u64 = spans.iter().map(|s| s.iov_len as u64).sum();
            if all > 0 {
                sink.put_memory(tid, spec(kind, all, u64::MAX), spans);
            }
        }
        if !self.iovecs.is_empty() {
            sink.put_bytes(
                spec(PayloadKind::Iovecs, self.iovecs.len() as u64, u64::MAX),
                &self.iovecs,
            );
        }
        if self.data > 0 {
            sink.put_memory(tid, spec(PayloadKind::Data, self.data, limit), &self.spans);
        }
    }
}
