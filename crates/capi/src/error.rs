//! Errors: values with a message.

#![allow(non_camel_case_types, reason = "C's names")]

use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// What went wrong. Free it with ra_error_free().
pub struct ra_error(CString);

/// The message of an error, in UTF-8: valid until the error is freed. Null gives an empty text.
///
/// # Safety
/// `error` is null or came from this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_error_message(error: *const ra_error) -> *const c_char {
    // SAFETY: as above.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |e| e.0.as_ptr())
}

/// Frees an error; null is nothing.
///
/// # Safety
/// `error` is null or came from this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ra_error_free(error: *mut ra_error) {
    if !error.is_null() {
        // SAFETY: it came out of a box, by `catch_errors`, and comes back once.
        drop(unsafe { Box::from_raw(error) });
    }
}

/// Runs `work`, which may fail or panic. Returns null, or the error.
pub(crate) fn catch_errors(work: impl FnOnce() -> Result<(), String>) -> *mut ra_error {
    let outcome = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("a mistake inside the library: please report it".to_owned()));
    match outcome {
        Ok(()) => ptr::null_mut(),
        Err(text) => Box::into_raw(Box::new(ra_error(
            CString::new(text.replace('\0', " ")).unwrap_or_default(),
        ))),
    }
}
