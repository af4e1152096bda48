//! Names that calls on descriptors use.

use super::{Flags, names};
use linux_raw_sys::general::{self, *};
use linux_raw_sys::io_uring;

/// `lseek(2)`, and `l_whence` of locks.
pub static WHENCE: Flags =
    Flags::one_of("SEEK_", names![SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE]);
/// `preadv2(2)` and `pwritev2(2)`.
pub static RWF: Flags = Flags::bits(
    "RWF_",
    names![
        general: RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND;
        libc: RWF_NOAPPEND, RWF_ATOMIC, RWF_DONTCACHE;
        kernel: RWF_NOSIGNAL = 0x100
    ],
)
.with_nonblocking(general::RWF_NOWAIT as u64);
/// `splice(2)` and kin.
pub static SPLICE: Flags = Flags::bits(
    "SPLICE_F_",
    names![SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT],
);
/// `close_range(2)`.
pub static CLOSE_RANGE: Flags = Flags::bits(
    "CLOSE_RANGE_",
    names![
        libc: CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC
    ],
);
/// `dup3(2)`, `inotify_init1(2)` and others that know close-on-exec and non-blocking only.
pub static NEW_FD: Flags =
    Flags::bits("O_", names![O_CLOEXEC, O_NONBLOCK]).with_cloexec(O_CLOEXEC as u64);
/// `pipe2(2)`.
pub static PIPE: Flags =
    Flags::bits("O_", names![O_CLOEXEC, O_NONBLOCK, O_DIRECT]).with_cloexec(O_CLOEXEC as u64);
/// `epoll_create1(2)`.
pub static EPOLL_CREATE: Flags =
    Flags::bits("EPOLL_", names![EPOLL_CLOEXEC]).with_cloexec(EPOLL_CLOEXEC as u64);
/// `epoll_ctl(2)`'s operations.
pub static EPOLL_CTL: Flags =
    Flags::one_of("EPOLL_CTL_", names![EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD]);
/// Events of epoll.
pub static EPOLL: Flags = Flags::bits(
    "EPOLL",
    names![
        EPOLLIN,
        EPOLLPRI,
        EPOLLOUT,
        EPOLLERR,
        EPOLLHUP,
        EPOLLNVAL,
        EPOLLRDNORM,
        EPOLLRDBAND,
        EPOLLWRNORM,
        EPOLLWRBAND,
        EPOLLMSG,
        EPOLLRDHUP,
        EPOLLEXCLUSIVE,
        EPOLLWAKEUP,
        EPOLLONESHOT,
        EPOLLET
    ],
);
/// Events of poll.
pub static POLL: Flags = Flags::bits(
    "POLL",
    names![
        general: POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND,
            POLLWRNORM, POLLWRBAND, POLLMSG, POLLRDHUP
    ],
);
/// `eventfd2(2)`.
pub static EVENTFD: Flags = Flags::bits("EFD_", names![EFD_SEMAPHORE, EFD_CLOEXEC, EFD_NONBLOCK])
    .with_cloexec(EFD_CLOEXEC as u64);
/// `timerfd_create(2)`.
pub static TIMERFD: Flags =
    Flags::bits("TFD_", names![TFD_CLOEXEC, TFD_NONBLOCK]).with_cloexec(TFD_CLOEXEC as u64);
/// `timerfd_settime(2)`.
pub static TIMERFD_SET: Flags =
    Flags::bits("TFD_TIMER_", names![TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET]);
/// `signalfd4(2)`.
pub static SIGNALFD: Flags =
    Flags::bits("SFD_", &[(O_CLOEXEC as u64, "SFD_CLOEXEC"), (O_NONBLOCK as u64, "SFD_NONBLOCK")])
        .with_cloexec(O_CLOEXEC as u64);
/// `memfd_create(2)`.
pub static MEMFD: Flags = Flags::bits(
    "MFD_",
    names![MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC],
)
.with_cloexec(MFD_CLOEXEC as u64);
/// `flock(2)`.
pub static FLOCK: Flags = Flags::bits("LOCK_", names![LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN]);
/// Types of record locks, and of leases.
pub static LOCK_TYPE: Flags = Flags::one_of("F_", names![F_RDLCK, F_WRLCK, F_UNLCK]);
/// `FD_CLOEXEC`.
pub static FD_FLAGS: Flags = Flags::bits(
    "FD_",
    names![
        general: FD_CLOEXEC
    ],
);
/// Seals.
pub static SEALS: Flags = Flags::bits(
    "F_SEAL_",
    names![F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC],
);
/// `fcntl(2)`'s commands.
pub static FCNTL: Flags = Flags::one_of(
    "F_",
    names![
        F_DUPFD,
        F_GETFD,
        F_SETFD,
        F_GETFL,
        F_SETFL,
        F_GETLK,
        F_SETLK,
        F_SETLKW,
        F_SETOWN,
        F_GETOWN,
        F_SETSIG,
        F_GETSIG,
        F_SETOWN_EX,
        F_GETOWN_EX,
        F_GETOWNER_UIDS,
        F_OFD_GETLK,
        F_OFD_SETLK,
        F_OFD_SETLKW,
        F_SETLEASE,
        F_GETLEASE,
        F_NOTIFY,
        F_DUPFD_QUERY,
        F_CREATED_QUERY,
        F_CANCELLK,
        F_DUPFD_CLOEXEC,
        F_SETPIPE_SZ,
        F_GETPIPE_SZ,
        F_ADD_SEALS,
        F_GET_SEALS,
        F_GET_RW_HINT,
        F_SET_RW_HINT,
        F_GET_FILE_RW_HINT,
        F_SET_FILE_RW_HINT
    ],
);
/// The commands F_DUPFD (0) and F_DUPFD_CLOEXEC (0x406): bit 0x400 tells them apart, and so asks
/// for close-on-exec.
pub static FCNTL_DUP: Flags =
    Flags::one_of("F_", names![F_DUPFD, F_DUPFD_CLOEXEC]).with_cloexec(F_DUPFD_CLOEXEC as u64);
