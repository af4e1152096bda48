//! Rows of operations that are not system calls: those of io_uring, by opcode (Linux 6.18), those of
//! libaio, and what is stored through shared mappings of files.
//!
//! An operation that does what a system call does has that call's arguments, in its order, and
//! differs only in where they come from: a field of `struct io_uring_sqe` or `struct iocb` each.

use super::args::*;
use crate::flags::{io as fi, net as fnet, process as fp};
use crate::kind::{Arg, Len as Length};
use crate::layout::*;
use crate::row::SqeField::{self, *};
use crate::row::{
    AIO, CallSpec, Class, Effect, Groups, IoClass, MAPPINGS, Operation, Ret, Row, URING,
    UnrecordedEffect,
};
use linux_raw_sys::io_uring::io_uring_op::{self, *};
use syscalls::x86_64::Sysno as X;

/// Makes the row of an operation that has the arguments, the result and the effect of a system
/// call.
const fn like(op: io_uring_op, name: &'static str, call: X, fields: &'static [SqeField]) -> Row {
    numbered_like(URING + op as u32, name, call, fields)
}

/// The same of an operation with this number.
const fn numbered_like(
    number: u32,
    name: &'static str,
    call: X,
    fields: &'static [SqeField],
) -> Row {
    let mut i = 0;
    while super::TABLE[i].number != call as u32 {
        i += 1;
    }
    let row = super::TABLE[i];
    Row {
        number,
        spec: CallSpec { name, ..row.spec },
        groups: row.groups.or(Groups::AIO),
        operation: Some(Operation {
            fields,
            call: Some(call),
            call_at_own_offset: None,
            multishot: false,
        }),
        ..row
    }
}

/// Makes the row of an operation that is recorded and not performed.
const fn only_recorded(
    op: io_uring_op,
    name: &'static str,
    class: Class,
    args: &'static [Arg],
    fields: &'static [SqeField],
) -> Row {
    Row {
        number: URING + op as u32,
        spec: CallSpec::new(name, args).skipped(class).returns(Ret::Host),
        groups: Groups::AIO,
        selector: 0,
        mask: u32::MAX,
        variants: &[],
        operation: Some(Operation {
            fields,
            call: None,
            call_at_own_offset: None,
            multishot: false,
        }),
    }
}

/// Makes the row of a read or write of one buffer.
const fn buffer(op: io_uring_op, name: &'static str, args: &'static [Arg], calls: [X; 2]) -> Row {
    Row {
        number: URING + op as u32,
        spec: CallSpec::new(name, args).returns(Ret::Bytes),
        groups: D.or(Groups::AIO),
        selector: 0,
        mask: u32::MAX,
        variants: &[],
        operation: Some(Operation {
            fields: &[Fd, Addr, Len, Off, OpFlags],
            call: Some(calls[0]),
            call_at_own_offset: Some(calls[1]),
            multishot: false,
        }),
    }
}

/// Gives a row of io_uring the number of an operation of libaio (`IOCB_CMD_*`). A file offset of -1
/// has no meaning of its own there.
const fn aio_operation(opcode: u32, row: Row) -> Row {
    let mut row = Row { number: AIO + opcode, ..row };
    if let Some(operation) = &mut row.operation {
        operation.call_at_own_offset = None;
    }
    row
}

/// Gives a row the number of what is known of shared mappings, counted from 0.
const fn of_mapping(index: u32, row: Row) -> Row {
    Row { number: MAPPINGS + index, groups: D.or(Groups::MEMORY), ..row }
}

/// Says that one submission may complete many times.
const fn multishot(mut row: Row) -> Row {
    if let Some(operation) = &mut row.operation {
        operation.multishot = true;
    }
    row
}

const READ: &[Arg] =
    &[fd("fd"), output("buf", ret(2), &DATA), size("count"), pos("pos"), fl("rw_flags", &fi::RWF)];
const WRITE: &[Arg] =
    &[fd("fd"), input("buf", by(2), &DATA), size("count"), pos("pos"), fl("rw_flags", &fi::RWF)];
const READS: [X; 2] = [X::pread64, X::read];
const WRITES: [X; 2] = [X::pwrite64, X::write];
const VECTORS: &[SqeField] = &[Fd, Addr, Len, Off, Zero, OpFlags];

