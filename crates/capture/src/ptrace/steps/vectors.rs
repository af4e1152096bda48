//! Buffers that a program lists in memory: `struct iovec[]`, `struct msghdr` and `struct iocb`
//! (64-bit layouts).

use crate::inspect::memory::{Span, read, read_spans, span};
use crate::records::{PayloadSink, PayloadSpec};
use trace::record::PayloadKind;

/// The most elements of an array of iovecs or messages that the kernel accepts (`UIO_MAXIOV`).
pub(in crate::ptrace) const MAX_VECTORS: u64 = linux_raw_sys::general::UIO_MAXIOV as u64;
/// Bytes of a `struct msghdr`.
pub(in crate::ptrace) const MSGHDR_SIZE: usize = size_of::<libc::msghdr>();
/// Bytes of a `struct mmsghdr`.
pub(in crate::ptrace) const MMSGHDR_SIZE: usize = size_of::<libc::mmsghdr>();
/// Bytes of a `struct iocb`.
pub(in crate::ptrace) const IOCB_SIZE: usize = size_of::<libc::iocb>();
/// The size in bytes of the longest socket address (`struct sockaddr_storage`).
const MAX_SOCKADDR: u64 = size_of::<libc::sockaddr_storage>() as u64;
/// The most bytes that are captured of a control message.
const MAX_CONTROL: u64 = 1 << 20;

/// Returns the 64-bit number at this offset, or 0 if the bytes end before it does.
fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..offset + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
/// Returns the 32-bit number at this offset, or 0 if the bytes end before it does.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..offset + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Reads `struct iovec[count]` at `address` in the memory of thread `tid` into `into`. Afterwards
/// that has only the bytes that could be read.
pub(in crate::ptrace) fn read_iovecs(tid: i32, address: u64, count: usize, into: &mut Vec<u8>) {
    into.resize(count * 16, 0);
    let read_bytes = read(tid, address, into);
    into.truncate(read_bytes);
}

/// Replaces the contents of `into` by the memory ranges that the `struct iovec[]` in `iovecs`
/// describes.
pub(in crate::ptrace) fn iovecs_to_spans(iovecs: &[u8], into: &mut Vec<Span>) {
    into.clear();
    into.extend(iovecs.chunks_exact(16).map(|v| span(u64_at(v, 0), u64_at(v, 8) as usize)));
}

/// Reads the `struct iocb *[count]` at `address` in the memory of thread `tid`, as io_submit(2)
/// takes it, and the structs that it points to. Replaces the contents of `iocbs` by the structs, as
/// far as they could be read. Returns their addresses.
pub(in crate::ptrace) fn read_iocbs(
    tid: i32,
    address: u64,
    count: usize,
    iocbs: &mut Vec<u8>,
) -> Vec<u64> {
    let mut array = vec![0; count * 8];
    let pointer_count = read(tid, address, &mut array) / 8;
    let pointers: Vec<u64> =
        array[..pointer_count * 8].chunks_exact(8).map(|bytes| u64_at(bytes, 0)).collect();
    let spans: Vec<Span> = pointers.iter().map(|pointer| span(*pointer, IOCB_SIZE)).collect();
    iocbs.resize(pointer_count * IOCB_SIZE, 0);
    let read_bytes = if pointer_count == 0 { 0 } else { read_spans(tid, &spans, iocbs) };
    iocbs.truncate(read_bytes);
    pointers
}

/// The memory to which messages (`struct msghdr`) refer, in the order of the messages.
#[derive(Default)]
pub(in crate::ptrace) struct BufferList {
    /// The `struct iovec`s of all messages.
    iovecs: Vec<u8>,
    /// Where the data are that the iovecs describe.
    data_spans: Vec<Span>,
    /// The length of the data in bytes.
    data_bytes: u64,
    /// Where the socket addresses are.
    names: Vec<Span>,
    /// Where the control messages are.
    controls: Vec<Span>,
    /// Reused memory: the iovecs of the message that is being added.
    message_iovecs: Vec<u8>,
    /// Reused memory: the ranges that these describe.
    message_spans: Vec<Span>,
}

impl BufferList {
    /// Removes everything.
    fn clear(&mut self) {
        self.iovecs.clear();
        self.data_spans.clear();
        self.names.clear();
        self.controls.clear();
        self.data_bytes = 0;
    }

    /// Adds the `count` iovecs at `address`, and the first `max_bytes` of the data that they
    /// describe.
    fn add_iovecs(&mut self, tid: i32, address: u64, count: u64, max_bytes: u64) {
        if address == 0 {
            return;
        }
        read_iovecs(tid, address, count.min(MAX_VECTORS) as usize, &mut self.message_iovecs);
        self.iovecs.extend_from_slice(&self.message_iovecs);
        iovecs_to_spans(&self.message_iovecs, &mut self.message_spans);
        let mut left = max_bytes;
        for span in &self.message_spans {
            let len = (span.iov_len as u64).min(left);
            left -= len;
            if len > 0 {
                self.data_spans.push(Span { iov_base: span.iov_base, iov_len: len as usize });
                self.data_bytes += len;
            }
        }
    }

    /// Replaces everything by the memory to which `headers` refer: an array of `struct msghdr` or
    /// `struct mmsghdr`, of `size` bytes each. `moved` is how many bytes the message transferred;
    /// `None`: each `struct mmsghdr` has its own count.
    pub fn set_messages(&mut self, tid: i32, headers: &[u8], size: usize, moved: Option<u64>) {
        self.clear();
        for header in headers.chunks_exact(size) {
            let moved = moved.unwrap_or_else(|| u64::from(u32_at(header, MSGHDR_SIZE)));
            let (name, control) = (u64_at(header, 0), u64_at(header, 32));
            if name != 0 {
                self.names
                    .push(span(name, u64::from(u32_at(header, 8)).min(MAX_SOCKADDR) as usize));
            }
            if control != 0 {
                self.controls.push(span(control, u64_at(header, 40).min(MAX_CONTROL) as usize));
            }
            self.add_iovecs(tid, u64_at(header, 16), u64_at(header, 24), moved);
        }
    }

    /// Returns where the control messages are.
    pub fn controls(&self) -> &[Span] {
        &self.controls
    }

    /// Gives socket addresses, control messages, iovecs and data to `sink` as payloads. `spec(kind,
    /// wanted, limit)` returns the specification of a payload; `limit` is the most bytes of data.
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
            let bytes: u64 = spans.iter().map(|s| s.iov_len as u64).sum();
            if bytes > 0 {
                sink.put_memory(tid, spec(kind, bytes, u64::MAX), spans);
            }
        }
        if !self.iovecs.is_empty() {
            sink.put_bytes(
                spec(PayloadKind::Iovecs, self.iovecs.len() as u64, u64::MAX),
                &self.iovecs,
            );
        }
        if self.data_bytes > 0 {
            sink.put_memory(tid, spec(PayloadKind::Data, self.data_bytes, limit), &self.data_spans);
        }
    }
}