/// `posix_fadvise(2)`.
pub static FADVISE: Flags = Flags::one_of(
    "POSIX_FADV_",
    names![
        POSIX_FADV_NORMAL,
        POSIX_FADV_RANDOM,
        POSIX_FADV_SEQUENTIAL,
        POSIX_FADV_WILLNEED,
        POSIX_FADV_DONTNEED,
        POSIX_FADV_NOREUSE
    ],
);
/// `sync_file_range(2)`.
pub static SYNC_RANGE: Flags = Flags::bits(
    "SYNC_FILE_RANGE_",
    names![SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE, SYNC_FILE_RANGE_WAIT_AFTER],
);
/// `inotify_init1(2)`.
pub static INOTIFY: Flags =
    Flags::bits("IN_", names![IN_CLOEXEC, IN_NONBLOCK]).with_cloexec(IN_CLOEXEC as u64);
/// Events of inotify.
pub static INOTIFY_MASK: Flags = Flags::bits(
    "IN_",
    names![
        IN_ALL_EVENTS,
        IN_ACCESS,
        IN_MODIFY,
        IN_ATTRIB,
        IN_CLOSE_WRITE,
        IN_CLOSE_NOWRITE,
        IN_OPEN,
        IN_MOVED_FROM,
        IN_MOVED_TO,
        IN_CREATE,
        IN_DELETE,
        IN_DELETE_SELF,
        IN_MOVE_SELF,
        IN_UNMOUNT,
        IN_Q_OVERFLOW,
        IN_IGNORED,
        IN_ONLYDIR,
        IN_DONT_FOLLOW,
        IN_EXCL_UNLINK,
        IN_MASK_CREATE,
        IN_MASK_ADD,
        IN_ISDIR,
        IN_ONESHOT
    ],
);
/// `fanotify_init(2)`.
pub static FANOTIFY: Flags = Flags::bits(
    "FAN_",
    names![
        libc: FAN_CLOEXEC, FAN_NONBLOCK, FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT,
            FAN_UNLIMITED_QUEUE, FAN_UNLIMITED_MARKS, FAN_ENABLE_AUDIT, FAN_REPORT_PIDFD,
            FAN_REPORT_TID, FAN_REPORT_FID, FAN_REPORT_DIR_FID, FAN_REPORT_NAME,
            FAN_REPORT_TARGET_FID
    ],
)
.with_cloexec(libc::FAN_CLOEXEC as u64);
/// `fanotify_mark(2)`.
pub static FANOTIFY_MARK: Flags = Flags::bits(
    "FAN_MARK_",
    names![
        libc: FAN_MARK_ADD, FAN_MARK_REMOVE, FAN_MARK_DONT_FOLLOW, FAN_MARK_ONLYDIR,
            FAN_MARK_MOUNT, FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_FLUSH,
            FAN_MARK_FILESYSTEM, FAN_MARK_EVICTABLE, FAN_MARK_IGNORE
    ],
);
/// `io_uring_sqe.fsync_flags`.
pub static URING_FSYNC: Flags =
    Flags::bits("IORING_FSYNC_", names![io_uring: IORING_FSYNC_DATASYNC]);
/// `io_uring_enter(2)`.
pub static URING_ENTER: Flags = Flags::bits(
    "IORING_ENTER_",
    names![
        io_uring: IORING_ENTER_GETEVENTS, IORING_ENTER_SQ_WAKEUP, IORING_ENTER_SQ_WAIT,
            IORING_ENTER_EXT_ARG, IORING_ENTER_REGISTERED_RING, IORING_ENTER_ABS_TIMER,
            IORING_ENTER_EXT_ARG_REG, IORING_ENTER_NO_IOWAIT
    ],
);
/// `userfaultfd(2)`.
pub static USERFAULT: Flags = Flags::bits(
    "",
    &[
        (O_CLOEXEC as u64, "O_CLOEXEC"),
        (O_NONBLOCK as u64, "O_NONBLOCK"),
        (UFFD_USER_MODE_ONLY as u64, "UFFD_USER_MODE_ONLY"),
    ],
)
.with_cloexec(O_CLOEXEC as u64);
/// `perf_event_open(2)`.
pub static PERF: Flags = Flags::bits(
    "PERF_FLAG_",
    &[
        (1, "PERF_FLAG_FD_NO_GROUP"),
        (2, "PERF_FLAG_FD_OUTPUT"),
        (4, "PERF_FLAG_PID_CGROUP"),
        (8, "PERF_FLAG_FD_CLOEXEC"),
    ],
)
.with_cloexec(8);
