//! What a reader gives: calls and events in the order of their entry.

pub(crate) mod payloads;

use crate::format::record::{
    AT_EXIT, FROM_FILE, FdSnapshot, Identity, NO_EXIT, NOT_MADE, PayloadKind, RecordKind,
};
use abi::print::Part;
use abi::{At, Copies, OpenFlags, Shape};
use arrow::buffer::Buffer;
use zerocopy::FromBytes;

/// The sum of numbers that a trace tells, which may be any: at most the largest number.
pub fn saturating_sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// A captured payload of memory. The bytes are shared with the segment that they were read from:
/// cloning is cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The argument that led to it, or `RESULT`, `WORKING_DIRECTORY`, `ROOT_DIRECTORY` of
    /// `abi::plan`.
    pub arg: u8,
    /// What it holds.
    pub kind: PayloadKind,
    /// `AT_EXIT`, `UNREADABLE`, `CUT`, `FROM_FILE` of [`crate::record`].
    pub flags: u8,
    /// Bytes captured. When a reader leaves data out, `bytes` of a [`PayloadKind::Data`] payload is
    /// empty but `len` is not 0.
    pub len: u64,
    /// Bytes that were due.
    pub wanted: u64,
    /// The bytes.
    pub bytes: Buffer,
}

impl Payload {
    /// The same payload with other bytes, as if these had been captured; what was left out stays
    /// left out.
    pub fn with_bytes(&self, bytes: Vec<u8>) -> Self {
        let left_out = self.wanted.saturating_sub(self.bytes.len() as u64);
        let len = bytes.len() as u64;
        Self { len, wanted: len + left_out, bytes: Buffer::from_vec(bytes), ..self.clone() }
    }
}

/// One call: its row in the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The row's number in the trace, which names the call in messages.
    pub seq: u64,
    /// Entry: nanoseconds of the recorded machine's `CLOCK_MONOTONIC`.
    pub entered: u64,
    /// Return; `None` if it never did.
    pub left: Option<u64>,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// x86-64 number.
    pub nr: u32,
    /// `NO_EXIT`, `NO_ENTRY`, `COMPAT`, `NOT_MADE` of [`crate::record`].
    pub flags: u8,
    /// Argument registers.
    pub args: [u64; 6],
    /// Result; means nothing without `left`.
    pub ret: i64,
    /// What its descriptor led to.
    pub fd_snapshot: FdSnapshot,
    /// What was captured, in plan order.
    pub payloads: Vec<Payload>,
}

/// Something that happened to a process and is no call. `args` as [`RecordKind`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// What happened.
    pub kind: RecordKind,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Particulars.
    pub args: [u64; 6],
    /// Texts and identities.
    pub payloads: Vec<Payload>,
}

/// What a reader gives next. Events come before the calls that were entered at the same nanosecond.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A call.
    Call(Call),
    /// An event.
    Event(Event),
}

