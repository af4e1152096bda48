//! Describes each Linux system call in one table. Capture, storage, printing, replay and
//! verification all follow from it.
//!
//! What happens to an argument depends on its [`Kind`], never on the name of the call. Code that
//! uses the table matches on the kind exhaustively: a new kind does not compile until every such
//! place handles it, and a new call is one row. No I/O, no unsafe code.
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
pub use layout::{Field, FieldKind, Form, Layout};
pub use plan::{Plan, Step};
pub use print::{errno_name, errno_of};
pub use row::{
    AIO, AIO_OPCODES, AioUse, MAPPINGS, OPERATIONS, Operation, SqeField, SqeWord, URING,
    URING_OPCODES,
};
pub use row::{CallSpec, Class, Copies, CopyEnd, CopyOffset, Effect, Groups, IoClass, Replay};
pub use row::{Ret, Row, SyncScope};
pub use row::{UnrecordedEffect, Uses, argument_indices};
pub use row::{mapped_file, mapping_number, registered_file, registered_index};
pub use table::{Arch, by_name, by_number, operations, rows, spec, table};

/// The value of a `dirfd` argument that means the working directory.
pub const AT_FDCWD: i32 = linux_raw_sys::general::AT_FDCWD;
