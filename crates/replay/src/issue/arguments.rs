//! A recorded call's arguments in this process: each translated by its kind, and nothing else.

mod paths;
pub(crate) mod procfs;
mod translation;

pub(crate) use translation::{Deferred, MOUNTED_BY_PROGRAM, TranslateError, Translation};

use super::scratch::{MAX_RW_COUNT, ScratchBuffer};
use super::{RealFd, Scratch, raw};
use abi::{CallSpec, Effect, Kind};
use model::processes::{Descriptor, Operands};
use std::sync::Arc;
use trace::record::PayloadKind;
use trace::{Call, Payload};
use translation::{MAX_LIST_BYTES, READ_SLACK, input_payload, string_payload};

/// The most vectors that the kernel takes (`IOV_MAX`).
const MAX_IOVECS: usize = linux_raw_sys::general::UIO_MAXIOV as usize;

/// Translated arguments, ready to be performed once.
pub(crate) struct Arguments {
    nr: syscalls::Sysno,
    values: [usize; 6],
    /// Where each argument's bytes come back.
    buffers: [Option<ScratchBuffer>; 6],
    /// The same of the argument that is a list of buffers.
    iovec_buffers: Vec<ScratchBuffer>,
    iovec_argument: usize,
    faults: bool,
    /// Set if the call runs with procfs as working directory.
    procfs_cwd: Option<procfs::ProcfsCwd>,
}

impl Arguments {
    /// Translates the arguments of `call` for this process, and allocates the buffers that they
    /// point to in `scratch`.
    pub fn build(
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<RealFd>,
        scratch: &mut Scratch,
    ) -> Result<Self, TranslateError> {
        let Translation { nr, values, deferred, faults, in_procfs } =
            Translation::of(call, spec, operands)?;
        let procfs_cwd = if in_procfs {
            let cwd = operands.cwd.as_ref().map_or(-1, |cwd| cwd.real.get());
            let changes_cwd = spec.effect == Effect::Chdir;
            Some(procfs::ProcfsCwd::new(cwd, changes_cwd).ok_or(TranslateError::Procfs)?)
        } else {
            None
        };
        let mut this = Self {
            nr,
            values,
            buffers: [None; 6],
            iovec_buffers: Vec::new(),
            iovec_argument: usize::MAX,
            faults,
            procfs_cwd,
        };
        let real = |d: &Option<Arc<Descriptor<RealFd>>>| {
            d.as_ref().map_or(-1, |d| d.real.get()) as isize as usize
        };
        for (i, deferred) in deferred.into_iter().enumerate() {
            match deferred {
                Deferred::None | Deferred::Recorded => {}
                Deferred::RealFd => this.values[i] = real(&operands.fds[i]),
                Deferred::Viewed => {
                    let path = Self::resolve_in_view(call, spec, operands, i)?.unwrap_or_default();
                    this.add_string(&path, i, scratch)?;
                }
                Deferred::ThroughFd | Deferred::RelativePath => {
                    let (real, rest) = paths::start(call, operands, i);
                    let path = procfs::path(real, rest);
                    this.add_string(&path, i, scratch)?;
                }
                Deferred::Buffer { len, zeroed } => this.add_output(i, len, zeroed, scratch)?,
                Deferred::String => this.add_string(string(call, operands, i), i, scratch)?,
                Deferred::Struct { len } => {
                    this.add_input(call, spec, operands, i, len, scratch)?;
                }
                Deferred::Data { len } => {
                    let buffer = scratch.alloc(len).ok_or(TranslateError::Size)?;
                    copy_data(call, i, scratch.bytes_mut(buffer));
                    this.values[i] = buffer.address();
                }
                Deferred::IovecsIn { count } => {
                    this.add_iovecs_in(call, i, count as usize, scratch)?;
                }
                Deferred::IovecsOut { count } => {
                    this.add_iovecs_out(call, i, count as usize, operands.cut, scratch)?;
                }
            }
        }
        Ok(this)
    }

    /// Performs the call. Returns its result, or a negative errno.
    pub fn perform(&self) -> i64 {
        self.with_cwd(|| raw::perform(self.nr, self.values))
    }

    /// Calls `make` in the working directory from which the translated paths lead. Returns its
    /// result.
    pub fn with_cwd(&self, make: impl FnOnce() -> i64) -> i64 {
        match &self.procfs_cwd {
            None => make(),
            Some(procfs_cwd) => procfs_cwd.run(make),
        }
    }

    /// Returns whether the translated paths are relative to procfs, and not to the working
    /// directory of the thread.
    pub fn runs_in_procfs(&self) -> bool {
        self.procfs_cwd.is_some()
    }

    /// Returns the real descriptor in argument `i`.
    pub fn fd(&self, i: usize) -> i32 {
        self.values[i] as i32
    }

