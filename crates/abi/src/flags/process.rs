//! Names that calls on memory, processes, signals and time use.

use super::{Flags, names};
use linux_raw_sys::general::{self, *};

/// Protection of pages.
pub static PROT: Flags = Flags::bits(
    "PROT_",
    names![PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM, PROT_GROWSDOWN, PROT_GROWSUP],
);
/// `mmap(2)`.
pub static MAP: Flags = Flags::bits(
    "MAP_",
    names![
        MAP_FIXED_NOREPLACE,
        MAP_FIXED,
        MAP_ANONYMOUS,
        MAP_POPULATE,
        MAP_NONBLOCK,
        MAP_STACK,
        MAP_HUGETLB,
        MAP_SYNC,
        MAP_GROWSDOWN,
        MAP_DENYWRITE,
        MAP_EXECUTABLE,
        MAP_LOCKED,
        MAP_NORESERVE
    ],
)
.with_field(
    MAP_TYPE as u64,
    names![
        general: MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_DROPPABLE
    ],
);
/// `mremap(2)`.
pub static MREMAP: Flags =
    Flags::bits("MREMAP_", names![MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP]);
/// `msync(2)`.
pub static MSYNC: Flags = Flags::bits("MS_", names![MS_ASYNC, MS_INVALIDATE, MS_SYNC]);
/// `mlockall(2)`.
pub static MLOCKALL: Flags = Flags::bits("MCL_", names![MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT]);
/// `mlock2(2)`.
pub static MLOCK: Flags = Flags::bits("MLOCK_", names![MLOCK_ONFAULT]);
/// `madvise(2)`.
pub static MADV: Flags = Flags::one_of(
    "MADV_",
    names![
        MADV_NORMAL,
        MADV_RANDOM,
        MADV_SEQUENTIAL,
        MADV_WILLNEED,
        MADV_DONTNEED,
        MADV_FREE,
        MADV_REMOVE,
        MADV_DONTFORK,
        MADV_DOFORK,
        MADV_HWPOISON,
        MADV_SOFT_OFFLINE,
        MADV_MERGEABLE,
        MADV_UNMERGEABLE,
        MADV_HUGEPAGE,
        MADV_NOHUGEPAGE,
        MADV_DONTDUMP,
        MADV_DODUMP,
        MADV_WIPEONFORK,
        MADV_KEEPONFORK,
        MADV_COLD,
        MADV_PAGEOUT,
        MADV_POPULATE_READ,
        MADV_POPULATE_WRITE,
        MADV_DONTNEED_LOCKED,
        MADV_COLLAPSE,
        MADV_GUARD_INSTALL,
        MADV_GUARD_REMOVE
    ],
);
/// `clone(2)`, `unshare(2)`, `setns(2)`; the lowest byte is a signal.
pub static CLONE: Flags = Flags::bits(
    "CLONE_",
    names![
        CLONE_VM,
        CLONE_FS,
        CLONE_FILES,
        CLONE_SIGHAND,
        CLONE_PIDFD,
        CLONE_PTRACE,
        CLONE_VFORK,
        CLONE_PARENT,
        CLONE_THREAD,
        CLONE_NEWNS,
        CLONE_SYSVSEM,
        CLONE_SETTLS,
        CLONE_PARENT_SETTID,
        CLONE_CHILD_CLEARTID,
        CLONE_DETACHED,
        CLONE_UNTRACED,
        CLONE_CHILD_SETTID,
        CLONE_NEWCGROUP,
        CLONE_NEWUTS,
        CLONE_NEWIPC,
        CLONE_NEWUSER,
        CLONE_NEWPID,
        CLONE_NEWNET,
        CLONE_IO,
        CLONE_CLEAR_SIGHAND,
        CLONE_INTO_CGROUP
    ],
)
.with_field(0xff, SIGNALS);
/// `wait4(2)` and `waitid(2)`.
pub static WAIT: Flags = Flags::bits(
    "W",
    names![
        general: WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT, __WNOTHREAD, __WALL, __WCLONE
    ],
);
/// `waitid(2)`'s kinds of id.
pub static WAIT_ID: Flags = Flags::one_of("P_", names![P_ALL, P_PID, P_PGID, P_PIDFD]);
/// Resources with limits.
pub static RLIMIT: Flags = Flags::one_of(
    "RLIMIT_",
    names![
        RLIMIT_CPU,
        RLIMIT_FSIZE,
        RLIMIT_DATA,
        RLIMIT_STACK,
        RLIMIT_CORE,
        RLIMIT_RSS,
        RLIMIT_NPROC,
        RLIMIT_NOFILE,
        RLIMIT_MEMLOCK,
        RLIMIT_AS,
        RLIMIT_LOCKS,
        RLIMIT_SIGPENDING,
        RLIMIT_MSGQUEUE,
        RLIMIT_NICE,
        RLIMIT_RTPRIO,
        RLIMIT_RTTIME
    ],
);
/// Clocks.
pub static CLOCKS: Flags = Flags::one_of(
    "CLOCK_",
    names![
        CLOCK_REALTIME,
        CLOCK_MONOTONIC,
        CLOCK_PROCESS_CPUTIME_ID,
        CLOCK_THREAD_CPUTIME_ID,
        CLOCK_MONOTONIC_RAW,
        CLOCK_REALTIME_COARSE,
        CLOCK_MONOTONIC_COARSE,
        CLOCK_BOOTTIME,
        CLOCK_REALTIME_ALARM,
        CLOCK_BOOTTIME_ALARM,
        CLOCK_TAI
    ],
);
/// `timer_settime(2)`, `clock_nanosleep(2)`.
pub static TIMER: Flags = Flags::bits("TIMER_", names![TIMER_ABSTIME]);
/// Interval timers.
pub static ITIMER: Flags =
    Flags::one_of("ITIMER_", names![ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF]);
