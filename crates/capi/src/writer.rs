//! Writing a trace.

#![allow(non_camel_case_types, reason = "C's names")]

use crate::error::{catch_errors, ra_error};
use crate::handles::Handles;
use crate::ra_trace;
use ::import::{Fork, Origin};
use ::import::{Import, ImportedCall};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::slice;
use trace::RecordingInfo;
use trace::error::chain;
use trace::record::PayloadKind;

/// What is known of a recording as a whole. Zeros and nulls are what is not known.
#[repr(C)]
pub struct ra_about {
    /// The tracer's name.
    pub tracer: *const c_char,
    /// The working directory of the first thread, absolute.
    pub directory: *const c_char,
    /// When it began: nanoseconds since 1970, as all times here.
    pub began: u64,
}

/// Data that the call moved: as many as its result says.
pub const RA_DATA: u8 = 0;
/// A struct or other bytes.
pub const RA_BYTES: u8 = 1;
/// A string, a path: without its NUL.
pub const RA_STRING: u8 = 2;
/// Strings, each with its NUL (argv).
pub const RA_STRINGS: u8 = 3;
/// `struct iovec[]`, as it stood in memory.
pub const RA_IOVECS: u8 = 4;

/// Memory that an argument led to.
#[repr(C)]
pub struct ra_piece {
    /// The argument, from 0.
    pub arg: u8,
    /// RA_DATA, RA_BYTES, RA_STRING, RA_STRINGS, RA_IOVECS.
    pub kind: u8,
    /// As it was after the call, else before it.
    pub after: bool,
    /// The bytes.
    pub bytes: *const c_void,
    /// How many.
    pub len: usize,
    /// How many there were, if more than these; else 0.
    pub wanted: u64,
}

/// A system call.
#[repr(C)]
pub struct ra_call {
    /// Its name, as in the kernel's table ("pread64"); null: by its number.
    pub name: *const c_char,
    /// Its number on x86-64, if it has no name.
    pub number: u32,
    /// The thread that made it.
    pub tid: u32,
    /// When it was entered: nanoseconds since 1970.
    pub entered: u64,
    /// When it returned; 0: it did not.
    pub returned: u64,
    /// Its result as the kernel gives it: a negative errno if it failed.
    pub result: i64,
    /// Its arguments, as in the registers.
    pub args: [u64; 6],
    /// What they led to.
    pub pieces: *const ra_piece,
    /// How many.
    pub n_pieces: usize,
}

struct OpenWriter {
    import: Import,
    open: HashMap<u64, ImportedCall>,
    next: u64,
}

static WRITERS: Handles<OpenWriter> = Handles::new("written");

/// # Safety
/// `text` is null, or ends with a NUL.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: as above.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Begins a trace: the directory `path`, which must not exist. `*trace` is its number.
///
/// # Safety
/// `path` and the texts of `about` end with a NUL; `about` may be null; `trace` leads to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_create(
    path: *const c_char,
    about: *const ra_about,
    trace: *mut ra_trace,
) -> *mut ra_error {
    catch_errors(|| {
        // SAFETY: the caller's pointers lead to what they say.
        let (path, about, trace) = unsafe { (text(path), about.as_ref(), trace.as_mut()) };
        let (Some(path), Some(trace)) = (path, trace) else {
            return Err("ra_create needs a path and a place for the trace's number".to_owned());
        };
        let of = |field: fn(&ra_about) -> *const c_char| {
            // SAFETY: the texts end with a NUL.
            about.and_then(|a| unsafe { text(field(a)) }).map(CStr::to_bytes)
        };
        let engine =
            String::from_utf8_lossy(of(|a| a.tracer).unwrap_or(b"libreanimator")).into_owned();
        let known = RecordingInfo {
            engine,
            data: "all".to_owned(),
            machine: "x86_64".to_owned(),
            began: about.map_or(0, |a| a.began),
            ..RecordingInfo::default()
        };
        let origin = Origin {
            about: known,
            directory: of(|a| a.directory).map(<[u8]>::to_vec),
            forks: Default::default(),
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
        let import = Import::new(path, origin).map_err(|e| chain(&e))?;
        *trace = WRITERS.add(OpenWriter { import, open: HashMap::new(), next: 1 });
        Ok(())
    })
}

/// Thread `tid` begins, made by `parent` with these flags of clone(2). Threads that are not told of
/// are there from their first call.
#[unsafe(no_mangle)]
pub extern "C" fn ra_thread(
    trace: ra_trace,
    tid: u32,
    parent: u32,
    flags: u64,
    time: u64,
) -> *mut ra_error {
    catch_errors(|| {
        WRITERS.with(trace, |w| {
            w.import.add_fork(tid, Fork { parent, flags, time }).map_err(|e| chain(&e))
        })
    })
}

/// Descriptor `fd` of thread `tid` was open when the recording began, on `path`, with these flags
/// of open(2).
///
/// # Safety
/// `path` ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_descriptor(
    trace: ra_trace,
    tid: u32,
    fd: i32,
    path: *const c_char,
    flags: u32,
    time: u64,
) -> *mut ra_error {
    catch_errors(|| {
        // SAFETY: it ends with a NUL.
        let path = unsafe { text(path) }.ok_or("ra_descriptor needs a path")?;
        WRITERS.with(trace, |w| {
            w.import
                .add_open_descriptor(tid, time, fd, path.to_bytes(), flags)
                .map_err(|e| chain(&e))
        })
    })
}

/// Thread `tid` ended with this wait status.
#[unsafe(no_mangle)]
pub extern "C" fn ra_exit(trace: ra_trace, tid: u32, status: u64, time: u64) -> *mut ra_error {
    catch_errors(|| {
        WRITERS.with(trace, |w| w.import.add_exit(tid, time, status).map_err(|e| chain(&e)))
    })
}

