//! Derives the columns that people query: the name of the call, the file behind a descriptor,
//! absolute paths, the offset. All of it follows from columns that are stored without loss.
//!
//! Inference proceeds window by window, with the calls and events of a window in the order of time.
//! A call that returned after its window was written is late. For such a call the inference uses
//! the state of the processes at the beginning of the window that holds it, so that its file is
//! right unless its descriptor was reused in between.

use super::window::Row;
use crate::call::payloads::{DataBytes, parse_payloads};
use crate::call::{Call, Event, Item};
use crate::format::record::{COMPAT, Header, NO_EXIT, NOT_EXECUTED};
use crate::semantics::Inference;
use abi::{CallSpec, Ret};
use ahash::HashMap;
use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::Buffer;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// The derived columns of one row. A `u32` is the index of a text in the table of texts.
#[derive(Default)]
pub(super) struct Derived {
    pub call: Cow<'static, str>,
    pub variant: Option<&'static str>,
    pub error: Option<&'static str>,
    pub fd: Option<i32>,
    pub file: Option<u32>,
    pub paths: [Option<u32>; 2],
    pub offset: Option<i64>,
    pub bytes: Option<i64>,
}

/// The derived columns of the rows of a window.
pub(super) struct DerivedColumns {
    rows: Vec<Derived>,
    texts: ArrayRef,
}

/// The derived columns of some rows of a window.
pub(super) struct DerivedPart<'a> {
    pub rows: &'a [Derived],
    pub texts: &'a ArrayRef,
}

impl DerivedColumns {
    /// Returns the derived columns of the rows in `range`.
    pub fn part(&self, range: Range<usize>) -> DerivedPart<'_> {
        DerivedPart { rows: &self.rows[range], texts: &self.texts }
    }
}

/// A table of distinct texts.
#[derive(Default)]
struct Texts {
    /// The index of each text in `texts`, by the bytes that it stands for.
    indices: HashMap<Box<[u8]>, u32>,
    texts: Vec<String>,
    /// The number of bytes of all texts, before escaping.
    bytes: usize,
}

/// A text is shortened to this many bytes,
const MAX_TEXT_BYTES: usize = 4 * 4096;
/// or to this many once the texts of the window have `MANY_BYTES` bytes: short calls in a deep
/// directory could otherwise have long names, each a different one.
const MAX_TEXT_BYTES_WHEN_MANY: usize = 256;
const MANY_BYTES: usize = 64 << 20;

impl Texts {
    /// Returns the index of the text for `bytes`, which is added if it is new.
    fn index_of(&mut self, bytes: &[u8]) -> u32 {
        let limit = if self.bytes < MANY_BYTES { MAX_TEXT_BYTES } else { MAX_TEXT_BYTES_WHEN_MANY };
        let bytes = &bytes[..bytes.len().min(limit)];
        if let Some(index) = self.indices.get(bytes) {
            return *index;
        }
        let index = self.texts.len() as u32;
        self.texts.push(crate::format::text::escape(bytes));
        self.indices.insert(bytes.into(), index);
        self.bytes += bytes.len();
        index
    }
}

/// Derives the columns of `rows`, which are in the order of entry. `events` are those of the same
/// window.
pub(super) fn derive(
    inference: &mut dyn Inference,
    rows: &[Row],
    payload_bytes: &Buffer,
    mut events: Vec<Event>,
) -> DerivedColumns {
    events.sort_by_key(|e| e.time);
    let mut derived: Vec<Derived> = rows.iter().map(|r| derive_from_header(&r.header)).collect();
    let mut texts = Texts::default();
    inference.derive_columns(
        &mut items_in_order(rows, payload_bytes, events),
        &mut |row, columns| {
            let row_derived = &mut derived[row as usize];
            row_derived.file = columns.file.map(|path| texts.index_of(path));
            for (slot, path) in row_derived.paths.iter_mut().zip(&columns.paths) {
                *slot = path.as_deref().map(|path| texts.index_of(path));
            }
            row_derived.offset = columns.offset.map(|o| o as i64);
        },
    );
    DerivedColumns { rows: derived, texts: Arc::new(StringArray::from(texts.texts)) }
}

/// Returns the calls and events of a window in the order of time. The `seq` of a call is the index
/// of its row. Payloads have no data.
fn items_in_order(
    rows: &[Row],
    payload_bytes: &Buffer,
    events: Vec<Event>,
) -> impl Iterator<Item = Item> {
    let mut events = events.into_iter().peekable();
    let mut rows = rows.iter().enumerate().peekable();
    std::iter::from_fn(move || {
        let time = rows.peek().map(|(_, r)| r.header.entered);
        if let Some(event) = events.next_if(|e| time.is_none_or(|t| e.time <= t)) {
            return Some(Item::Event(event));
        }
        let (index, row) = rows.next()?;
        let header = &row.header;
        let cell =
            payload_bytes.slice_with_length(row.payloads.0 as usize, row.payloads.1 as usize);
        let exited = (header.flags & NO_EXIT == 0).then_some(header.left);
        let payloads = parse_payloads(&cell, DataBytes::NotRead).unwrap_or_default();
        Some(Item::Call(Call {
            seq: index as u64,
            entered: header.entered,
            exited,
            pid: header.pid,
            tid: header.tid,
            nr: header.nr,
            flags: header.flags,
            args: header.args,
            ret: header.ret,
            fd_snapshot: header.fd_snapshot,
            payloads,
        }))
    })
}

/// Derives the columns that do not depend on earlier calls.
fn derive_from_header(header: &Header) -> Derived {
    let returned = header.flags & NO_EXIT == 0;
    let was_executed = header.flags & NOT_EXECUTED == 0;
    let errno = abi::errno_of(header.ret).filter(|_| returned);
    let error = errno.map(|errno| abi::errno_name(errno).unwrap_or("unknown"));
    let row = if header.flags & COMPAT == 0 { abi::by_number(header.nr) } else { None };
    let Some(row) = row else {
        let compat = if header.flags & COMPAT == 0 { "" } else { "compat_" };
        return Derived {
            call: format!("{compat}syscall_{}", header.nr).into(),
            error,
            ..Derived::default()
        };
    };
    let spec = row.spec(&header.args);
    Derived {
        call: row.name().into(),
        variant: (spec.name != row.name()).then_some(spec.name),
        error,
        fd: first_descriptor(header, spec),
        bytes: (spec.ret == Ret::Bytes && was_executed && returned && header.ret >= 0)
            .then_some(header.ret),
        ..Derived::default()
    }
}

/// Returns the first descriptor among the arguments, else the one that the call returned, else
/// `None`.
fn first_descriptor(header: &Header, spec: &CallSpec) -> Option<i32> {
    let argument = spec.uses.fd.map(|i| header.args[usize::from(i)] as i32);
    argument.or_else(|| {
        (spec.ret == Ret::Fd && header.flags & NO_EXIT == 0 && header.ret >= 0)
            .then_some(header.ret as i32)
    })
}
