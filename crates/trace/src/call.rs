//! Calls and events as a [`crate::Reader`] returns them.

pub(crate) mod payloads;

use crate::format::record::{
    AT_EXIT, FROM_FILE, FdSnapshot, Identity, NO_EXIT, NOT_EXECUTED, PayloadKind, RecordKind,
};
use abi::print::CapturedKind;
use abi::{CallSpec, Copies, CopyOffset, OPERATIONS, OpenFlags, SqeWord};
use arrow_buffer::Buffer;
use zerocopy::FromBytes;

/// Adds up numbers that come from a trace and may be anything. Returns `u64::MAX` if the sum is
/// larger.
pub fn saturating_sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// A captured payload. Its bytes share the buffer of the segment that they were read from, so that
/// cloning is cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The number of the argument that the payload belongs to, or `RESULT`, `WORKING_DIRECTORY` or
    /// `ROOT_DIRECTORY` of `abi::plan`.
    pub arg: u8,
    /// What the bytes are.
    pub kind: PayloadKind,
    /// A set of `AT_EXIT`, `UNREADABLE`, `CUT` and `FROM_FILE` of [`crate::record`].
    pub flags: u8,
    /// The number of bytes captured. If the reader was told not to read data, a
    /// [`PayloadKind::Data`] payload has no `bytes`, but its `len` is the recorded one.
    pub len: u64,
    /// The number of bytes that a complete payload would have.
    pub wanted: u64,
    /// The captured bytes.
    pub bytes: Buffer,
}

impl Payload {
    /// Returns a copy of the payload with other bytes. The number of bytes that were not captured
    /// stays the same.
    pub fn with_bytes(&self, bytes: Vec<u8>) -> Self {
        let left_out = self.wanted.saturating_sub(self.bytes.len() as u64);
        let len = bytes.len() as u64;
        Self { len, wanted: len + left_out, bytes: Buffer::from_vec(bytes), ..self.clone() }
    }
}

/// A recorded system call, one row of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The number of the row in the trace. Messages name a call by it.
    pub seq: u64,
    /// The time of entry, in nanoseconds of the recorded machine's `CLOCK_MONOTONIC`.
    pub entered: u64,
    /// The time of the return in the same clock, or `None` if the call did not return while it was
    /// recorded.
    pub exited: Option<u64>,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The x86-64 number of the call. Asynchronous operations have numbers from
    /// [`abi::OPERATIONS`] on.
    pub nr: u32,
    /// The flags of [`crate::record::Header::flags`].
    pub flags: u8,
    /// The six argument registers at entry.
    pub args: [u64; 6],
    /// The result. It is meaningless if `exited` is `None`.
    pub ret: i64,
    /// What the call's first descriptor referred to at entry.
    pub fd_snapshot: FdSnapshot,
    /// The captured payloads, in the order of the capture plan.
    pub payloads: Vec<Payload>,
}

/// Something that happened to a process and is not a call. [`RecordKind`] says what `args` hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The time in nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// What happened.
    pub kind: RecordKind,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Details that depend on `kind`.
    pub args: [u64; 6],
    /// Strings and identities that depend on `kind`.
    pub payloads: Vec<Payload>,
}

/// A call or an event. A reader returns an event before the calls that were entered in the same
/// nanosecond.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A call.
    Call(Call),
    /// An event.
    Event(Event),
}

