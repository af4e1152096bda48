//! The first step: each argument translated by its kind. What only the thread has that performs the
//! call is left open, as holes.

use crate::issue::scratch::MAX_RW_COUNT;
use crate::issue::{RealFd, raw};
use abi::{AT_FDCWD, CallSpec, Form, Kind, Len, Ret};
use linux_raw_sys::general::O_DIRECT;
use model::processes::Operands;
use rustix::io::Errno;
use trace::record::{PayloadKind, UNREADABLE};
use trace::{Call, Payload};

/// Bytes that a read may bring beyond what was recorded: enough to see that there are more.
pub(super) const READ_SLACK: usize = 64 << 10;
/// Counts of lists (names, entries) are passed on up to this.
pub(super) const MAX_LIST_BYTES: usize = 16 << 20;
/// An address that faults.
const FAULTING_ADDRESS: usize = 8;

/// Why names below the program's own mounts are left alone: what is there has no place in the root.
pub(crate) const MOUNTED_BY_PROGRAM: &str = "mounted by the program";

/// Why a call cannot be performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TranslateError {
    /// It means more than files (a kind that replay does not translate).
    Kind,
    /// It would need more memory than any call can move.
    Size,
    /// This machine does not have the call.
    Missing,
    /// There is no procfs here, through which the call reaches its file.
    Procfs,
    /// What its path leads to has no place here: the program mounted it.
    Elsewhere,
}

impl TranslateError {
    /// Returns the reason as the report words it.
    pub fn why(self) -> &'static str {
        match self {
            Self::Kind => "means more than files",
            Self::Size => "larger than any call",
            Self::Missing => "not a call of this machine",
            Self::Elsewhere => MOUNTED_BY_PROGRAM,
            Self::Procfs => "no procfs on this machine",
        }
    }
}

/// What is missing of an argument after translation, and is filled in by the thread that performs
/// the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deferred {
    /// Nothing.
    None,
    /// Nothing; the argument points to the recorded data, which must outlive the call.
    Recorded,
    /// The real descriptor that it means.
    RealFd,
    /// A path through a link of procfs: through the real descriptor of what that leads to.
    ThroughFd,
    /// A path of a process with mounts or a root of its own: what it stands for.
    Viewed,
    /// A relative path of a call that runs in procfs because of another path.
    RelativePath,
    /// A buffer for `len` bytes of output; with `zeroed`, it must not hold bytes of an earlier
    /// call.
    Buffer { len: usize, zeroed: bool },
    /// A string.
    String,
    /// A struct of `len` bytes that goes in, or in and out.
    Struct { len: usize },
    /// `len` bytes of data that are not contiguous in the trace.
    Data { len: usize },
    /// `iovec`s going in.
    IovecsIn { count: u8 },
    /// `iovec`s coming out.
    IovecsOut { count: u8 },
}

/// A call's arguments, each translated by its kind. What depends on the thread that performs it and
/// on the calls before it is left open. This is done once for a call, beforehand where little is
/// left open ([`crate::issue::PreparedCall`]).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Translation {
    pub nr: syscalls::Sysno,
    pub values: [usize; 6],
    pub deferred: [Deferred; 6],
    /// An argument is an address that faults.
    pub faults: bool,
    /// The call runs with procfs as working directory, as its paths lead through links there.
    pub in_procfs: bool,
}

impl Translation {
    /// Translates the arguments of `call`: decides for each how it is passed here, without
    /// allocating buffers.
    pub fn of(
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<RealFd>,
    ) -> Result<Self, TranslateError> {
        let native = if call.nr < abi::OPERATIONS {
            raw::native_number(call.nr)
        } else {
            raw::native_operation(call)
        };
        let nr = native.ok_or(TranslateError::Missing)?;
        let mut this = Self {
            nr,
            values: [0; 6],
            deferred: [Deferred::None; 6],
            faults: false,
            in_procfs: false,
        };
        for i in 0..spec.args.len() {
            this.values[i] = call.args[i] as usize;
        }
        for i in 0..spec.args.len() {
            this.argument(call, spec, i, operands)?;
        }
        for i in abi::argument_indices(spec.uses.path_args) {
            if this.deferred[i] == Deferred::String
                && operands.viewed[i].is_some()
                && operands.through[i].is_none()
            {
                this.deferred[i] = Deferred::Viewed;
            }
        }
        if operands.through.has_any() {
            this.defer_procfs_paths(call, spec, operands);
        }
        // Data that move inside the kernel: no more than moved then.
        if spec.copies.is_some()
            && call.succeeded()
            && call.ret > 0
            && let Some(i) = spec.args.iter().position(|a| a.kind == Kind::Size)
        {
            this.values[i] = call.ret as usize;
        }
        Ok(this)
    }