/// The operations of io_uring and libaio, sorted by number.
pub(super) static OPERATION_TABLE: &[Row] = &[
    only_recorded(IORING_OP_NOP, "uring_nop", Class::Async, &[], &[]),
    like(IORING_OP_READV, "uring_readv", X::preadv2, VECTORS),
    like(IORING_OP_WRITEV, "uring_writev", X::pwritev2, VECTORS),
    Row {
        spec: CallSpec::new("uring_fsync", &[fd("fd"), fl("fsync_flags", &fi::URING_FSYNC)])
            .counted(IoClass::Sync),
        ..like(IORING_OP_FSYNC, "uring_fsync", X::fsync, &[Fd, OpFlags])
    },
    buffer(IORING_OP_READ_FIXED, "uring_read_fixed", READ, READS),
    buffer(IORING_OP_WRITE_FIXED, "uring_write_fixed", WRITE, WRITES).changes(),
    multishot(only_recorded(
        IORING_OP_POLL_ADD,
        "uring_poll_add",
        Class::Wait,
        &[fd("fd"), fl("events", &fi::POLL)],
        &[Fd, OpFlags],
    )),
    only_recorded(
        IORING_OP_POLL_REMOVE,
        "uring_poll_remove",
        Class::Wait,
        &[hex("user_data"), hex("new_user_data"), hex("flags")],
        &[Addr, Off, Len],
    ),
    like(
        IORING_OP_SYNC_FILE_RANGE,
        "uring_sync_file_range",
        X::sync_file_range,
        &[Fd, Off, Len, OpFlags],
    ),
    like(IORING_OP_SENDMSG, "uring_sendmsg", X::sendmsg, &[Fd, Addr, OpFlags]),
    multishot(like(IORING_OP_RECVMSG, "uring_recvmsg", X::recvmsg, &[Fd, Addr, OpFlags])),
    multishot(only_recorded(
        IORING_OP_TIMEOUT,
        "uring_timeout",
        Class::Wait,
        &[ins("timeout", &TIMESPEC), hex("count"), hex("flags")],
        &[Addr, Off, OpFlags],
    )),
    only_recorded(
        IORING_OP_TIMEOUT_REMOVE,
        "uring_timeout_remove",
        Class::Wait,
        &[hex("user_data"), hex("flags")],
        &[Addr, OpFlags],
    ),
    // Its sockaddr has the length behind `off`, as that of accept4.
    multishot(like(IORING_OP_ACCEPT, "uring_accept", X::accept4, &[Fd, Addr, Off, OpFlags])),
    only_recorded(
        IORING_OP_ASYNC_CANCEL,
        "uring_async_cancel",
        Class::Async,
        &[hex("user_data"), hex("flags"), int("fd")],
        &[Addr, OpFlags, Fd],
    ),
    only_recorded(
        IORING_OP_LINK_TIMEOUT,
        "uring_link_timeout",
        Class::Wait,
        &[ins("timeout", &TIMESPEC), hex("flags")],
        &[Addr, OpFlags],
    ),
    like(IORING_OP_CONNECT, "uring_connect", X::connect, &[Fd, Addr, Off]),
    like(IORING_OP_FALLOCATE, "uring_fallocate", X::fallocate, &[Fd, Len, Off, Addr]),
    like(IORING_OP_OPENAT, "uring_openat", X::openat, &[Fd, Addr, OpFlags, Len]),
    like(IORING_OP_CLOSE, "uring_close", X::close, &[FdOrSlot]),
    only_recorded(
        IORING_OP_FILES_UPDATE,
        "uring_files_update",
        Class::Async,
        &[input("fds", Length::Arg { n: 1, unit: 4 }, &FDS), size("nr"), uint("offset")],
        &[Addr, Len, Off],
    ),
    like(IORING_OP_STATX, "uring_statx", X::statx, &[Fd, Addr, OpFlags, Len, Off]),
    buffer(IORING_OP_READ, "uring_read", READ, READS),
    buffer(IORING_OP_WRITE, "uring_write", WRITE, WRITES).changes(),
    like(IORING_OP_FADVISE, "uring_fadvise", X::fadvise64, &[Fd, Off, Len, OpFlags]),
    like(IORING_OP_MADVISE, "uring_madvise", X::madvise, &[Addr, Len, OpFlags]),
    multishot(like(IORING_OP_SEND, "uring_send", X::sendto, &[Fd, Addr, Len, OpFlags])),
    multishot(
        only_recorded(
            IORING_OP_RECV,
            "uring_recv",
            Class::Network,
            &[fd("fd"), output("buf", ret(2), &DATA), size("len"), fl("flags", &fnet::MSG)],
            &[Fd, Addr, Len, OpFlags],
        )
        .returns(Ret::Bytes)
        .groups(Groups::NET.or(D)),
    ),
    like(IORING_OP_OPENAT2, "uring_openat2", X::openat2, &[Fd, Addr, Off, Len]),
    like(IORING_OP_EPOLL_CTL, "uring_epoll_ctl", X::epoll_ctl, &[Fd, Len, Off, Addr]),
    only_recorded(IORING_OP_SPLICE, "uring_splice", Class::Async, SPLICE, MOVE)
        .returns(Ret::Int)
        .leaves_unrecorded(UnrecordedEffect::Transfer { to: 2 }),
    only_recorded(
        IORING_OP_PROVIDE_BUFFERS,
        "uring_provide_buffers",
        Class::Async,
        &[addr("addr"), size("len"), uint("nr"), uint("bid")],
        &[Addr, Len, Fd, Off],
    ),
    only_recorded(IORING_OP_REMOVE_BUFFERS, "uring_remove_buffers", Class::Async, NR, &[Fd]),
    only_recorded(IORING_OP_TEE, "uring_tee", Class::Ipc, SPLICE, MOVE)
        .returns(Ret::Int)
        .counted(IoClass::Wait),
    like(IORING_OP_SHUTDOWN, "uring_shutdown", X::shutdown, &[Fd, Len]),
    like(IORING_OP_RENAMEAT, "uring_renameat", X::renameat2, TWO_PATHS),
    like(IORING_OP_UNLINKAT, "uring_unlinkat", X::unlinkat, &[Fd, Addr, OpFlags]),
    like(IORING_OP_MKDIRAT, "uring_mkdirat", X::mkdirat, &[Fd, Addr, Len]),
    like(IORING_OP_SYMLINKAT, "uring_symlinkat", X::symlinkat, &[Addr, Fd, Off]),
    like(IORING_OP_LINKAT, "uring_linkat", X::linkat, TWO_PATHS),
    only_recorded(
        IORING_OP_MSG_RING,
        "uring_msg_ring",
        Class::Async,
        &[fd("fd"), uint("command"), hex("data"), uint("len"), hex("flags")],
        &[Fd, Addr, Off, Len, OpFlags],
    ),
    like(IORING_OP_FSETXATTR, "uring_fsetxattr", X::fsetxattr, &[Fd, Addr, Off, Len, OpFlags]),
    like(IORING_OP_SETXATTR, "uring_setxattr", X::setxattr, &[Addr3, Addr, Off, Len, OpFlags]),
    like(IORING_OP_FGETXATTR, "uring_fgetxattr", X::fgetxattr, &[Fd, Addr, Off, Len]),
    like(IORING_OP_GETXATTR, "uring_getxattr", X::getxattr, &[Addr3, Addr, Off, Len]),
    like(IORING_OP_SOCKET, "uring_socket", X::socket, &[Fd, Off, Len]),
    only_recorded(
        IORING_OP_URING_CMD,
        "uring_cmd",
        Class::System,
        &[fd("fd"), hex("cmd_op"), hex("addr"), hex("len"), hex("flags")],
        &[Fd, Off, Addr, Len, OpFlags],
    ),
    multishot(like(IORING_OP_SEND_ZC, "uring_send_zc", X::sendto, &[Fd, Addr, Len, OpFlags])),
    multishot(like(IORING_OP_SENDMSG_ZC, "uring_sendmsg_zc", X::sendmsg, &[Fd, Addr, OpFlags])),
    // The data are in a buffer that the ring selects: it is taken from each completion.
    multishot(buffer(IORING_OP_READ_MULTISHOT, "uring_read_multishot", READ, READS)),
    only_recorded(IORING_OP_WAITID, "uring_waitid", Class::Process, WAITID, WAITID_FIELDS)
        .counted(IoClass::Wait),
    only_recorded(IORING_OP_FUTEX_WAIT, "uring_futex_wait", Class::Wait, FUTEX, FUTEX_FIELDS),
    only_recorded(IORING_OP_FUTEX_WAKE, "uring_futex_wake", Class::Wait, FUTEX, FUTEX_FIELDS),
    only_recorded(
        IORING_OP_FUTEX_WAITV,
        "uring_futex_waitv",
        Class::Wait,
        &[addr("waiters"), uint("nr_futexes")],
        &[Addr, Len],
    ),
    only_recorded(
        IORING_OP_FIXED_FD_INSTALL,
        "uring_fixed_fd_install",
        Class::Async,
        &[fd("fd"), hex("flags")],
        &[Fd, OpFlags],
    )
    .returns(Ret::Fd)
    .does(Effect::Dup { old: 0 }),
    like(IORING_OP_FTRUNCATE, "uring_ftruncate", X::ftruncate, &[Fd, Off]),
    like(IORING_OP_BIND, "uring_bind", X::bind, &[Fd, Addr, Off]),
    like(IORING_OP_LISTEN, "uring_listen", X::listen, &[Fd, Len]),
    multishot(only_recorded(
        IORING_OP_RECV_ZC,
        "uring_recv_zc",
        Class::Network,
        &[fd("fd"), uint("len"), hex("flags")],
        &[Fd, Len, OpFlags],
    ))
    .counted(IoClass::Wait),
    only_recorded(
        IORING_OP_EPOLL_WAIT,
        "uring_epoll_wait",
        Class::Wait,
        &[fd("epfd"), output("events", ret_each(2, &EPOLL_EVENT), &EPOLL_EVENT), int("maxevents")],
        &[Fd, Addr, Len],
    ),
    like(IORING_OP_READV_FIXED, "uring_readv_fixed", X::preadv2, VECTORS),
    like(IORING_OP_WRITEV_FIXED, "uring_writev_fixed", X::pwritev2, VECTORS),
    like(IORING_OP_PIPE, "uring_pipe", X::pipe2, &[Addr, OpFlags]),
    aio_operation(0, buffer(IORING_OP_READ, "aio_pread", READ, READS)),
    aio_operation(1, buffer(IORING_OP_WRITE, "aio_pwrite", WRITE, WRITES).changes()),
    numbered_like(AIO + 2, "aio_fsync", X::fsync, &[Fd]),
    numbered_like(AIO + 3, "aio_fdsync", X::fdatasync, &[Fd]),
    aio_operation(
        5,
        only_recorded(
            IORING_OP_POLL_ADD,
            "aio_poll",
            Class::Wait,
            &[fd("fd"), fl("events", &fi::POLL)],
            &[Fd, Addr],
        ),
    ),
    numbered_like(AIO + 7, "aio_preadv", X::preadv2, VECTORS),
    numbered_like(AIO + 8, "aio_pwritev", X::pwritev2, VECTORS),
    of_mapping(0, aio_operation(0, buffer(IORING_OP_WRITE, "mmap_write", STORE, WRITES).changes())),
    of_mapping(1, only_recorded(IORING_OP_NOP, "mmap_end", Class::Memory, FD, NO_FIELDS))
        .does(Effect::EndMapping),
];

