//! The C face of the trace library: `libreanimator`.
//!
//! Traces are numbers and not pointers, so that a closed or invalid one is an error. Every function
//! returns an error or null; no panic leaves this library. What callers must keep to is said at
//! each function: pointers that lead to what they say, for as long as the call lasts.

mod error;
mod handles;
mod reader;
mod writer;

pub use error::{ra_error, ra_error_free, ra_error_message};
pub use reader::{ra_close, ra_item, ra_next, ra_open};
pub use writer::{
    RA_BYTES, RA_DATA, RA_IOVECS, RA_STRING, RA_STRINGS, ra_about, ra_add, ra_call, ra_create,
    ra_descriptor, ra_enter, ra_exit, ra_finish, ra_leave, ra_piece, ra_signal, ra_thread,
};

/// A trace that is being written or read. 0 is none.
#[allow(non_camel_case_types, reason = "C's name")]
pub type ra_trace = u64;
