//! Interprets the steps of a plan: the same steps, with the same outcome, as the interpreter of
//! every other engine.

mod vectors;

use crate::inspect::identity::describe;
use crate::inspect::memory::{Span, Strings, read, read_u32, read_u64, span};
use crate::inspect::moved_data::{FileRange, RangeStart, is_file_of};
use crate::plans::LimitedStep;
use crate::records::{PayloadSink, PayloadSpec};
use abi::layout::control::rights;
use abi::plan::{
    CLAMP, DATA, LengthSource, NONE, OWN_OFFSET, RECEIVED, RESULT, ROOT_DIRECTORY, Step, StepKind,
    WORKING_DIRECTORY, When,
};
use trace::record::{AT_EXIT, FROM_FILE, PART_BYTES, PayloadKind};
use zerocopy::IntoBytes;

/// The most that one call moves (`MAX_RW_COUNT`): a greater count has not been moved, whatever the
/// register says.
const MAX_DATA: u64 = 0x7fff_f000;
/// The most that a length in a register is believed of anything but data: what no call takes (16
/// MiB is a POSIX message's limit), a negative `int` for one.
const MAX_INPUT: u64 = 16 << 20;
/// The most that a length in the program's memory is believed.
const MAX_RETURNED: u64 = 1 << 20;

/// Memory for taking steps, used again and again.
pub(super) struct Scratch {
    pub strings: Strings,
    pub bytes: Vec<u8>,
    pub spans: Vec<Span>,
    pub gathered: vectors::Gathered,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            strings: Strings::new(),
            bytes: Vec::new(),
            spans: Vec::new(),
            gathered: vectors::Gathered::default(),
        }
    }
}

/// One end of a call.
pub(super) struct CallAtStop<'a> {
    pub tid: i32,
    pub pid: i32,
    pub args: &'a [u64; 6],
    /// The result, at the exit.
    pub result: Option<i64>,
}

fn whole_file(step: &Step) -> bool {
    step.from == LengthSource::Fixed && step.unit == u32::MAX
}

