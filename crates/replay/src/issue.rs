//! The issue layer: from a recorded call to one system call of this process. The only place of this
//! crate that is unsafe.
//!
//! The invariant that makes it sound: every pointer that the kernel gets is either one that it
//! cannot write through (the recorded bytes, zeros, an address that faults) or the start of scratch
//! memory that is at least as long as the lengths passed along allow it to write.

pub(crate) mod arguments;
pub(crate) mod handled;
pub(crate) mod handlers;
pub(crate) mod prepared;
#[allow(unsafe_code)]
pub(crate) mod raw;
pub(crate) mod real_fd;
pub(crate) mod refusal;
pub(crate) mod ring;
#[allow(unsafe_code)]
pub(crate) mod scratch;
pub(crate) mod thread;
pub(crate) mod withhold;

pub(crate) use arguments::{Arguments, procfs};
pub(crate) use prepared::PreparedCall;
pub(crate) use real_fd::RealFd;
pub(crate) use scratch::Scratch;
