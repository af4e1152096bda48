//! Names that calls on memory, processes, signals and time use.

use super::{Flags, names};
use linux_raw_sys::general::*;

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
    &[(1, "MAP_SHARED"), (2, "MAP_PRIVATE"), (3, "MAP_SHARED_VALIDATE"), (8, "MAP_DROPPABLE")],
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
    &[
        (1, "WNOHANG"),
        (2, "WUNTRACED"),
        (4, "WEXITED"),
        (8, "WCONTINUED"),
        (0x0100_0000, "WNOWAIT"),
        (0x2000_0000, "__WNOTHREAD"),
        (0x4000_0000, "__WALL"),
        (0x8000_0000, "__WCLONE"),
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
        &[
            (0, "FUTEX_WAIT"),
            (1, "FUTEX_WAKE"),
            (2, "FUTEX_FD"),
            (3, "FUTEX_REQUEUE"),
            (4, "FUTEX_CMP_REQUEUE"),
            (5, "FUTEX_WAKE_OP"),
            (6, "FUTEX_LOCK_PI"),
            (7, "FUTEX_UNLOCK_PI"),
            (8, "FUTEX_TRYLOCK_PI"),
            (9, "FUTEX_WAIT_BITSET"),
            (10, "FUTEX_WAKE_BITSET"),
            (11, "FUTEX_WAIT_REQUEUE_PI"),
            (12, "FUTEX_CMP_REQUEUE_PI"),
            (13, "FUTEX_LOCK_PI2"),
            (128, "FUTEX_WAIT_PRIVATE"),
            (129, "FUTEX_WAKE_PRIVATE"),
            (130, "FUTEX_FD_PRIVATE"),
            (131, "FUTEX_REQUEUE_PRIVATE"),
            (132, "FUTEX_CMP_REQUEUE_PRIVATE"),
            (133, "FUTEX_WAKE_OP_PRIVATE"),
            (134, "FUTEX_LOCK_PI_PRIVATE"),
            (135, "FUTEX_UNLOCK_PI_PRIVATE"),
            (136, "FUTEX_TRYLOCK_PI_PRIVATE"),
            (137, "FUTEX_WAIT_BITSET_PRIVATE"),
            (138, "FUTEX_WAKE_BITSET_PRIVATE"),
            (139, "FUTEX_WAIT_REQUEUE_PI_PRIVATE"),
            (140, "FUTEX_CMP_REQUEUE_PI_PRIVATE"),
            (141, "FUTEX_LOCK_PI2_PRIVATE"),
        ],
    );
/// `getrandom(2)`.
pub static GRND: Flags = Flags::bits("GRND_", names![GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE]);
/// `getrusage(2)`.
pub static RUSAGE: Flags = Flags::one_of(
    "RUSAGE_",
    &[(0, "RUSAGE_SELF"), (1, "RUSAGE_THREAD"), (0xffff_ffff, "RUSAGE_CHILDREN")],
);
/// Whose priority.
pub static PRIO: Flags =
    Flags::one_of("PRIO_", &[(0, "PRIO_PROCESS"), (1, "PRIO_PGRP"), (2, "PRIO_USER")]);
/// Scheduling policies.
pub static SCHED: Flags = Flags::bits("SCHED_", &[(0x4000_0000, "SCHED_RESET_ON_FORK")])
    .with_field(
        0xff,
        &[
            (0, "SCHED_OTHER"),
            (1, "SCHED_FIFO"),
            (2, "SCHED_RR"),
            (3, "SCHED_BATCH"),
            (5, "SCHED_IDLE"),
            (6, "SCHED_DEADLINE"),
            (7, "SCHED_EXT"),
        ],
    );
