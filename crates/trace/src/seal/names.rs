//! The columns that people ask for: the call's name, the file behind a descriptor, absolute paths,
//! the offset. Derived from what is stored losslessly beside them.
//!
//! Inference goes on window by window, with the rows and events of a window in the order of time. A
//! call whose window ended before it returned is late, and meets the processes as they are when its
//! own window begins: of such a call the file is right as long as its descriptor was not used again
//! meanwhile.

use super::window::Row;
use crate::call::payloads::{DataBytes, payloads};
use crate::call::{Call, Event, Item};
use crate::format::record::{COMPAT, Header, NO_EXIT, NOT_MADE};
use crate::semantics::Inference;
use abi::{Ret, Shape};
use ahash::HashMap;
use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::Buffer;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What is derived for one row. Texts are numbers in the window's table of texts.
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

/// The answers about a window's rows.
pub(super) struct DerivedColumns {
    rows: Vec<Derived>,
    texts: ArrayRef,
}

/// Those about some of them.
pub(super) struct DerivedPart<'a> {
    pub rows: &'a [Derived],
    pub texts: &'a ArrayRef,
}

impl DerivedColumns {
    pub fn part(&self, range: Range<usize>) -> DerivedPart<'_> {
        DerivedPart { rows: &self.rows[range], texts: &self.texts }
    }
}

#[derive(Default)]
struct Texts {
    numbers: HashMap<Box<[u8]>, u32>,
    texts: Vec<String>,
    bytes: usize,
}

/// Texts are cut after so many bytes,
const LONG: usize = 4 * 4096;
/// and after so many once a window's texts have this many together: calls of a few bytes in a deep
/// directory have long names, each.
const SHORT: usize = 256;
const MANY: usize = 64 << 20;

impl Texts {
    fn number(&mut self, bytes: &[u8]) -> u32 {
        let most = if self.bytes < MANY { LONG } else { SHORT };
        let bytes = &bytes[..bytes.len().min(most)];
        if let Some(n) = self.numbers.get(bytes) {
            return *n;
        }
        let n = self.texts.len() as u32;
        self.texts.push(crate::format::text::escape(bytes));
        self.numbers.insert(bytes.into(), n);
        self.bytes += bytes.len();
        n
    }
}

/// The answers about `rows`, which are in the order of entry; `events` happened meanwhile.
pub(super) fn derive(
    inference: &mut dyn Inference,
    rows: &[Row],
    arena: &Buffer,
    mut events: Vec<Event>,
) -> DerivedColumns {
    events.sort_by_key(|e| e.time);
    let mut derived: Vec<Derived> = rows.iter().map(|r| plain(&r.header)).collect();
    let mut texts = Texts::default();
    inference.columns(&mut items(rows, arena, events), &mut |row, found| {
        let row_derived = &mut derived[row as usize];
        row_derived.file = found.file.map(|path| texts.number(path));
        for (slot, path) in row_derived.paths.iter_mut().zip(&found.paths) {
            *slot = path.as_deref().map(|path| texts.number(path));
        }
        row_derived.offset = found.offset.map(|o| o as i64);
    });
    DerivedColumns { rows: derived, texts: Arc::new(StringArray::from(texts.texts)) }
}

/// Rows and events in the order of time; a call bears its row's number.
fn items(rows: &[Row], arena: &Buffer, events: Vec<Event>) -> impl Iterator<Item = Item> {
    let mut events = events.into_iter().peekable();
    let mut rows = rows.iter().enumerate().peekable();
    std::iter::from_fn(move || {
        let time = rows.peek().map(|(_, r)| r.header.entered);
        if let Some(event) = events.next_if(|e| time.is_none_or(|t| e.time <= t)) {
            return Some(Item::Event(event));
        }
        let (i, row) = rows.next()?;
        let h = &row.header;
        let cell = arena.slice_with_length(row.payloads.0 as usize, row.payloads.1 as usize);
        let left = (h.flags & NO_EXIT == 0).then_some(h.left);
        let payloads = payloads(&cell, DataBytes::NotRead).unwrap_or_default();
        Some(Item::Call(Call {
            seq: i as u64,
            entered: h.entered,
            left,
            pid: h.pid,
            tid: h.tid,
            nr: h.nr,
            flags: h.flags,
            args: h.args,
            ret: h.ret,
            fd_snapshot: h.fd_snapshot,
            payloads,
        }))
    })
}

/// What needs no world.
fn plain(header: &Header) -> Derived {
    let returned = header.flags & NO_EXIT == 0;
    let made = header.flags & NOT_MADE == 0;
    let errno = abi::errno_of(header.ret).filter(|_| returned);
    let error = errno.map(|errno| abi::errno_name(errno).unwrap_or("unknown"));
    let known = if header.flags & COMPAT == 0 { abi::by_number(header.nr) } else { None };
    let Some(known) = known else {
        let compat = if header.flags & COMPAT == 0 { "" } else { "compat_" };
        return Derived {
            call: format!("{compat}syscall_{}", header.nr).into(),
            error,
            ..Derived::default()
        };
    };
    let shape = known.shape(&header.args);
    Derived {
        call: known.name().into(),
        variant: (shape.name != known.name()).then_some(shape.name),
        error,
        fd: descriptor(header, shape),
        bytes: (shape.ret == Ret::Bytes && made && returned && header.ret >= 0)
            .then_some(header.ret),
        ..Derived::default()
    }
}

/// The first descriptor among the arguments, else the one that the call returned.
fn descriptor(header: &Header, shape: &Shape) -> Option<i32> {
    let argument = shape.uses.fd.map(|i| header.args[usize::from(i)] as i32);
    argument.or_else(|| {
        (shape.ret == Ret::Fd && header.flags & NO_EXIT == 0 && header.ret >= 0)
            .then_some(header.ret as i32)
    })
}