    /// Returns whether an argument is an address that no process can access, as the recorded call
    /// failed with EFAULT.
    pub fn faults(&self) -> bool {
        self.faults
    }

    /// Returns the arguments as they are passed to the kernel.
    pub fn values(&self) -> [usize; 6] {
        self.values
    }

    /// Returns argument `i` as it is passed to the kernel.
    pub fn value(&self, i: usize) -> usize {
        self.values[i]
    }

    /// Lowers argument `i`, a number of bytes, to `most` if it is larger.
    pub fn limit(&mut self, i: usize, most: usize) {
        self.values[i] = self.values[i].min(most);
    }

    /// Returns the buffers to which the kernel writes for argument `i`, in order. For a string,
    /// this is the buffer that holds it.
    pub fn buffers(&self, i: usize) -> &[ScratchBuffer] {
        if i == self.iovec_argument { &self.iovec_buffers } else { self.buffers[i].as_slice() }
    }

    /// Allocates a buffer of `len` bytes for the output in argument `i`, and clears it if `zeroed`.
    fn add_output(
        &mut self,
        i: usize,
        len: usize,
        zeroed: bool,
        scratch: &mut Scratch,
    ) -> Result<(), TranslateError> {
        let buffer = scratch.alloc(len).ok_or(TranslateError::Size)?;
        if zeroed {
            zero_buffer(scratch.bytes_mut(buffer));
        }
        self.values[i] = buffer.address();
        self.buffers[i] = Some(buffer);
        Ok(())
    }

    /// Copies a string into a buffer, with a NUL, and passes its address as argument `i`.
    fn add_string(
        &mut self,
        text: &[u8],
        i: usize,
        scratch: &mut Scratch,
    ) -> Result<(), TranslateError> {
        let buffer = scratch.alloc(text.len() + 1).ok_or(TranslateError::Size)?;
        let bytes = scratch.bytes_mut(buffer);
        bytes[..text.len()].copy_from_slice(text);
        bytes[text.len()] = 0;
        self.values[i] = buffer.address();
        self.buffers[i] = Some(buffer);
        Ok(())
    }

    /// Copies the captured input of argument `i` into a buffer of `len` bytes. Descriptors inside
    /// it are replaced by the real ones.
    fn add_input(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<RealFd>,
        i: usize,
        len: usize,
        scratch: &mut Scratch,
    ) -> Result<(), TranslateError> {
        let buffer = scratch.alloc(len).ok_or(TranslateError::Size)?;
        let bytes = scratch.bytes_mut(buffer);
        let known = input_payload(call, i).map_or(&[][..], |p| p.bytes.as_slice());
        bytes[..known.len()].copy_from_slice(known);
        zeroed(&mut bytes[known.len()..]);
        for (arg, at, descriptor) in operands.inner.iter().filter(|inner| inner.0 as usize == i) {
            debug_assert!(*arg as usize == i);
            let size = spec.args[i].kind.field_size(*at);
            let real = i64::from(descriptor.real.get()).to_le_bytes();
            if let Some(place) = bytes.get_mut(*at as usize..*at as usize + size) {
                place.copy_from_slice(&real[..size]);
            }
        }
        self.values[i] = buffer.address();
        self.buffers[i] = Some(buffer);
        Ok(())
    }

    /// Copies the data of an array of input buffers into one buffer, and builds the array that
    /// points into it.
    fn add_iovecs_in(
        &mut self,
        call: &Call,
        i: usize,
        count: usize,
        scratch: &mut Scratch,
    ) -> Result<(), TranslateError> {
        let mut lengths = lengths(call, i, call.args[count] as usize);
        let moved = call.ret.max(0) as usize;
        if call.errno().is_some() || lengths.is_empty() {
            lengths = vec![
                usize::from(call.args[count] != 0);
                (call.args[count] as usize).min(MAX_IOVECS)
            ];
        } else {
            limit_total(&mut lengths, moved);
        }
        let total = lengths.iter().sum::<usize>();
        let buffer = scratch.alloc(total).ok_or(TranslateError::Size)?;
        copy_data(call, i, scratch.bytes_mut(buffer));
        let mut at = buffer.address();
        let mut list = Vec::with_capacity(lengths.len());
        for len in lengths {
            list.push((at, len));
            at += len;
        }
        self.add_iovec_list(i, count, call, &list, scratch)
    }

