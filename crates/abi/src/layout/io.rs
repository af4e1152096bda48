//! Structs of waiting, terminals and asynchronous I/O.

use super::Is::*;
use super::{Field, Form, Layout, layout};
use crate::flags::io as names;
use linux_raw_sys::{general as raw, io_uring as uring};

layout! {
    /// `struct pollfd[]`.
    POLLFD = Array "struct pollfd" raw::pollfd { fd: Fd, events: Flags(&names::POLL), revents: Flags(&names::POLL) }
}
layout! {
    /// `struct iovec[]`.
    IOVEC = Array "struct iovec" raw::iovec { iov_base: Addr, iov_len: Uint }
}
layout! {
    /// `struct winsize`.
    WINSIZE = Struct "struct winsize" raw::winsize { ws_row: Host, ws_col: Host, ws_xpixel: Host, ws_ypixel: Host }
}
layout! {
    /// The kernel's `struct termios`.
    TERMIOS = Struct "struct termios" raw::termios { c_iflag: Host, c_oflag: Host, c_cflag: Host, c_lflag: Host, c_line: Host }
}
layout! {
    /// `struct termios2`.
    TERMIOS2 = Struct "struct termios2" raw::termios2 {
        c_iflag: Host, c_oflag: Host, c_cflag: Host, c_lflag: Host, c_line: Host, c_ispeed: Host, c_ospeed: Host,
    }
}
layout! {
    /// `struct io_uring_params`.
    URING_PARAMS = Struct "struct io_uring_params" uring::io_uring_params {
        sq_entries: Host, cq_entries: Host, flags: Uint, sq_thread_cpu: Uint, sq_thread_idle: Uint, features: Host, wq_fd: Fd,
    }
}

#[cfg(target_arch = "x86_64")]
const EPOLL_DATA: u32 = 4;
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_DATA: u32 = 8;

/// `struct epoll_event[]`, packed on x86-64 only. `data` is the program's own.
pub static EPOLL_EVENT: Layout = Layout {
    name: "struct epoll_event",
    size: EPOLL_DATA + 8,
    form: Form::Array,
    fields: &[
        Field { name: "events", at: 0, size: 4, is: Flags(&names::EPOLL) },
        Field { name: "data", at: EPOLL_DATA, size: 8, is: Host },
    ],
};
/// `struct io_event[]`.
pub static IO_EVENT: Layout = Layout {
    name: "struct io_event",
    size: 32,
    form: Form::Array,
    fields: &[
        Field { name: "data", at: 0, size: 8, is: Addr },
        Field { name: "obj", at: 8, size: 8, is: Addr },
        Field { name: "res", at: 16, size: 8, is: Int },
        Field { name: "res2", at: 24, size: 8, is: Int },
    ],
};
/// `struct iocb`.
pub static IOCB: Layout = Layout {
    name: "struct iocb",
    size: 64,
    form: Form::Array,
    fields: &[
        Field { name: "aio_data", at: 0, size: 8, is: Addr },
        Field { name: "aio_rw_flags", at: 12, size: 4, is: Flags(&names::RWF) },
        Field { name: "aio_lio_opcode", at: 16, size: 2, is: Uint },
        Field { name: "aio_reqprio", at: 18, size: 2, is: Int },
        Field { name: "aio_fildes", at: 20, size: 4, is: Fd },
        Field { name: "aio_buf", at: 24, size: 8, is: Addr },
        Field { name: "aio_nbytes", at: 32, size: 8, is: Uint },
        Field { name: "aio_offset", at: 40, size: 8, is: Int },
        Field { name: "aio_flags", at: 56, size: 4, is: Uint },
        Field { name: "aio_resfd", at: 60, size: 4, is: Fd },
    ],
};
/// `struct mq_attr`.
pub static MQ_ATTR: Layout = Layout {
    name: "struct mq_attr",
    size: 64,
    form: Form::Struct,
    fields: &[
        Field { name: "mq_flags", at: 0, size: 8, is: Uint },
        Field { name: "mq_maxmsg", at: 8, size: 8, is: Int },
        Field { name: "mq_msgsize", at: 16, size: 8, is: Int },
        Field { name: "mq_curmsgs", at: 24, size: 8, is: Host },
    ],
};
/// `struct sembuf[]`.
pub static SEMBUF: Layout = Layout {
    name: "struct sembuf",
    size: 6,
    form: Form::Array,
    fields: &[
        Field { name: "sem_num", at: 0, size: 2, is: Uint },
        Field { name: "sem_op", at: 2, size: 2, is: Int },
        Field { name: "sem_flg", at: 4, size: 2, is: Uint },
    ],
};