impl CallAtStop<'_> {
    fn failed(&self) -> bool {
        self.result.and_then(abi::errno_of).is_some()
    }
    fn arg(&self, n: u8) -> u64 {
        self.args.get(n as usize).copied().unwrap_or(0)
    }
    fn moved(&self) -> u64 {
        self.result.map_or(u64::MAX, |r| u64::try_from(r).unwrap_or(0))
    }
    fn flags(&self) -> u8 {
        if self.result.is_some() { AT_EXIT } else { 0 }
    }
    /// How many bytes a step takes.
    fn len(&self, step: &Step) -> u64 {
        let unit = u64::from(step.unit);
        let len = match step.from {
            LengthSource::Fixed => unit,
            LengthSource::Arg => {
                let most = if step.flags & DATA != 0 { MAX_DATA } else { MAX_INPUT };
                self.arg(step.len_arg).saturating_mul(unit).min(most)
            }
            LengthSource::Ret => {
                let most = if step.len_arg == NONE {
                    MAX_DATA
                } else {
                    self.arg(step.len_arg).saturating_mul(unit).min(MAX_DATA)
                };
                self.moved().saturating_mul(unit).min(most)
            }
            LengthSource::Deref => read_u32(self.tid, self.arg(step.len_arg))
                .map_or(0, |n| (u64::from(n) * unit).min(MAX_RETURNED)),
            LengthSource::Head => {
                let told =
                    read_u32(self.tid, self.arg(step.arg).wrapping_add(u64::from(step.len_arg)))
                        .unwrap_or(0);
                (u64::from(step.base) + u64::from(told) * unit).min(MAX_RETURNED)
            }
            // No set has more bits than a process may have descriptors, or a machine CPUs.
            LengthSource::Bits => {
                ((self.arg(step.len_arg) & 0xffff_ffff).div_ceil(64) * 8).min(MAX_RETURNED)
            }
        };
        if step.flags & CLAMP != 0 { len.min(self.moved()) } else { len }
    }
    /// Whether the record of this exit must be begun as a large one.
    pub fn is_large(&self, steps: &[LimitedStep]) -> bool {
        let most = PART_BYTES as u64;
        steps.iter().any(|take| match take.step.kind {
            StepKind::Bytes
                if matches!(
                    take.step.from,
                    LengthSource::Arg | LengthSource::Ret | LengthSource::Fixed
                ) =>
            {
                self.len(&take.step).min(take.limit) > most
            }
            StepKind::Iov | StepKind::Msg => self.moved().min(take.limit) > most,
            StepKind::SourceFile | StepKind::DestinationFile | StepKind::SourceRange => {
                !self.failed() && (whole_file(&take.step) || self.moved() > most)
            }
            // How much each message moved stands in the program's memory.
            StepKind::Msgs => self.moved() != 0,
            _ => false,
        })
    }
    /// Takes the steps.
    pub fn take(&self, steps: &[LimitedStep], scratch: &mut Scratch, sink: &mut impl PayloadSink) {
        for take in steps {
            if self.failed() && take.step.when == When::Exit {
                continue;
            }
            self.step(take, scratch, sink);
        }
    }

    fn step(&self, take: &LimitedStep, scratch: &mut Scratch, sink: &mut impl PayloadSink) {
        let LimitedStep { step, limit } = take;
        let address = self.arg(step.arg);
        let kind = if step.flags & DATA != 0 { PayloadKind::Data } else { PayloadKind::Bytes };
        let due = |kind, wanted, limit| PayloadSpec {
            arg: step.arg,
            kind,
            flags: self.flags(),
            wanted,
            limit,
        };
        let whole = |kind, wanted| due(kind, wanted, u64::MAX);
        match step.kind {
            StepKind::Identity => self.identity(step, scratch, sink),
            StepKind::SourceFile | StepKind::DestinationFile => self.file(step, *limit, sink),
            StepKind::SourceRange => self.range(step, *limit, sink),
            _ if address == 0 => {}
            StepKind::Bytes => {
                let wanted = self.len(step);
                if wanted > 0 {
                    sink.put_memory(
                        self.tid,
                        due(kind, wanted, *limit),
                        &[span(address, wanted as usize)],
                    );
                }
            }
            StepKind::String => {
                scratch.bytes.clear();
                let all = scratch.strings.append(self.tid, address, &mut scratch.bytes);
                sink.put_bytes(
                    whole(PayloadKind::String, scratch.bytes.len() as u64 + u64::from(!all)),
                    &scratch.bytes,
                );
            }
            StepKind::StrVec => self.string_vector(address, whole, scratch, sink),
            StepKind::Iov => {
                let count = self.arg(step.len_arg).min(vectors::MAX_VECTORS) as usize;
                vectors::read_iovecs(self.tid, address, count, &mut scratch.bytes);
                sink.put_bytes(whole(PayloadKind::Iovecs, count as u64 * 16), &scratch.bytes);
                vectors::spans(&scratch.bytes, &mut scratch.spans);
                let all: u64 =
                    scratch.spans.iter().map(|s| s.iov_len as u64).fold(0, u64::saturating_add);
                let wanted =
                    if step.flags & CLAMP != 0 { all.min(self.moved()) } else { all.min(MAX_DATA) };
                if wanted > 0 {
                    sink.put_memory(self.tid, due(kind, wanted, *limit), &scratch.spans);
                }
            }
            StepKind::Msg | StepKind::Msgs => {
                let count = match step.kind {
                    StepKind::Msg => 1,
                    _ => self.len(step).min(vectors::MAX_VECTORS),
                };
                let size =
                    if step.kind == StepKind::Msg { vectors::MSGHDR } else { vectors::MMSGHDR };
                let moved = (step.kind == StepKind::Msg).then(|| self.moved());
                let Scratch { bytes, gathered, .. } = scratch;
                bytes.resize(count as usize * size, 0);
                let n = read(self.tid, address, bytes);
                sink.put_bytes(whole(PayloadKind::Msg, bytes.len() as u64), &bytes[..n]);
                gathered.messages(self.tid, &bytes[..n], size, moved);
                gathered.put(self.tid, *limit, &due, sink);
                if step.flags & RECEIVED != 0 {
                    self.received(step.arg, scratch, sink);
                }
            }
            StepKind::Iocbs => {
                let Scratch { bytes, gathered, .. } = scratch;
                let count = self.arg(step.len_arg).min(vectors::MAX_VECTORS);
                gathered.control_blocks(self.tid, address, count as usize, bytes);
                sink.put_bytes(whole(PayloadKind::Iocbs, count * vectors::IOCB as u64), bytes);
                gathered.put(self.tid, *limit, &due, sink);
            }
        }
    }

    /// Data that the kernel moved itself, out of a file or into one.
    fn file(&self, step: &Step, limit: u64, sink: &mut impl PayloadSink) {
        let place = match step.arg2 {
            NONE => RangeStart::FileStart,
            OWN_OFFSET => RangeStart::FdOffset,
            n if self.arg(n) == 0 => RangeStart::FdOffset,
            n => RangeStart::At(self.arg(n)),
        };
        let moved = self.moved();
        let (fd, landed) = (self.arg(step.arg) as i32, step.kind == StepKind::DestinationFile);
        if landed && (moved == 0 || is_file_of(self.tid, self.arg(step.arg3) as i32, moved)) {
            return;
        }
        let open = if landed { FileRange::landed } else { FileRange::open };
        let Some(source) = open(self.tid, self.pid, fd, place, moved) else { return };
        let wanted = if whole_file(step) { source.rest() } else { self.len(step) };
        self.put(self.of_file(step, wanted, limit), source, sink);
    }

    /// Data in a file that a struct tells of.
    fn range(&self, step: &Step, limit: u64, sink: &mut impl PayloadSink) {
        let address = self.arg(step.arg);
        let word = |at: u64| read_u64(self.tid, address.wrapping_add(at));
        let (Some(fd), Some(from), Some(len)) = (word(0), word(8), word(16)) else {
            return;
        };
        let Some(source) = FileRange::from(self.tid, self.pid, fd as i32, from) else {
            return;
        };
        let wanted = if len == 0 { source.rest() } else { len.min(source.rest()) };
        self.put(self.of_file(step, wanted, limit), source, sink);
    }

    fn of_file(&self, step: &Step, wanted: u64, limit: u64) -> PayloadSpec {
        let (kind, flags) = (PayloadKind::Data, self.flags() | FROM_FILE);
        PayloadSpec { arg: step.arg, kind, flags, wanted, limit }
    }

    fn put(&self, due: PayloadSpec, mut source: FileRange, sink: &mut impl PayloadSink) {
        if due.wanted > 0 {
            sink.put_with(due, &mut |at, local| source.read(at, local));
        }
    }

    fn string_vector(
        &self,
        mut address: u64,
        whole: impl Fn(PayloadKind, u64) -> PayloadSpec,
        scratch: &mut Scratch,
        sink: &mut impl PayloadSink,
    ) {
        scratch.bytes.clear();
        let mut all = true;
        // As many as the kernel takes together with their strings (a quarter of the stack, 2 MiB by
        // default) would be at least a byte each.
        while scratch.bytes.len() < MAX_RETURNED as usize * 8 {
            match read_u64(self.tid, address) {
                Some(0) => break,
                Some(string) => {
                    all = scratch.strings.append(self.tid, string, &mut scratch.bytes);
                    scratch.bytes.push(0);
                }
                None => all = false,
            }
            if !all {
                break;
            }
            address = address.wrapping_add(8);
        }
        sink.put_bytes(
            whole(PayloadKind::StrVec, scratch.bytes.len() as u64 + u64::from(!all)),
            &scratch.bytes,
        );
    }

    fn identity(&self, step: &Step, scratch: &mut Scratch, sink: &mut impl PayloadSink) {
        let fd = if step.arg == RESULT {
            self.result.unwrap_or(-1)
        } else {
            i64::from(self.arg(step.arg) as i32)
        };
        match step.arg {
            WORKING_DIRECTORY => {
                self.described(step.arg, format_args!("cwd"), &mut scratch.bytes, sink);
            }
            ROOT_DIRECTORY => {
                self.described(step.arg, format_args!("root"), &mut scratch.bytes, sink);
            }
            _ if fd < 0 => {}
            _ => self.described(step.arg, format_args!("fd/{fd}"), &mut scratch.bytes, sink),
        }
    }

    /// What each descriptor is that came with the messages that were gathered.
    fn received(&self, arg: u8, scratch: &mut Scratch, sink: &mut impl PayloadSink) {
        for control in scratch.gathered.controls() {
            scratch.bytes.resize(control.iov_len, 0);
            let n = read(self.tid, control.iov_base as u64, &mut scratch.bytes);
            for fd in rights(&scratch.bytes[..n]) {
                self.described(arg, format_args!("fd/{fd}"), &mut scratch.bytes, sink);
            }
        }
    }

    /// What a link in the task's directory in /proc leads to.
    fn described(
        &self,
        arg: u8,
        link: std::fmt::Arguments<'_>,
        bytes: &mut Vec<u8>,
        sink: &mut impl PayloadSink,
    ) {
        bytes.clear();
        let identity = describe(format_args!("/proc/{}/{link}", self.tid), bytes);
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