impl Call {
    /// Whether it returned after a moment (of [`crate::document::Summary::complete_until`]).
    pub fn is_after(&self, moment: Option<u64>) -> bool {
        self.left.zip(moment).is_some_and(|(left, moment)| left > moment)
    }
    /// The table's shape for it, unless the table does not know it or it came through a 32-bit
    /// entry.
    pub fn shape(&self) -> Option<&'static Shape> {
        if self.flags & crate::format::record::COMPAT != 0 {
            None
        } else {
            abi::shape(self.nr, &self.args)
        }
    }
    /// Whether the kernel carried it out, or at least began to. If not, it found and changed
    /// nothing, whatever its result says.
    pub fn made(&self) -> bool {
        self.flags & NOT_MADE == 0
    }
    /// Whether it was made and returned.
    pub fn returned(&self) -> bool {
        self.made() && self.left.is_some() && self.flags & NO_EXIT == 0
    }
    /// What the program was given as its result, be it by the kernel or by a filter.
    pub fn result(&self) -> Option<i64> {
        (self.flags & NO_EXIT == 0 && self.left.is_some()).then_some(self.ret)
    }
    /// The errno in [`Call::result`].
    pub fn error(&self) -> Option<i32> {
        self.result().and_then(abi::errno_of)
    }
    /// How long it took, if it has a result.
    pub fn duration(&self) -> Option<u64> {
        self.result().and(self.left).map(|left| left.saturating_sub(self.entered))
    }
    /// The errno of a call that was made and failed.
    pub fn errno(&self) -> Option<i32> {
        abi::errno_of(self.ret).filter(|_| self.returned())
    }
    /// Whether it returned and did not fail.
    pub fn succeeded(&self) -> bool {
        self.returned() && self.errno().is_none()
    }
    /// The first payload of this argument and kind (for one that is read at both ends, the
    /// entry's).
    pub fn payload(&self, arg: u8, kind: PayloadKind) -> Option<&Payload> {
        self.payloads.iter().find(|p| p.arg == arg && p.kind == kind)
    }
    /// The path or string of argument `arg`.
    pub fn string(&self, arg: u8) -> Option<&[u8]> {
        self.payload(arg, PayloadKind::String).map(|p| p.bytes.as_slice())
    }
    /// The path in argument `arg`: its string, or the file's name in a socket's address (`struct
    /// sockaddr_un`: two bytes of family, then the path, which ends with a NUL or the address).
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
    /// The offset at which data that the kernel moved itself began; `None`: the descriptor's own.
    pub fn pointed(&self, at: At) -> Option<u64> {
        match at {
            At::Start => Some(0),
            At::Own => None,
            At::Pointed(arg) if self.args[usize::from(arg)] == 0 => None,
            At::Pointed(arg) => Some(self.word(arg, 0)),
            At::Field { arg, at } => Some(self.word(arg, at)),
        }
    }
    /// The `O_*` flags of an open.
    pub fn open_flags(&self, from: OpenFlags) -> u32 {
        match from {
            OpenFlags::Arg(n) => self.args[usize::from(n)] as u32,
            OpenFlags::Implied(flags) => flags,
            OpenFlags::InStruct(n) => self.word(n, 0) as u32,
        }
    }
    /// The `u64` at byte `at` of the struct in argument `arg`; 0 if it was not captured.
    pub fn word(&self, arg: u8, at: u8) -> u64 {
        let bytes = self
            .payload(arg, PayloadKind::Bytes)
            .and_then(|p| p.bytes.as_slice().get(usize::from(at)..)?.first_chunk());
        bytes.map_or(0, |b| u64::from_le_bytes(*b))
    }
    /// The data that the kernel moved itself, as far as they were captured: from the source, or
    /// from where they went.
    pub fn copied(&self, copies: &Copies) -> impl Iterator<Item = &Payload> + use<'_> {
        let of = |fd: u8| {
            self.payloads.iter().filter(move |p| {
                p.arg == fd && p.kind == PayloadKind::Data && p.flags & FROM_FILE != 0
            })
        };
        let held = |fd: u8| saturating_sum(of(fd).map(|p| p.len));
        // A source that others have changed since may have less of them.
        of(if held(copies.from.fd) > held(copies.to.fd) { copies.from.fd } else { copies.to.fd })
    }
    /// What the engine found out about the result or directory `arg`, with its path.
    pub fn identity(&self, arg: u8) -> Option<(Identity, &[u8])> {
        identity(&self.payloads, arg)
    }
}

/// What was captured, for the printers of `abi`.
impl abi::print::Captured for Call {
    fn payload(&self, arg: u8, part: Part, after: bool) -> Option<abi::print::Payload<'_>> {
        let kind = match part {
            Part::Data => PayloadKind::Data,
            Part::Bytes => PayloadKind::Bytes,
            Part::String => PayloadKind::String,
            Part::StrVec => PayloadKind::StrVec,
            Part::Iovecs => PayloadKind::Iovecs,
            Part::Msg => PayloadKind::Msg,
            Part::Name => PayloadKind::Name,
            Part::Control => PayloadKind::Control,
            Part::Iocbs => PayloadKind::Iocbs,
        };
        let ours = || self.payloads.iter().filter(|p| p.arg == arg && p.kind == kind);
        let payload =
            ours().find(|p| (p.flags & AT_EXIT != 0) == after).or_else(|| ours().next())?;
        Some(abi::print::Payload {
            bytes: payload.bytes.as_slice(),
            more: payload.wanted > payload.bytes.len() as u64,
        })
    }
}

impl Event {
    /// Whether a `Descriptor` event tells of a mapping, which needs no descriptor.
    pub fn is_mapping(&self) -> bool {
        self.kind == RecordKind::Descriptor && (self.args[0] as i32) < 0
    }

    /// What the engine found out about `arg`, with its path.
    pub fn identity(&self, arg: u8) -> Option<(Identity, &[u8])> {
        identity(&self.payloads, arg)
    }
}

fn identity(payloads: &[Payload], arg: u8) -> Option<(Identity, &[u8])> {
    let payload = payloads.iter().find(|p| p.arg == arg && p.kind == PayloadKind::Identity)?;
    Identity::read_from_prefix(payload.bytes.as_slice()).ok()
}