impl Call {
    /// Returns whether the call returned after `moment`, which is usually
    /// [`crate::document::Summary::complete_until`]. Returns false if `moment` is `None` or the
    /// call did not return.
    pub fn is_after(&self, moment: Option<u64>) -> bool {
        self.exited.zip(moment).is_some_and(|(left, moment)| left > moment)
    }
    /// Returns the spec of the call in the table of system calls, or `None` if the table lacks it
    /// or the call came through a 32-bit entry point.
    pub fn spec(&self) -> Option<&'static CallSpec> {
        if self.flags & crate::format::record::COMPAT != 0 {
            None
        } else {
            abi::spec(self.nr, &self.args)
        }
    }
    /// Returns what the arguments do not say of an operation of io_uring, or `None` if this is
    /// another call or an operation whose arguments leave no room for that.
    pub fn sqe_word(&self) -> Option<SqeWord> {
        if self.nr < OPERATIONS {
            return None;
        }
        let has_room = abi::by_number(self.nr).is_none_or(|row| row.spec.args.len() < 6);
        has_room.then_some(SqeWord(self.args[5]))
    }
    /// Returns whether the kernel executed the call, or at least began to. Otherwise a seccomp
    /// filter answered it, and it had no effect, whatever its result is.
    pub fn was_executed(&self) -> bool {
        self.flags & NOT_EXECUTED == 0
    }
    /// Returns whether the kernel executed the call and the call returned.
    pub fn returned(&self) -> bool {
        self.was_executed() && self.exited.is_some() && self.flags & NO_EXIT == 0
    }
    /// Returns the result that the program received, from the kernel or from a seccomp filter;
    /// `None` if the call did not return.
    pub fn result(&self) -> Option<i64> {
        (self.flags & NO_EXIT == 0 && self.exited.is_some()).then_some(self.ret)
    }
    /// Returns the errno of [`Call::result`], or `None` if there is no result or it is not an
    /// error.
    pub fn error(&self) -> Option<i32> {
        self.result().and_then(abi::errno_of)
    }
    /// Returns the time from entry to return in nanoseconds, or `None` if the call did not return.
    pub fn duration(&self) -> Option<u64> {
        self.result().and(self.exited).map(|left| left.saturating_sub(self.entered))
    }
    /// Returns the errno of a call that the kernel executed and that failed, else `None`.
    pub fn errno(&self) -> Option<i32> {
        abi::errno_of(self.ret).filter(|_| self.returned())
    }
    /// Returns whether the kernel executed the call and the call returned without an error.
    pub fn succeeded(&self) -> bool {
        self.returned() && self.errno().is_none()
    }
    /// Returns the number of the ring of io_uring that the call created, if it is recorded; else
    /// `None`.
    pub fn created_ring(&self) -> Option<u32> {
        let number = self.payload(abi::plan::RING, PayloadKind::Bytes)?;
        Some(u32::from_le_bytes(*number.bytes.as_slice().first_chunk()?))
    }
    /// Returns the number of the shared mapping that the call created, if what is stored through it
    /// is recorded; else `None`.
    pub fn created_mapping(&self) -> Option<u32> {
        let number = self.payload(abi::plan::MAPPING, PayloadKind::Bytes)?;
        Some(u32::from_le_bytes(*number.bytes.as_slice().first_chunk()?))
    }
    /// Returns the first payload of this argument and kind, or `None`. If the argument was read at
    /// entry and at exit, this is the payload from the entry.
    pub fn payload(&self, arg: u8, kind: PayloadKind) -> Option<&Payload> {
        self.payloads.iter().find(|p| p.arg == arg && p.kind == kind)
    }
    /// Returns the string or path in argument `arg`, or `None` if it was not captured.
    pub fn string(&self, arg: u8) -> Option<&[u8]> {
        self.payload(arg, PayloadKind::String).map(|p| p.bytes.as_slice())
    }
    /// Returns the path in argument `arg`: its string, or the file name in the address of an
    /// `AF_UNIX` socket (`struct sockaddr_un`: two bytes of family, then the path up to a NUL or
    /// the end). Returns `None` if there is neither.
    pub fn path(&self, arg: u8) -> Option<&[u8]> {
        const AF_UNIX: [u8; 2] = (linux_raw_sys::net::AF_UNIX as u16).to_ne_bytes();
        let address = || {
            self.payload(arg, PayloadKind::Bytes)?
                .bytes
                .as_slice()
                .strip_prefix(&AF_UNIX)?
                .split(|b| *b == 0)
                .next()
        };
        self.string(arg).or_else(|| address().filter(|path| !path.is_empty()))
    }
    /// Returns the byte of the file at which data that the kernel moved itself began, or `None` if
    /// the call used the offset of the open file.
    pub fn copy_offset(&self, at: CopyOffset) -> Option<u64> {
        match at {
            CopyOffset::Start => Some(0),
            CopyOffset::Own => None,
            CopyOffset::Pointed(arg) if self.args[usize::from(arg)] == 0 => None,
            CopyOffset::Pointed(arg) => Some(self.struct_u64(arg, 0)),
            CopyOffset::Field { arg, at } => Some(self.struct_u64(arg, at)),
        }
    }
    /// Returns the `O_*` flags of an open; `from` says where they are among the arguments.
    pub fn open_flags(&self, from: OpenFlags) -> u32 {
        match from {
            OpenFlags::Arg(n) => self.args[usize::from(n)] as u32,
            OpenFlags::Implied(flags) => flags,
            OpenFlags::InStruct(n) => self.struct_u64(n, 0) as u32,
        }
    }
    /// Returns the `u64` at byte `at` of the struct that argument `arg` points to, or 0 if it was
    /// not captured.
    pub fn struct_u64(&self, arg: u8, at: u8) -> u64 {
        let bytes = self
            .payload(arg, PayloadKind::Bytes)
            .and_then(|p| p.bytes.as_slice().get(usize::from(at)..)?.first_chunk());
        bytes.map_or(0, |b| u64::from_le_bytes(*b))
    }
    /// Returns the payloads with the data that the kernel moved itself, from one file to another.
    /// They were read from the source or from the destination; the one of which more bytes were
    /// captured is used.
    pub fn copied_payloads(&self, copies: &Copies) -> impl Iterator<Item = &Payload> + use<'_> {
        let file_data = |fd: u8| {
            self.payloads.iter().filter(move |p| {
                p.arg == fd && p.kind == PayloadKind::Data && p.flags & FROM_FILE != 0
            })
        };
        let captured_bytes = |fd: u8| saturating_sum(file_data(fd).map(|p| p.len));
        // A source that others have changed since may have less of them.
        file_data(if captured_bytes(copies.from.fd) > captured_bytes(copies.to.fd) {
            copies.from.fd
        } else {
            copies.to.fd
        })
    }
    /// Returns what the engine found out about the file behind argument `arg` (also `RESULT`,
    /// `WORKING_DIRECTORY` and `ROOT_DIRECTORY` of `abi::plan`), with its path; `None` if it was
    /// not captured.
    pub fn identity(&self, arg: u8) -> Option<(Identity, &[u8])> {
        identity(&self.payloads, arg)
    }
}

