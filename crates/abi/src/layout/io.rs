//! Structs of waiting, terminals and asynchronous I/O.

use super::FieldKind::*;
use super::{Field, Form, Layout, Style, layout};
use crate::flags::io as names;
use linux_raw_sys::{general as raw, io_uring as uring};

layout! {
    /// `struct pollfd[]`.
    POLLFD = Array "struct pollfd" raw::pollfd {
        fd: Fd, events: Flags(&names::POLL), revents: Flags(&names::POLL),
    }
}
layout! {
    /// `struct iovec[]`.
    IOVEC = Array "struct iovec" raw::iovec { iov_base: Addr, iov_len: Uint }
}
layout! {
    /// `struct winsize`.
    WINSIZE = Struct "struct winsize" raw::winsize {
        ws_row: Host, ws_col: Host, ws_xpixel: Host, ws_ypixel: Host,
    }
}
layout! {
    /// The kernel's `struct termios`.
    TERMIOS = Struct "struct termios" raw::termios {
        c_iflag: Host => brief, c_oflag: Host => brief, c_cflag: Host => brief,
        c_lflag: Host => brief, c_line: Host,
    }
}
layout! {
    /// `struct termios2`.
    TERMIOS2 = Struct "struct termios2" raw::termios2 {
        c_iflag: Host => brief, c_oflag: Host => brief, c_cflag: Host => brief,
        c_lflag: Host => brief, c_line: Host, c_ispeed: Host, c_ospeed: Host,
    }
}
layout! {
    /// `struct io_uring_params`.
    URING_PARAMS = Struct "struct io_uring_params" uring::io_uring_params {
        sq_entries: Host, cq_entries: Host, flags: Uint, sq_thread_cpu: Uint, sq_thread_idle: Uint,
        features: Host, wq_fd: Fd,
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
        Field::new("events", 0, 4, Flags(&names::EPOLL)),
        Field::new("data", EPOLL_DATA, 8, Host).style(Style::EpollData),
    ],
};
/// `struct io_event[]`.
pub static IO_EVENT: Layout = Layout {
    name: "struct io_event",
    size: 32,
    form: Form::Array,
    fields: &[
        Field::new("data", 0, 8, Addr),
        Field::new("obj", 8, 8, Addr),
        Field::new("res", 16, 8, Int),
        Field::new("res2", 24, 8, Int),
    ],
};
/// `struct iocb`.
pub static IOCB: Layout = Layout {
    name: "struct iocb",
    size: 64,
    form: Form::Array,
    fields: &[
        Field::new("aio_data", 0, 8, Addr),
        Field::new("aio_rw_flags", 12, 4, Flags(&names::RWF)),
        Field::new("aio_lio_opcode", 16, 2, Uint),
        Field::new("aio_reqprio", 18, 2, Int),
        Field::new("aio_fildes", 20, 4, Fd),
        Field::new("aio_buf", 24, 8, Addr),
        Field::new("aio_nbytes", 32, 8, Uint),
        Field::new("aio_offset", 40, 8, Int),
        Field::new("aio_flags", 56, 4, Uint),
        Field::new("aio_resfd", 60, 4, Fd),
    ],
};
/// `struct mq_attr`.
pub static MQ_ATTR: Layout = Layout {
    name: "struct mq_attr",
    size: 64,
    form: Form::Struct,
    fields: &[
        Field::new("mq_flags", 0, 8, Uint),
        Field::new("mq_maxmsg", 8, 8, Int),
        Field::new("mq_msgsize", 16, 8, Int),
        Field::new("mq_curmsgs", 24, 8, Host),
    ],
};
/// `struct sembuf[]`.
pub static SEMBUF: Layout = Layout {
    name: "struct sembuf",
    size: 6,
    form: Form::Array,
    fields: &[
        Field::new("sem_num", 0, 2, Uint),
        Field::new("sem_op", 2, 2, Int),
        Field::new("sem_flg", 4, 2, Uint),
    ],
};
