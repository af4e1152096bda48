//! A call that another tool recorded, built argument by argument.

use abi::Row;
use trace::Buffer;
use trace::record::{AT_EXIT, CUT, NO_EXIT, PayloadKind};
use trace::{Call, Payload};

/// A call under construction.
#[derive(Clone, Debug)]
pub struct ImportedCall {
    /// Its row in the table.
    pub row: &'static Row,
    /// The call. What is not known of it is zero.
    pub call: Call,
}

/// The value of a pointer argument whose address the other tool does not show. It is not null, as
/// null means that no pointer was passed.
pub const UNKNOWN_ADDRESS: u64 = 0x1000;

impl ImportedCall {
    /// Begins the call `name` by thread `tid`, which entered it at this time. Returns `None` if the
    /// table has no such call.
    pub fn new(name: &str, tid: u32, entered: u64) -> Option<Self> {
        Some(Self::from_row(abi::by_name(name)?, tid, entered))
    }

    /// Begins a call by its row in the table.
    pub fn from_row(row: &'static Row, tid: u32, entered: u64) -> Self {
        let call = Call {
            seq: 0,
            entered,
            exited: None,
            pid: tid,
            tid,
            nr: row.number,
            flags: NO_EXIT,
            args: [0; 6],
            ret: 0,
            fd_snapshot: Default::default(),
            payloads: Vec::new(),
        };
        Self { row, call }
    }

    /// Sets the time of the return, and the result: a negative errno if the call failed.
    pub fn set_returned(&mut self, exited: u64, ret: i64) {
        self.call.exited = Some(exited.max(self.call.entered));
        self.call.ret = ret;
        self.call.flags &= !NO_EXIT;
    }

    /// Sets argument `arg` to a number. Does nothing if there is no such argument.
    pub fn set_number(&mut self, arg: usize, value: u64) {
        if let Some(argument) = self.call.args.get_mut(arg) {
            *argument = value;
        }
    }

    /// Sets argument `arg` to a pointer whose address is unknown.
    pub fn set_unknown_pointer(&mut self, arg: usize) {
        self.set_number(arg, UNKNOWN_ADDRESS);
    }

    /// Sets argument `arg` as [`Self::set_unknown_pointer`] does, but keeps an address that is
    /// known.
    pub fn set_pointer_if_null(&mut self, arg: usize) {
        if self.call.args.get(arg) == Some(&0) {
            self.set_unknown_pointer(arg);
        }
    }

    /// Adds what argument `arg` points to: `bytes`, which are the first of `wanted` bytes.
    pub fn add_payload(
        &mut self,
        arg: usize,
        kind: PayloadKind,
        at_exit: bool,
        bytes: &[u8],
        wanted: u64,
    ) {
        self.set_pointer_if_null(arg);
        let cut = if wanted > bytes.len() as u64 { CUT } else { 0 };
        let flags = cut | if at_exit { AT_EXIT } else { 0 };
        let wanted = wanted.max(bytes.len() as u64);
        self.call.payloads.push(Payload {
            arg: arg as u8,
            kind,
            flags,
            len: bytes.len() as u64,
            wanted,
            bytes: Buffer::from_slice_ref(bytes),
        });
    }

    /// Adds a path or another string, without its NUL.
    pub fn add_string(&mut self, arg: usize, text: &[u8]) {
        self.add_payload(arg, PayloadKind::String, false, text, text.len() as u64);
    }

    /// Adds data that the call read or wrote: `bytes`, which are the first of `wanted` bytes. Adds
    /// nothing if `wanted` is 0.
    pub fn add_data(&mut self, arg: usize, bytes: &[u8], wanted: u64) {
        self.set_pointer_if_null(arg);
        if wanted == 0 {
            return;
        }
        self.add_payload(arg, PayloadKind::Data, true, bytes, wanted);
    }
}
