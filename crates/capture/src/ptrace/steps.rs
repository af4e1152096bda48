//! Interprets the steps of a capture plan. Every engine's interpreter captures the same payloads.

pub(super) mod vectors;

use crate::inspect::identity::read_identity;
use crate::inspect::memory::{Span, Strings, read, read_u32, read_u64, span};
use crate::inspect::moved_data::{FileRange, RangeStart, has_regular_file};
use crate::plans::LimitedStep;
use crate::records::{PayloadSink, PayloadSpec, RecordSize};
use abi::layout::control::received_descriptors;
use abi::plan::{
    CLAMP, DATA, LengthSource, NONE, OWN_OFFSET, RECEIVED, RESULT, ROOT_DIRECTORY, Step, StepKind,
    WORKING_DIRECTORY, When,
};
use trace::record::{AT_EXIT, FROM_FILE, PART_BYTES, PayloadKind};
use zerocopy::IntoBytes;

/// The most bytes that one call transfers (`MAX_RW_COUNT`), whatever count a register has.
const MAX_DATA: u64 = 0x7fff_f000;
/// The most bytes that are captured for a length in a register, except for data. No call takes more
/// (a POSIX message has at most 16 MiB); a greater length is a negative `int`, for example.
const MAX_INPUT: u64 = 16 << 20;
/// The most bytes that are captured for a length in the program's memory.
const MAX_RETURNED: u64 = 1 << 20;

/// Buffers for capturing, reused for every call.
pub(super) struct Scratch {
    pub strings: Strings,
    pub bytes: Vec<u8>,
    pub spans: Vec<Span>,
    pub buffers: vectors::BufferList,
}

impl Scratch {
    /// Makes empty buffers.
    pub fn new() -> Self {
        Self {
            strings: Strings::new(),
            bytes: Vec::new(),
            spans: Vec::new(),
            buffers: vectors::BufferList::default(),
        }
    }
}

/// A call whose thread is stopped at its entry or its exit.
pub(super) struct CallAtStop<'a> {
    pub tid: i32,
    pub pid: i32,
    pub args: &'a [u64; 6],
    /// The result, at the exit; `None` at the entry.
    pub result: Option<i64>,
}

/// Returns whether a step captures a file to its end.
fn is_whole_file(step: &Step) -> bool {
    step.from == LengthSource::Fixed && step.unit == u32::MAX
}