/// A signal reached thread `tid`.
#[unsafe(no_mangle)]
pub extern "C" fn ra_signal(trace: ra_trace, tid: u32, signal: u64, time: u64) -> *mut ra_error {
    catch_errors(|| {
        WRITERS.with(trace, |w| w.import.add_signal(tid, time, signal).map_err(|e| chain(&e)))
    })
}

/// Adds the memory that the arguments of a call led to.
///
/// # Safety
/// The pieces lead to `n` pieces, and each to its bytes.
unsafe fn add_pieces(
    imported: &mut ImportedCall,
    pieces: *const ra_piece,
    n: usize,
) -> Result<(), String> {
    if n == 0 {
        return Ok(());
    }
    if pieces.is_null() || n > 4096 {
        return Err(format!("{n} pieces, and nothing where they should be"));
    }
    // SAFETY: as above.
    for p in unsafe { slice::from_raw_parts(pieces, n) } {
        let kind = PayloadKind::from_number(p.kind)
            .filter(|k| *k as u8 <= RA_IOVECS)
            .ok_or_else(|| format!("{} is no kind of piece", p.kind))?;
        if usize::from(p.arg) >= imported.row.spec.args.len() {
            return Err(format!("{} has no argument {}", imported.row.name(), p.arg));
        }
        if p.bytes.is_null() && p.len > 0 || p.len > isize::MAX as usize {
            return Err(format!("{} bytes at null for argument {}", p.len, p.arg));
        }
        let bytes = if p.len == 0 {
            &[][..]
        } else {
            // SAFETY: as above.
            unsafe { slice::from_raw_parts(p.bytes.cast(), p.len) }
        };
        imported.add_payload(
            p.arg.into(),
            kind,
            p.after || kind == PayloadKind::Data,
            bytes,
            p.wanted.max(p.len as u64),
        );
    }
    Ok(())
}

/// Copies a call of the C program. Fails if its name or its number is unknown.
///
/// # Safety
/// What `call` points to is there.
unsafe fn import_call(call: *const ra_call) -> Result<ImportedCall, String> {
    // SAFETY: as above.
    let call = unsafe { call.as_ref() }.ok_or("there is no call at null")?;
    // SAFETY: as above.
    let name = match unsafe { text(call.name) } {
        Some(name) => name.to_str().map_err(|_| "a call's name is no text".to_owned())?,
        None => abi::by_number(call.number)
            .ok_or_else(|| format!("no system call has the number {}", call.number))?
            .name(),
    };
    let mut imported = ImportedCall::new(name, call.tid, call.entered)
        .ok_or_else(|| format!("unknown system call {name:?}"))?;
    imported.call.args = call.args;
    if call.returned != 0 {
        imported.set_returned(call.returned, call.result);
    }
    // SAFETY: as above.
    unsafe { add_pieces(&mut imported, call.pieces, call.n_pieces)? };
    Ok(imported)
}

/// Adds a whole call. Calls of all threads come in the order in which they returned, as nearly as
/// may be; any thread may bring them.
///
/// # Safety
/// `call` and all that it points to are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_add(trace: ra_trace, call: *const ra_call) -> *mut ra_error {
    catch_errors(|| {
        // SAFETY: the caller's pointers lead to what they say.
        let imported = unsafe { import_call(call)? };
        WRITERS.with(trace, |w| w.import.add_call(imported).map_err(|e| chain(&e)))
    })
}

/// A call is entered: `*token` names it until ra_leave(). What the call's result and time of return
/// are, ra_leave() says.
///
/// # Safety
/// `call` and all that it points to are there; `token` leads to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_enter(
    trace: ra_trace,
    call: *const ra_call,
    token: *mut u64,
) -> *mut ra_error {
    catch_errors(|| {
        // SAFETY: the caller's pointers lead to what they say.
        let (imported, token) = unsafe { (import_call(call)?, token.as_mut()) };
        let token = token.ok_or("ra_enter needs a place for the token")?;
        WRITERS.with(trace, |w| {
            *token = w.next;
            w.next += 1;
            w.open.insert(*token, imported);
            Ok(())
        })
    })
}

/// The call with this token returned; `more` pieces tell what its arguments led to then. Any thread
/// may say so.
///
/// # Safety
/// `more` leads to `n_more` pieces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_leave(
    trace: ra_trace,
    token: u64,
    returned: u64,
    result: i64,
    more: *const ra_piece,
    n_more: usize,
) -> *mut ra_error {
    catch_errors(|| {
        WRITERS.with(trace, |w| {
            let mut call = w
                .open
                .remove(&token)
                .ok_or_else(|| format!("no call with token {token} is under way"))?;
            call.set_returned(returned, result);
            // SAFETY: as the caller says.
            unsafe { add_pieces(&mut call, more, n_more)? };
            w.import.add_call(call).map_err(|e| chain(&e))
        })
    })
}

/// Ends a thread's calls and makes the trace whole and durable; its number means nothing then.
/// Calls that were entered and did not return are kept as such.
#[unsafe(no_mangle)]
pub extern "C" fn ra_finish(trace: ra_trace) -> *mut ra_error {
    catch_errors(|| {
        let OpenWriter { mut import, open, .. } = WRITERS.take(trace)?;
        let mut open: Vec<(u64, ImportedCall)> = open.into_iter().collect();
        open.sort_unstable_by_key(|(token, _)| *token);
        open.into_iter().try_for_each(|(_, call)| import.add_call(call)).map_err(|e| chain(&e))?;
        import.finish(true, &mut |_, _| {}).map(drop).map_err(|e| chain(&e))
    })
}