/// `rt_sigprocmask(2)`.
pub static SIG_HOW: Flags = Flags::one_of("SIG_", names![SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK]);
/// `sigaction.sa_flags`.
pub static SA: Flags = Flags::bits(
    "SA_",
    names![
        SA_NOCLDSTOP,
        SA_NOCLDWAIT,
        SA_SIGINFO,
        SA_RESTORER,
        SA_ONSTACK,
        SA_RESTART,
        SA_NODEFER,
        SA_RESETHAND
    ],
);
/// Signals by number.
pub const SIGNALS: &[(u64, &str)] = names![
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV,
    SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS
];
/// A signal's number.
pub static SIGNAL: Flags = Flags::one_of("SIG", SIGNALS);
/// `futex(2)`.
pub static FUTEX: Flags = Flags::bits("FUTEX_", names![FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME])
    .with_field(
        0xff,
        names![
        general: FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP,
            FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET,
            FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2, FUTEX_WAIT_PRIVATE,
            FUTEX_WAKE_PRIVATE;
        kernel: FUTEX_FD_PRIVATE = 130;
        general: FUTEX_REQUEUE_PRIVATE, FUTEX_CMP_REQUEUE_PRIVATE, FUTEX_WAKE_OP_PRIVATE,
            FUTEX_LOCK_PI_PRIVATE, FUTEX_UNLOCK_PI_PRIVATE, FUTEX_TRYLOCK_PI_PRIVATE,
            FUTEX_WAIT_BITSET_PRIVATE, FUTEX_WAKE_BITSET_PRIVATE, FUTEX_WAIT_REQUEUE_PI_PRIVATE,
            FUTEX_CMP_REQUEUE_PI_PRIVATE, FUTEX_LOCK_PI2_PRIVATE
    ],
    );
