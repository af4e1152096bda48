//! A call that is translated beforehand, with all that it needs but a descriptor and the room for
//! what comes back.
//!
//! It is no second way of translating: it holds what [`Translation`] made of the kinds, where that
//! leaves no more open than these two and strings.

use crate::issue::arguments::{Deferred, TranslateError, Translation, string, zero_buffer};
use crate::issue::ring::Entry;
use crate::issue::scratch::ScratchBuffer;
use crate::issue::{RealFd, Scratch, raw};
use crate::verify::{RecordedBytes, output_payloads};
use abi::{CallSpec, OPERATIONS, SqeWord};
use model::processes::Operands;
use trace::Buffer;
use trace::record::PayloadKind;
use trace::{Call, Payload};

const NONE: u8 = u8::MAX;

pub(crate) struct TranslatedCall {
    nr: syscalls::Sysno,
    values: [usize; 6],
    /// The argument that is a descriptor.
    fd: u8,
    /// The argument that is room for what comes back,
    buffer: u8,
    /// which must not hold what an earlier call left,
    zeroed: bool,
    /// and how much.
    len: u32,
    /// The recorded data: they go in, or are what should come back.
    data: Option<Buffer>,
    /// They are all that there were.
    complete: bool,
    /// The flags with which it was submitted, if it is an operation of io_uring,
    flags: u8,
    /// and the number of its row after [`OPERATIONS`]; `u16::MAX` if it is a system call.
    operation: u16,
}

impl TranslatedCall {
    /// Translates a call that can be performed from its registers and one buffer. Returns it with
    /// the strings that it points to, which must be kept with it, or `None` for other calls.
    /// `compared` is whether its output will be compared; `unseen_writes` is whether the file is
    /// written through a mapping.
    pub fn of(
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<RealFd>,
        compared: bool,
        unseen_writes: bool,
    ) -> Option<(Self, Box<[u8]>)> {
        let Translation { nr, values, deferred, in_procfs, .. } =
            Translation::of(call, spec, operands).ok()?;
        if in_procfs {
            return None;
        }
        let mut this = Self {
            nr,
            values,
            fd: NONE,
            buffer: NONE,
            zeroed: false,
            len: 0,
            data: None,
            complete: true,
            flags: call.sqe_word().map_or(0, SqeWord::flags),
            operation: call
                .nr
                .checked_sub(OPERATIONS)
                .and_then(|number| u16::try_from(number).ok())
                .unwrap_or(u16::MAX),
        };
        let mut strings = Vec::new();
        for (i, hole) in deferred.into_iter().enumerate() {
            match hole {
                Deferred::None => {}
                Deferred::RealFd if this.fd == NONE => this.fd = i as u8,
                Deferred::Recorded if this.data.is_none() && this.buffer == NONE => {
                    this.keep_data(
                        call.payloads
                            .iter()
                            .find(|p| usize::from(p.arg) == i && p.kind == PayloadKind::Data)?,
                    );
                }
                Deferred::Buffer { len, zeroed } if this.data.is_none() && this.buffer == NONE => {
                    (this.buffer, this.zeroed, this.len) =
                        (i as u8, zeroed, u32::try_from(len).ok()?);
                    let mut data = output_payloads(call, i, false);
                    let payload = match zeroed {
                        true => output_payloads(call, i, true).next(),
                        false => data.next().filter(|_| !unseen_writes),
                    };
                    payload
                        .filter(|_| compared)
                        .into_iter()
                        .for_each(|payload| this.keep_data(payload));
                    if data.next().is_some() {
                        return None;
                    }
                }
                Deferred::String => {
                    this.values[i] = strings.len();
                    strings.extend_from_slice(string(call, operands, i));
                    strings.push(0);
                }
                _ => return None,
            }
        }
        let strings = strings.into_boxed_slice();
        for (i, _) in deferred.iter().enumerate().filter(|(_, hole)| **hole == Deferred::String) {
            this.values[i] += strings.as_ptr() as usize;
        }
        Some((this, strings))
    }

    /// Keeps the recorded output, to compare it with what comes back.
    fn keep_data(&mut self, payload: &Payload) {
        (self.data, self.complete) =
            (Some(payload.bytes.clone()), RecordedBytes::from(payload).complete);
    }

    /// Returns the index of the argument that is a descriptor.
    pub fn descriptor(&self) -> Option<usize> {
        (self.fd != NONE).then_some(usize::from(self.fd))
    }

    /// Returns the index of the argument that is an output buffer.
    pub fn buffer(&self) -> usize {
        usize::from(self.buffer)
    }

    /// Returns the recorded output that is kept for the comparison.
    pub fn data(&self) -> Option<RecordedBytes<'_>> {
        self.data
            .as_ref()
            .map(|bytes| RecordedBytes { bytes: bytes.as_slice(), complete: self.complete })
    }

    /// Performs the call with the real descriptor. Returns the result, or a negative errno, and the
    /// buffer with the output.
    #[inline(always)]
    pub fn perform(
        &self,
        real: i32,
        scratch: &mut Scratch,
    ) -> Result<(i64, Option<ScratchBuffer>), TranslateError> {
        let (values, buffer) = self.fill(real, scratch)?;
        Ok((raw::perform(self.nr, values), buffer))
    }

    /// Returns the entry by which a ring performs it, and the buffer for the output. Returns `None`
    /// if it is no operation of a ring.
    pub fn entry(
        &self,
        real: i32,
        scratch: &mut Scratch,
    ) -> Option<(Entry, Option<ScratchBuffer>)> {
        let number = OPERATIONS + u32::from(self.operation);
        let operation = abi::by_number(number)?.operation?;
        let (values, buffer) = self.fill(real, scratch).ok()?;
        Some((Entry::new(number, &operation, self.flags, &values), buffer))
    }

    /// Returns the arguments with the real descriptor, and the buffer for the output.
    #[inline(always)]
    fn fill(
        &self,
        real: i32,
        scratch: &mut Scratch,
    ) -> Result<([usize; 6], Option<ScratchBuffer>), TranslateError> {
        let mut values = self.values;
        if let Some(value) = values.get_mut(usize::from(self.fd)) {
            *value = real as isize as usize;
        }
        let mut buffer = None;
        if let Some(value) = values.get_mut(usize::from(self.buffer)) {
            let taken = scratch.alloc(self.len as usize).ok_or(TranslateError::Size)?;
            if self.zeroed {
                zero_buffer(scratch.bytes_mut(taken));
            }
            *value = taken.address();
            buffer = Some(taken);
        }
        Ok((values, buffer))
    }
}