    /// Allocates an output buffer for each recorded one, and builds the array that points to them.
    /// With `cut`, all together have only as many bytes as the call returned.
    fn add_iovecs_out(
        &mut self,
        call: &Call,
        i: usize,
        count: usize,
        cut: bool,
        scratch: &mut Scratch,
    ) -> Result<(), TranslateError> {
        let mut lengths = lengths(call, i, call.args[count] as usize);
        if lengths.is_empty() {
            lengths = vec![
                usize::from(call.args[count] != 0);
                (call.args[count] as usize).min(MAX_IOVECS)
            ];
        }
        let moved = (call.ret.max(0) as usize).min(MAX_RW_COUNT);
        limit_total(
            &mut lengths,
            if cut { moved } else { moved.next_multiple_of(4096) + READ_SLACK },
        );
        let mut list = Vec::with_capacity(lengths.len());
        for len in lengths {
            let buffer = scratch.alloc(len).ok_or(TranslateError::Size)?;
            list.push((buffer.address(), len));
            self.iovec_buffers.push(buffer);
        }
        self.iovec_argument = i;
        self.add_iovec_list(i, count, call, &list, scratch)
    }

    /// Builds an array of `struct iovec` from addresses and lengths, and passes its address as
    /// argument `i`.
    fn add_iovec_list(
        &mut self,
        i: usize,
        count: usize,
        call: &Call,
        list: &[(usize, usize)],
        scratch: &mut Scratch,
    ) -> Result<(), TranslateError> {
        let buffer = scratch.alloc(list.len() * 16).ok_or(TranslateError::Size)?;
        for ((address, len), place) in
            list.iter().zip(scratch.bytes_mut(buffer).chunks_exact_mut(16))
        {
            place[..8].copy_from_slice(&address.to_ne_bytes());
            place[8..].copy_from_slice(&len.to_ne_bytes());
        }
        self.values[i] = buffer.address();
        // A count that no kernel takes is passed on: it is refused before the list is read.
        if call.args[count] as usize <= MAX_IOVECS {
            self.values[count] = list.len();
        }
        Ok(())
    }
}

/// Returns the string of argument `i` as it is passed here: with its path replaced, if it leads
/// through procfs or another view of mounts.
pub(super) fn string<'a>(call: &'a Call, operands: &'a Operands<RealFd>, i: usize) -> &'a [u8] {
    let through = operands.through[i].as_ref();
    match (&operands.paths[i], through) {
        (Some(path), Some(_)) => path,
        _ => string_payload(call, i).unwrap_or_default(),
    }
}

/// Copies the captured data of argument `i` into `bytes`. What was not captured becomes zeros.
fn copy_data(call: &Call, i: usize, bytes: &mut [u8]) {
    let mut at = 0;
    for payload in
        call.payloads.iter().filter(|p| p.arg as usize == i && p.kind == PayloadKind::Data)
    {
        let n = payload.bytes.len().min(bytes.len() - at);
        bytes[at..at + n].copy_from_slice(&payload.bytes.as_slice()[..n]);
        at += n;
        if is_cut(payload) {
            break;
        }
    }
    zeroed(&mut bytes[at..]);
}

/// Returns whether less was captured than the call used.
fn is_cut(payload: &Payload) -> bool {
    (payload.bytes.len() as u64) < payload.len
}

/// Clears an output buffer, as far as its content is compared.
pub(super) fn zero_buffer(bytes: &mut [u8]) {
    let stale = bytes.len().min(READ_SLACK);
    zeroed(&mut bytes[..stale]);
}

/// Clears bytes that may hold data of an earlier call, without touching pages that are zero
/// already.
fn zeroed(bytes: &mut [u8]) {
    // Larger rooms are mappings of their own and fresh.
    if bytes.len() > MAX_LIST_BYTES {
        return;
    }
    for page in bytes.chunks_mut(4096) {
        if page.iter().any(|b| *b != 0) {
            page.fill(0);
        }
    }
}

/// Returns the lengths of the recorded buffers in an array of `struct iovec`.
fn lengths(call: &Call, i: usize, count: usize) -> Vec<usize> {
    let bytes = call.payload(i as u8, PayloadKind::Iovecs).map_or(&[][..], |p| p.bytes.as_slice());
    let length = |v: &[u8]| {
        usize::try_from(u64::from_le_bytes(v[8..16].try_into().expect("eight bytes")))
            .unwrap_or(usize::MAX)
            .min(MAX_RW_COUNT)
    };
    bytes.chunks_exact(16).take(count.min(MAX_IOVECS)).map(length).collect()
}

/// Shortens the last lengths so that their sum is at most `total`.
fn limit_total(lengths: &mut [usize], total: usize) {
    let mut left = total;
    for len in lengths {
        *len = (*len).min(left);
        left -= *len;
    }
}

/// The width of the descriptor at byte `at` of a struct that goes in.
trait FieldSize {
    fn field_size(&self, at: u32) -> usize;
}

impl FieldSize for Kind {
    /// Returns the size of the descriptor field at offset `at` of a struct.
    fn field_size(&self, at: u32) -> usize {
        match self {
            Kind::In(_, layout) | Kind::InOut(_, layout) => {
                layout.fields.iter().find(|f| f.at == at).map_or(4, |f| usize::from(f.size.min(8)))
            }
            _ => 4,
        }
    }
}