    /// Decides how argument `i` is passed.
    fn argument(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        i: usize,
        operands: &Operands<RealFd>,
    ) -> Result<(), TranslateError> {
        let pointer = call.args[i];
        match spec.args[i].kind {
            Kind::Int
            | Kind::Uint
            | Kind::Hex
            | Kind::Off
            | Kind::Pos
            | Kind::PosHigh
            | Kind::Size
            | Kind::Length
            | Kind::Mode => {}
            // What came at once then need not be there at once now.
            Kind::Flags(set) if call.succeeded() => {
                self.values[i] &= !(set.nonblocking as usize);
            }
            Kind::Uid | Kind::Gid | Kind::Dev | Kind::Flags(_) | Kind::Unused => {}
            Kind::DirFd if call.args[i] as i32 == AT_FDCWD => {
                self.values[i] = AT_FDCWD as isize as usize;
            }
            Kind::Fd | Kind::DirFd => self.deferred[i] = Deferred::RealFd,
            Kind::Pid | Kind::Signal | Kind::StrVec | Kind::InMsg | Kind::OutMsg => {
                return Err(TranslateError::Kind);
            }
            Kind::InMsgs { .. } | Kind::OutMsgs { .. } | Kind::Iocbs { .. } => {
                return Err(TranslateError::Kind);
            }
            Kind::Addr => self.values[i] = 0,
            _ if pointer == 0 => {}
            Kind::Path(_) | Kind::Str => self.string(call, i),
            Kind::In(len, layout) if layout.form == Form::Data => {
                self.data(call, spec, i, len, operands)?;
            }
            Kind::In(len, _) => self.input(call, i, len)?,
            Kind::InOut(len, _) => self.input(call, i, len)?,
            Kind::Out(len, layout) => {
                self.output(call, spec, i, len, layout.form, operands.cut)?;
            }
            Kind::InIov { .. } | Kind::OutIov { .. } if faulted(call) => {
                self.set_faulting(i);
            }
            Kind::InIov { count } => self.deferred[i] = Deferred::IovecsIn { count },
            Kind::OutIov { count } => self.deferred[i] = Deferred::IovecsOut { count },
        }
        Ok(())
    }

    /// Makes argument `i` an address that no process can access.
    fn set_faulting(&mut self, i: usize) {
        (self.values[i], self.faults) = (FAULTING_ADDRESS, true);
    }

    /// Translates a string or path. If the kernel could not read it, the argument becomes an
    /// address that faults.
    fn string(&mut self, call: &Call, i: usize) {
        match string_payload(call, i) {
            Some(_) => self.deferred[i] = Deferred::String,
            None => self.set_faulting(i),
        }
    }

    /// Translates bulk data that the call passes to the kernel: as many bytes as the recorded call
    /// moved. What was not captured becomes zeros.
    fn data(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        i: usize,
        len: Len,
        operands: &Operands<RealFd>,
    ) -> Result<(), TranslateError> {
        let count = match len {
            Len::Arg { n, unit: 1 } => Some(n as usize),
            _ => None,
        };
        let length = self.length(call, i, len).ok_or(TranslateError::Size)?;
        let (moved, failed) = match call.errno() {
            None if spec.ret == Ret::Bytes => (length.min(call.ret.max(0) as usize), false),
            None => (length, false),
            Some(_) => (length.min(MAX_LIST_BYTES), true),
        };
        if let Some(n) = count {
            self.values[n] = moved;
        } else if moved != length {
            return Err(TranslateError::Size);
        }
        if failed && faulted(call) {
            self.set_faulting(i);
            return Ok(());
        }
        let direct = operands.status.iter().any(|status| status & O_DIRECT != 0);
        let mut payloads =
            call.payloads.iter().filter(|p| p.arg as usize == i && p.kind == PayloadKind::Data);
        if let (Some(first), None, false) = (payloads.next(), payloads.next(), direct)
            && first.bytes.len() >= moved
        {
            // The kernel only reads from it, and the payload outlives the call.
            self.values[i] = first.bytes.as_ptr() as usize;
            self.deferred[i] = Deferred::Recorded;
            return Ok(());
        }
        self.deferred[i] = Deferred::Data { len: moved };
        Ok(())
    }

