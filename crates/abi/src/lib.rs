//! What a Linux system call is: one table, from which capture, storage, printing, replay and
//! verification all follow.
//!
//! Behaviour hangs on an argument's [`Kind`], never on a call's name: code that uses the table
//! matches on the kind, totally, so that a new kind fails to compile in each place that must learn
//! it, and a new call is one row. No I/O, no unsafe.
#![forbid(unsafe_code)]

pub mod flags;
pub mod kind;
pub mod layout;
pub mod plan;
pub mod print;
pub mod row;
pub mod table;

pub use flags::Flags;
pub use kind::{Arg, Follow, Kind, Len, OpenFlags, PathUse, Role};
pub use layout::{Field, Form, Is, Layout};
pub use plan::{Plan, Step};
pub use print::{errno_name, errno_of};
pub use row::{At, Class, Copies, Effect, End, Groups, Replay, Ret, Row, Shape};
pub use row::{Unseen, Uses, arguments};
pub use table::{Arch, by_name, by_number, shape, table};

/// The `dirfd` that means the working directory.
pub const AT_FDCWD: i32 = linux_raw_sys::general::AT_FDCWD;