/// `personality(2)`.
pub static PERSONALITY: Flags = Flags::bits(
    "",
    &[
        (0x4_0000, "ADDR_NO_RANDOMIZE"),
        (0x40_0000, "READ_IMPLIES_EXEC"),
        (0x80_0000, "ADDR_LIMIT_32BIT"),
    ],
);
/// `prctl(2)`'s options.
pub static PRCTL: Flags = Flags::one_of(
    "PR_",
    &[
        (1, "PR_SET_PDEATHSIG"),
        (2, "PR_GET_PDEATHSIG"),
        (3, "PR_GET_DUMPABLE"),
        (4, "PR_SET_DUMPABLE"),
        (7, "PR_GET_KEEPCAPS"),
        (8, "PR_SET_KEEPCAPS"),
        (15, "PR_SET_NAME"),
        (16, "PR_GET_NAME"),
        (21, "PR_GET_SECCOMP"),
        (22, "PR_SET_SECCOMP"),
        (23, "PR_CAPBSET_READ"),
        (24, "PR_CAPBSET_DROP"),
        (25, "PR_GET_TSC"),
        (26, "PR_SET_TSC"),
        (27, "PR_GET_SECUREBITS"),
        (28, "PR_SET_SECUREBITS"),
        (29, "PR_SET_TIMERSLACK"),
        (30, "PR_GET_TIMERSLACK"),
        (35, "PR_SET_MM"),
        (36, "PR_SET_CHILD_SUBREAPER"),
        (37, "PR_GET_CHILD_SUBREAPER"),
        (38, "PR_SET_NO_NEW_PRIVS"),
        (39, "PR_GET_NO_NEW_PRIVS"),
        (40, "PR_GET_TID_ADDRESS"),
        (41, "PR_SET_THP_DISABLE"),
        (42, "PR_GET_THP_DISABLE"),
        (47, "PR_CAP_AMBIENT"),
        (52, "PR_GET_SPECULATION_CTRL"),
        (53, "PR_SET_SPECULATION_CTRL"),
        (62, "PR_SCHED_CORE"),
        (65, "PR_SET_MDWE"),
        (0x5356_4d41, "PR_SET_VMA"),
        (0x5961_6d61, "PR_SET_PTRACER"),
    ],
);
/// `arch_prctl(2)`'s codes.
pub static ARCH_PRCTL: Flags = Flags::one_of(
    "ARCH_",
    &[
        (0x1001, "ARCH_SET_GS"),
        (0x1002, "ARCH_SET_FS"),
        (0x1003, "ARCH_GET_FS"),
        (0x1004, "ARCH_GET_GS"),
        (0x1011, "ARCH_GET_CPUID"),
        (0x1012, "ARCH_SET_CPUID"),
        (0x1021, "ARCH_GET_XCOMP_SUPP"),
        (0x1022, "ARCH_GET_XCOMP_PERM"),
        (0x1023, "ARCH_REQ_XCOMP_PERM"),
        (0x3001, "ARCH_CET_STATUS"),
        (0x5001, "ARCH_SHSTK_ENABLE"),
        (0x5002, "ARCH_SHSTK_DISABLE"),
        (0x5005, "ARCH_SHSTK_STATUS"),
    ],
);
/// `seccomp(2)`'s operations.
pub static SECCOMP: Flags = Flags::one_of(
    "SECCOMP_",
    &[
        (0, "SECCOMP_SET_MODE_STRICT"),
        (1, "SECCOMP_SET_MODE_FILTER"),
        (2, "SECCOMP_GET_ACTION_AVAIL"),
        (3, "SECCOMP_GET_NOTIF_SIZES"),
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
    &[
        (0, "MEMBARRIER_CMD_QUERY"),
        (1, "MEMBARRIER_CMD_GLOBAL"),
        (2, "MEMBARRIER_CMD_GLOBAL_EXPEDITED"),
        (4, "MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED"),
        (8, "MEMBARRIER_CMD_PRIVATE_EXPEDITED"),
        (16, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED"),
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
    &[
        (0x0123_4567, "LINUX_REBOOT_CMD_RESTART"),
        (0xcdef_0123, "LINUX_REBOOT_CMD_HALT"),
        (0x89ab_cdef, "LINUX_REBOOT_CMD_CAD_ON"),
        (0, "LINUX_REBOOT_CMD_CAD_OFF"),
        (0x4321_fedc, "LINUX_REBOOT_CMD_POWER_OFF"),
        (0xd000_fce2, "LINUX_REBOOT_CMD_SW_SUSPEND"),
        (0x4558_4543, "LINUX_REBOOT_CMD_KEXEC"),
    ],
);

/// Handlers of signals that are no functions.
pub static SIG_HANDLER: Flags = Flags::one_of("SIG_", &[(0, "SIG_DFL"), (1, "SIG_IGN")]);