    /// Translates a struct or another small buffer that the kernel reads, and may write.
    fn input(&mut self, call: &Call, i: usize, len: Len) -> Result<(), TranslateError> {
        let readable = |payload: &&Payload| !faulted(call) || payload.flags & UNREADABLE == 0;
        let Some(payload) = input_payload(call, i).filter(readable) else {
            self.set_faulting(i);
            return Ok(());
        };
        let length = self.length(call, i, len).ok_or(TranslateError::Size)?;
        self.deferred[i] = Deferred::Struct { len: length.max(payload.bytes.len()) };
        Ok(())
    }

    /// Translates a buffer that the kernel writes, with its size.
    fn output(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        i: usize,
        len: Len,
        form: Form,
        cut: bool,
    ) -> Result<(), TranslateError> {
        if faulted(call) {
            self.set_faulting(i);
            return Ok(());
        }
        let mut length = self.length(call, i, len).unwrap_or(MAX_RW_COUNT).min(MAX_RW_COUNT);
        if let Len::Arg { n, unit } | Len::Ret { max: Some(n), unit } = len {
            let recorded = call.ret.max(0) as usize;
            let most = match (form, spec.ret) {
                (Form::Data, Ret::Bytes) if cut => recorded.min(MAX_RW_COUNT),
                (Form::Data, Ret::Bytes) => {
                    recorded.min(MAX_RW_COUNT).next_multiple_of(4096).saturating_add(READ_SLACK)
                }
                _ => MAX_LIST_BYTES,
            };
            let unit = unit.max(1) as usize;
            if length > most {
                length = most / unit * unit;
                self.values[n as usize] = length / unit;
            }
        } else if self.length(call, i, len).is_none() {
            return Err(TranslateError::Size);
        }
        self.deferred[i] = Deferred::Buffer { len: length, zeroed: form != Form::Data };
        Ok(())
    }

    /// Returns how many bytes the kernel may read or write at argument `i`, given the values
    /// passed. Returns `None` if that is more than memory.
    fn length(&self, call: &Call, i: usize, len: Len) -> Option<usize> {
        let word = |arg: usize, at: usize| {
            let bytes =
                call.payload(arg as u8, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
                as usize
        };
        let length = match len {
            Len::Fixed(n) => n as usize,
            Len::Bits { n } => self.values[n as usize].div_ceil(64).checked_mul(8)?,
            Len::Arg { n, unit } | Len::Ret { max: Some(n), unit } => {
                self.values[n as usize].checked_mul(unit as usize)?
            }
            Len::Ret { max: None, unit } => {
                (call.ret.max(0) as usize).checked_mul(unit as usize)?.max(4096)
            }
            Len::Deref { n, unit } => word(n as usize, 0).checked_mul(unit as usize)?,
            Len::Head { at, base, unit } => {
                word(i, at as usize).checked_mul(unit as usize)?.checked_add(base as usize)?
            }
        };
        Some(length)
    }
}

/// Returns whether a call failed because the kernel could not access memory.
fn faulted(call: &Call) -> bool {
    call.errno() == Some(Errno::FAULT.raw_os_error())
}

/// Returns the string of argument `i`, if it was captured.
pub(super) fn string_payload(call: &Call, i: usize) -> Option<&[u8]> {
    call.payload(i as u8, PayloadKind::String)
        .filter(|p| p.flags & UNREADABLE == 0)
        .map(|p| p.bytes.as_slice())
}

/// Returns the struct, or other small buffer, that argument `i` pointed to before the call.
pub(super) fn input_payload(call: &Call, i: usize) -> Option<&Payload> {
    call.payload(i as u8, PayloadKind::Bytes).or_else(|| call.payload(i as u8, PayloadKind::Data))
}