const STORE: &[Arg] = &[fd("fd"), input("buf", by(2), &DATA), size("count"), pos("pos")];
const NO_FIELDS: &[SqeField] = &[];
const FD: &[Arg] = &[fd("fd")];
const NR: &[Arg] = &[uint("nr")];
/// The arguments of splice and tee, with offsets by value.
const SPLICE: &[Arg] = &[
    fd("fd_in"),
    off("off_in"),
    fd("fd_out"),
    off("off_out"),
    size("len"),
    fl("flags", &fi::SPLICE),
];
const MOVE: &[SqeField] = &[FileIndex, Addr, Fd, Off, Len, OpFlags];
/// The arguments of renameat2 and linkat.
const TWO_PATHS: &[SqeField] = &[Fd, Addr, Len, Off, OpFlags];
const WAITID: &[Arg] =
    &[int("which"), pid("upid"), addr("infop"), fl("options", &fp::WAIT), hex("flags")];
const WAITID_FIELDS: &[SqeField] = &[Len, Fd, Off, FileIndex, OpFlags];
const FUTEX: &[Arg] = &[addr("uaddr"), hex("futex_flags"), hex("val"), hex("mask"), hex("flags")];
const FUTEX_FIELDS: &[SqeField] = &[Addr, Fd, Off, Addr3, OpFlags];