impl CallAtStop<'_> {
    /// Returns whether the call returned an error.
    fn failed(&self) -> bool {
        self.result.and_then(abi::errno_of).is_some()
    }
    /// Returns the argument with this index, or 0 if there is none.
    fn arg(&self, index: u8) -> u64 {
        self.args.get(index as usize).copied().unwrap_or(0)
    }
    /// Returns how many bytes the call transferred: its result, 0 after an error, and `u64::MAX` at
    /// the entry, where that is not known.
    fn moved(&self) -> u64 {
        self.result.map_or(u64::MAX, |r| u64::try_from(r).unwrap_or(0))
    }
    /// Returns the flags of payloads that are captured now: [`AT_EXIT`] at the exit of the call.
    fn flags(&self) -> u8 {
        if self.result.is_some() { AT_EXIT } else { 0 }
    }
    /// Returns how many bytes a step captures, before the limit.
    fn byte_count(&self, step: &Step) -> u64 {
        let unit = u64::from(step.unit);
        let len = match step.from {
            LengthSource::Fixed => unit,
            LengthSource::Arg => {
                let max = if step.flags & DATA != 0 { MAX_DATA } else { MAX_INPUT };
                self.arg(step.len_arg).saturating_mul(unit).min(max)
            }
            LengthSource::Ret => {
                let max = if step.len_arg == NONE {
                    MAX_DATA
                } else {
                    self.arg(step.len_arg).saturating_mul(unit).min(MAX_DATA)
                };
                self.moved().saturating_mul(unit).min(max)
            }
            LengthSource::Deref => read_u32(self.tid, self.arg(step.len_arg))
                .map_or(0, |n| (u64::from(n) * unit).min(MAX_RETURNED)),
            LengthSource::Head => {
                let count =
                    read_u32(self.tid, self.arg(step.arg).wrapping_add(u64::from(step.len_arg)))
                        .unwrap_or(0);
                (u64::from(step.base) + u64::from(count) * unit).min(MAX_RETURNED)
            }
            // No set has more bits than a process has descriptors, or a machine CPUs.
            LengthSource::Bits => {
                ((self.arg(step.len_arg) & 0xffff_ffff).div_ceil(64) * 8).min(MAX_RETURNED)
            }
        };
        if step.flags & CLAMP != 0 { len.min(self.moved()) } else { len }
    }
    /// Returns whether the payloads that these steps capture may be too long for one record.
    pub fn record_size(&self, steps: &[LimitedStep]) -> RecordSize {
        let max_small = PART_BYTES as u64;
        let large = steps.iter().any(|limited| match limited.step.kind {
            StepKind::Bytes
                if matches!(
                    limited.step.from,
                    LengthSource::Arg | LengthSource::Ret | LengthSource::Fixed
                ) =>
            {
                self.byte_count(&limited.step).min(limited.limit) > max_small
            }
            StepKind::Iov | StepKind::Msg => self.moved().min(limited.limit) > max_small,
            StepKind::SourceFile | StepKind::DestinationFile | StepKind::SourceRange => {
                !self.failed() && (is_whole_file(&limited.step) || self.moved() > max_small)
            }
            // How many bytes each message has is in the program's memory.
            StepKind::Msgs => self.moved() != 0,
            _ => false,
        });
        if large { RecordSize::Large } else { RecordSize::Small }
    }
    /// Carries out the steps: gives the payloads that they capture to `sink`. Steps at the exit are
    /// left out if the call failed.
    pub fn capture(
        &self,
        steps: &[LimitedStep],
        scratch: &mut Scratch,
        sink: &mut impl PayloadSink,
    ) {
        for limited in steps {
            if self.failed() && limited.step.when == When::Exit {
                continue;
            }
            self.capture_step(limited, scratch, sink);
        }
    }

    /// Carries out one step: gives its payloads to `sink`.
    fn capture_step(
        &self,
        limited: &LimitedStep,
        scratch: &mut Scratch,
        sink: &mut impl PayloadSink,
    ) {
        let LimitedStep { step, limit } = limited;
        let address = self.arg(step.arg);
        let kind = if step.flags & DATA != 0 { PayloadKind::Data } else { PayloadKind::Bytes };
        let spec = |kind, wanted, limit| PayloadSpec {
            arg: step.arg,
            kind,
            flags: self.flags(),
            wanted,
            limit,
        };
        let unlimited = |kind, wanted| spec(kind, wanted, u64::MAX);
        match step.kind {
            StepKind::Identity => self.capture_identity(step, scratch, sink),
            StepKind::SourceFile | StepKind::DestinationFile => {
                self.capture_file(step, *limit, sink);
            }
            StepKind::SourceRange => self.capture_range(step, *limit, sink),
            _ if address == 0 => {}
            StepKind::Bytes => {
                let wanted = self.byte_count(step);
                if wanted > 0 {
                    sink.put_memory(
                        self.tid,
                        spec(kind, wanted, *limit),
                        &[span(address, wanted as usize)],
                    );
                }
            }
            StepKind::String => {
                scratch.bytes.clear();
                let is_whole = scratch.strings.append(self.tid, address, &mut scratch.bytes);
                sink.put_bytes(
                    unlimited(
                        PayloadKind::String,
                        scratch.bytes.len() as u64 + u64::from(!is_whole),
                    ),
                    &scratch.bytes,
                );
            }
            StepKind::StrVec => self.capture_string_vector(address, unlimited, scratch, sink),
            StepKind::Iov => self.capture_buffers(limited, spec, scratch, sink),
            StepKind::Msg | StepKind::Msgs => {
                let (count, size) = if step.kind == StepKind::Msg {
                    (1, vectors::MSGHDR_SIZE)
                } else {
                    (self.byte_count(step).min(vectors::MAX_VECTORS), vectors::MMSGHDR_SIZE)
                };
                let moved = (step.kind == StepKind::Msg).then(|| self.moved());
                let Scratch { bytes, buffers, .. } = scratch;
                bytes.resize(count as usize * size, 0);
                let read_bytes = read(self.tid, address, bytes);
                sink.put_bytes(
                    unlimited(PayloadKind::Msg, bytes.len() as u64),
                    &bytes[..read_bytes],
                );
                buffers.set_messages(self.tid, &bytes[..read_bytes], size, moved);
                buffers.put_into(self.tid, *limit, &spec, sink);
                if step.flags & RECEIVED != 0 {
                    self.capture_received(step.arg, scratch, sink);
                }
            }
            StepKind::Iocbs => {
                let bytes = &mut scratch.bytes;
                let count = self.arg(step.len_arg).min(vectors::MAX_VECTORS);
                vectors::read_iocbs(self.tid, address, count as usize, bytes);
                sink.put_bytes(
                    unlimited(PayloadKind::Iocbs, count * vectors::IOCB_SIZE as u64),
                    bytes,
                );
            }
        }
    }

    /// Captures a vector of `struct iovec`, and the data in its buffers.
    fn capture_buffers(
        &self,
        limited: &LimitedStep,
        spec: impl Fn(PayloadKind, u64, u64) -> PayloadSpec,
        scratch: &mut Scratch,
        sink: &mut impl PayloadSink,
    ) {
        let LimitedStep { step, limit } = limited;
        let kind = if step.flags & DATA != 0 { PayloadKind::Data } else { PayloadKind::Bytes };
        let count = self.arg(step.len_arg).min(vectors::MAX_VECTORS) as usize;
        vectors::read_iovecs(self.tid, self.arg(step.arg), count, &mut scratch.bytes);
        sink.put_bytes(spec(PayloadKind::Iovecs, count as u64 * 16, u64::MAX), &scratch.bytes);
        vectors::iovecs_to_spans(&scratch.bytes, &mut scratch.spans);
        let buffer_bytes: u64 =
            scratch.spans.iter().map(|s| s.iov_len as u64).fold(0, u64::saturating_add);
        let wanted = if step.flags & CLAMP != 0 {
            buffer_bytes.min(self.moved())
        } else {
            buffer_bytes.min(MAX_DATA)
        };
        if wanted > 0 {
            sink.put_memory(self.tid, spec(kind, wanted, *limit), &scratch.spans);
        }
    }

    /// Captures data that the kernel itself moved out of a file or into one.
    fn capture_file(&self, step: &Step, limit: u64, sink: &mut impl PayloadSink) {
        let start = match step.arg2 {
            NONE => RangeStart::FileStart,
            OWN_OFFSET => RangeStart::FdOffset,
            index if self.arg(index) == 0 => RangeStart::FdOffset,
            index => RangeStart::At(self.arg(index)),
        };
        let moved = self.moved();
        let (fd, is_destination) =
            (self.arg(step.arg) as i32, step.kind == StepKind::DestinationFile);
        if is_destination
            && (moved == 0 || has_regular_file(self.tid, self.arg(step.arg3) as i32, moved))
        {
            return;
        }
        let open =
            if is_destination { FileRange::open_destination } else { FileRange::open_source };
        let Some(source) = open(self.tid, self.pid, fd, start, moved) else { return };
        let wanted = if is_whole_file(step) { source.remaining() } else { self.byte_count(step) };
        self.put_file(self.file_spec(step, wanted, limit), source, sink);
    }

    /// Captures the part of a file that a struct describes: descriptor, offset and length, 8 bytes
    /// each; length 0 is up to the end.
    fn capture_range(&self, step: &Step, limit: u64, sink: &mut impl PayloadSink) {
        let address = self.arg(step.arg);
        let word = |at: u64| read_u64(self.tid, address.wrapping_add(at));
        let (Some(fd), Some(from), Some(len)) = (word(0), word(8), word(16)) else {
            return;
        };
        let Some(source) = FileRange::open_at(self.tid, self.pid, fd as i32, from) else {
            return;
        };
        let wanted = if len == 0 { source.remaining() } else { len.min(source.remaining()) };
        self.put_file(self.file_spec(step, wanted, limit), source, sink);
    }

    /// Returns the specification of a payload that is read from a file.
    fn file_spec(&self, step: &Step, wanted: u64, limit: u64) -> PayloadSpec {
        let (kind, flags) = (PayloadKind::Data, self.flags() | FROM_FILE);
        PayloadSpec { arg: step.arg, kind, flags, wanted, limit }
    }

    /// Gives bytes of a file to `sink`, unless there are none.
    fn put_file(&self, spec: PayloadSpec, mut source: FileRange, sink: &mut impl PayloadSink) {
        if spec.wanted > 0 {
            sink.put_with(spec, &mut |at, local| source.read(at, local));
        }
    }

    /// Captures a NULL-terminated array of strings at `address`.
    fn capture_string_vector(
        &self,
        mut address: u64,
        unlimited: impl Fn(PayloadKind, u64) -> PayloadSpec,
        scratch: &mut Scratch,
        sink: &mut impl PayloadSink,
    ) {
        scratch.bytes.clear();
        let mut is_whole = true;
        // The kernel accepts a quarter of the stack for strings and pointers together (2 MiB by
        // default), so there cannot be more strings than that.
        while scratch.bytes.len() < MAX_RETURNED as usize * 8 {
            match read_u64(self.tid, address) {
                Some(0) => break,
                Some(string) => {
                    is_whole = scratch.strings.append(self.tid, string, &mut scratch.bytes);
                    scratch.bytes.push(0);
                }
                None => is_whole = false,
            }
            if !is_whole {
                break;
            }
            address = address.wrapping_add(8);
        }
        sink.put_bytes(
            unlimited(PayloadKind::StrVec, scratch.bytes.len() as u64 + u64::from(!is_whole)),
            &scratch.bytes,
        );
    }

    /// Captures the identity of a descriptor, or of the working or root directory.
    fn capture_identity(&self, step: &Step, scratch: &mut Scratch, sink: &mut impl PayloadSink) {
        let fd = if step.arg == RESULT {
            self.result.unwrap_or(-1)
        } else {
            i64::from(self.arg(step.arg) as i32)
        };
        match step.arg {
            WORKING_DIRECTORY => {
                self.capture_link(step.arg, format_args!("cwd"), &mut scratch.bytes, sink);
            }
            ROOT_DIRECTORY => {
                self.capture_link(step.arg, format_args!("root"), &mut scratch.bytes, sink);
            }
            _ if fd < 0 => {}
            _ => self.capture_link(step.arg, format_args!("fd/{fd}"), &mut scratch.bytes, sink),
        }
    }

    /// Captures the identity of each descriptor that was received with the messages in `scratch`.
    fn capture_received(&self, arg: u8, scratch: &mut Scratch, sink: &mut impl PayloadSink) {
        for control in scratch.buffers.controls() {
            scratch.bytes.resize(control.iov_len, 0);
            let n = read(self.tid, control.iov_base as u64, &mut scratch.bytes);
            for fd in received_descriptors(&scratch.bytes[..n]) {
                self.capture_link(arg, format_args!("fd/{fd}"), &mut scratch.bytes, sink);
            }
        }
    }

    /// Captures the identity that `link`, in the thread's directory in /proc, leads to.
    fn capture_link(
        &self,
        arg: u8,
        link: std::fmt::Arguments<'_>,
        bytes: &mut Vec<u8>,
        sink: &mut impl PayloadSink,
    ) {
        bytes.clear();
        let identity = read_identity(format_args!("/proc/{}/{link}", self.tid), bytes);
        bytes.splice(0..0, identity.as_bytes().iter().copied());
        sink.put_bytes(
            PayloadSpec {
                arg,
                kind: PayloadKind::Identity,
                flags: AT_EXIT,
                wanted: bytes.len() as u64,
                limit: u64::MAX,
            },
            bytes,
        );
    }
}
