//! Reading a trace.

#![allow(non_camel_case_types, reason = "C's names")]

use crate::error::{catch_errors, ra_error};
use crate::handles::Handles;
use crate::ra_trace;
use crate::writer::{RA_IOVECS, ra_call, ra_piece};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use trace::error::chain;
use trace::record::AT_EXIT;
use trace::{Item, ReadOptions, Reader, Trace};

/// What a reader gives.
#[repr(C)]
pub struct ra_item {
    /// There was nothing more: all else means nothing.
    pub end: bool,
    /// The call's place in the trace.
    pub seq: u64,
    /// The process that made it.
    pub pid: u32,
    /// The call. Its name and its pieces are there until the next ra_next() or ra_close() of this
    /// trace.
    pub call: ra_call,
}

struct OpenReader {
    items: Reader,
    clock_offset: i64,
    /// What the last item points to.
    name: CString,
    call: Option<trace::Call>,
    pieces: Vec<ra_piece>,
}

// SAFETY: the pieces point into `call` beside them, which moves with them, and are not read here.
unsafe impl Send for OpenReader {}

static READERS: Handles<OpenReader> = Handles::new("read");

/// Opens a trace to read its calls in the order in which they were entered. `*trace` is its number.
///
/// # Safety
/// `path` ends with a NUL; `trace` leads to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_open(path: *const c_char, trace: *mut ra_trace) -> *mut ra_error {
    catch_errors(|| {
        if path.is_null() || trace.is_null() {
            return Err("ra_open needs a path and a place for the trace's number".to_owned());
        }
        // SAFETY: the caller's pointers lead to what they say.
        let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
        let opened = model::recover(path, &mut |_, _| {}).and_then(|_| Trace::open(path));
        let opened = opened.map_err(|e| chain(&e))?;
        let reading = OpenReader {
            items: opened.read(ReadOptions { data: true }),
            clock_offset: opened.recording_info().clock_offset,
            name: CString::default(),
            call: None,
            pieces: Vec::new(),
        };
        // SAFETY: as above.
        unsafe { *trace = READERS.add(reading) };
        Ok(())
    })
}

/// The next call; after the last, `item->end` is true.
///
/// # Safety
/// `item` leads to an item.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_next(trace: ra_trace, item: *mut ra_item) -> *mut ra_error {
    catch_errors(|| {
        // SAFETY: it leads to an item, whose bytes need mean nothing yet.
        let item = unsafe { item.as_mut() }.ok_or("ra_next needs a place for the item")?;
        READERS.with(trace, |r| {
            let call = loop {
                match r.items.next() {
                    Some(Ok(Item::Call(call))) => break call,
                    Some(Ok(Item::Event(_))) => {}
                    Some(Err(e)) => return Err(chain(&e)),
                    None => {
                        item.end = true;
                        return Ok(());
                    }
                }
            };
            let name = abi::by_number(call.nr)
                .map_or_else(|| format!("syscall_{}", call.nr), |row| row.name().to_owned());
            r.name = CString::new(name).unwrap_or_default();
            let call = r.call.insert(call);
            let exported = call.payloads.iter().filter(|p| p.kind as u8 <= RA_IOVECS);
            let piece = |p: &trace::Payload| ra_piece {
                arg: p.arg,
                kind: p.kind as u8,
                after: p.flags & AT_EXIT != 0,
                bytes: p.bytes.as_ptr().cast(),
                len: p.bytes.len(),
                wanted: p.wanted,
            };
            r.pieces = exported.map(piece).collect();
            let wall_time = |t: u64| t.saturating_add_signed(r.clock_offset);
            item.end = false;
            (item.seq, item.pid) = (call.seq, call.pid);
            item.call = ra_call {
                name: r.name.as_ptr(),
                number: call.nr,
                tid: call.tid,
                entered: wall_time(call.entered),
                returned: call.exited.filter(|_| call.result().is_some()).map_or(0, wall_time),
                result: call.ret,
                args: call.args,
                pieces: r.pieces.as_ptr(),
                n_pieces: r.pieces.len(),
            };
            Ok(())
        })
    })
}

/// Closes a trace that is read.
#[unsafe(no_mangle)]
pub extern "C" fn ra_close(trace: ra_trace) -> *mut ra_error {
    catch_errors(|| READERS.take(trace).map(drop))
}