/// `getrandom(2)`.
pub static GRND: Flags = Flags::bits("GRND_", names![GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE]);
/// `getrusage(2)`.
pub static RUSAGE: Flags = Flags::one_of(
    "RUSAGE_",
    names![
        general: RUSAGE_SELF, RUSAGE_THREAD;
        kernel: RUSAGE_CHILDREN = 0xffff_ffff
    ],
);
/// Whose priority.
pub static PRIO: Flags = Flags::one_of(
    "PRIO_",
    names![
        general: PRIO_PROCESS, PRIO_PGRP, PRIO_USER
    ],
);
/// Scheduling policies.
pub static SCHED: Flags = Flags::bits(
    "SCHED_",
    names![
        general: SCHED_RESET_ON_FORK
    ],
)
.with_field(
    0xff,
    names![
        libc: SCHED_OTHER;
        general: SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT
    ],
);
/// `personality(2)`.
pub static PERSONALITY: Flags = Flags::bits(
    "",
    names![
        libc: ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, ADDR_LIMIT_32BIT
    ],
);
/// `prctl(2)`'s options.
pub static PRCTL: Flags = Flags::one_of(
    "PR_",
    names![
        libc: PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE,
            PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP,
            PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_TSC, PR_SET_TSC,
            PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, PR_SET_MM,
            PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
            PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
            PR_CAP_AMBIENT, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SCHED_CORE,
            PR_SET_MDWE, PR_SET_VMA, PR_SET_PTRACER
    ],
);
/// `arch_prctl(2)`'s codes.
pub static ARCH_PRCTL: Flags = Flags::one_of(
    "ARCH_",
    names![
        kernel: ARCH_SET_GS = 0x1001;
        general: ARCH_SET_FS;
        kernel: ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004, ARCH_GET_CPUID = 0x1011,
            ARCH_SET_CPUID = 0x1012, ARCH_GET_XCOMP_SUPP = 0x1021, ARCH_GET_XCOMP_PERM = 0x1022,
            ARCH_REQ_XCOMP_PERM = 0x1023, ARCH_CET_STATUS = 0x3001, ARCH_SHSTK_ENABLE = 0x5001,
            ARCH_SHSTK_DISABLE = 0x5002, ARCH_SHSTK_STATUS = 0x5005
    ],
);
/// `seccomp(2)`'s operations.
pub static SECCOMP: Flags = Flags::one_of(
    "SECCOMP_",
    names![
        libc: SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL,
            SECCOMP_GET_NOTIF_SIZES
    ],
);
/// `bpf(2)`'s commands.
pub static BPF: Flags = Flags::one_of(
    "BPF_",
    &[
        (0, "BPF_MAP_CREATE"),
        (1, "BPF_MAP_LOOKUP_ELEM"),
        (2, "BPF_MAP_UPDATE_ELEM"),
        (3, "BPF_MAP_DELETE_ELEM"),
        (4, "BPF_MAP_GET_NEXT_KEY"),
        (5, "BPF_PROG_LOAD"),
        (6, "BPF_OBJ_PIN"),
        (7, "BPF_OBJ_GET"),
        (8, "BPF_PROG_ATTACH"),
        (9, "BPF_PROG_DETACH"),
        (10, "BPF_PROG_TEST_RUN"),
        (15, "BPF_OBJ_GET_INFO_BY_FD"),
        (17, "BPF_RAW_TRACEPOINT_OPEN"),
        (18, "BPF_BTF_LOAD"),
        (28, "BPF_LINK_CREATE"),
    ],
);
/// `membarrier(2)`'s commands.
pub static MEMBARRIER: Flags = Flags::bits(
    "MEMBARRIER_CMD_",
    names![
        membarrier_cmd: MEMBARRIER_CMD_QUERY, MEMBARRIER_CMD_GLOBAL,
            MEMBARRIER_CMD_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
            MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
    ],
);
/// `pidfd_open(2)`.
pub static PIDFD: Flags = Flags::bits(
    "PIDFD_",
    &[(O_NONBLOCK as u64, "PIDFD_NONBLOCK"), (O_EXCL as u64, "PIDFD_THREAD")],
);
/// `reboot(2)`'s commands.
pub static REBOOT: Flags = Flags::one_of(
    "LINUX_REBOOT_CMD_",
    names![
        general: LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_CAD_ON,
            LINUX_REBOOT_CMD_CAD_OFF, LINUX_REBOOT_CMD_POWER_OFF, LINUX_REBOOT_CMD_SW_SUSPEND,
            LINUX_REBOOT_CMD_KEXEC
    ],
);

/// Handlers of signals that are no functions.
pub static SIG_HANDLER: Flags = Flags::one_of(
    "SIG_",
    names![
        libc: SIG_DFL, SIG_IGN
    ],
);