/// Gives the printer of `abi` access to the payloads of a call.
impl abi::print::Captured for Call {
    fn payload(&self, arg: u8, part: CapturedKind, after: bool) -> Option<abi::print::Payload<'_>> {
        let kind = match part {
            CapturedKind::Data => PayloadKind::Data,
            CapturedKind::Bytes => PayloadKind::Bytes,
            CapturedKind::String => PayloadKind::String,
            CapturedKind::StrVec => PayloadKind::StrVec,
            CapturedKind::Iovecs => PayloadKind::Iovecs,
            CapturedKind::Msg => PayloadKind::Msg,
            CapturedKind::Name => PayloadKind::Name,
            CapturedKind::Control => PayloadKind::Control,
            CapturedKind::Iocbs => PayloadKind::Iocbs,
        };
        let candidates = || self.payloads.iter().filter(|p| p.arg == arg && p.kind == kind);
        let payload = candidates()
            .find(|p| (p.flags & AT_EXIT != 0) == after)
            .or_else(|| candidates().next())?;
        Some(abi::print::Payload {
            bytes: payload.bytes.as_slice(),
            more: payload.wanted > payload.bytes.len() as u64,
        })
    }
}

impl Event {
    /// Returns whether this `Descriptor` event describes a shared mapping, which has no descriptor.
    pub fn is_mapping(&self) -> bool {
        self.kind == RecordKind::Descriptor && (self.args[0] as i32) < 0
    }

    /// Returns what the engine found out about the file behind `arg`, with its path; `None` if it
    /// was not captured.
    pub fn identity(&self, arg: u8) -> Option<(Identity, &[u8])> {
        identity(&self.payloads, arg)
    }
}

/// Returns the identity payload of argument `arg`, and the path that follows it.
fn identity(payloads: &[Payload], arg: u8) -> Option<(Identity, &[u8])> {
    let payload = payloads.iter().find(|p| p.arg == arg && p.kind == PayloadKind::Identity)?;
    Identity::read_from_prefix(payload.bytes.as_slice()).ok()
}
