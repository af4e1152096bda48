//! What `build.rs` made of the C programs: their maps and variables, with their types.
#![allow(
    missing_docs,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    reason = "generated"
)]
#![allow(
    clippy::semicolon_if_nothing_returned,
    clippy::cast_lossless,
    clippy::uninlined_format_args,
    clippy::needless_pass_by_value,
    dead_code,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/engine.skel.rs"));

/// Of `uring.bpf.c`.
pub mod uring {
    include!(concat!(env!("OUT_DIR"), "/uring.skel.rs"));
}

/// Of `aio.bpf.c`.
pub mod aio {
    include!(concat!(env!("OUT_DIR"), "/aio.skel.rs"));
}
