//! Structs of processes, signals and time.

use super::Is::*;
use super::{Field, Form, Layout, layout};
use crate::flags::process as names;
use linux_raw_sys::general as raw;

layout! {
    /// `struct timespec`.
    TIMESPEC = Struct "struct timespec" raw::__kernel_timespec { tv_sec: Time, tv_nsec: Time }
}
layout! {
    /// `struct timespec[2]`.
    TIMESPECS = Array "struct timespec" raw::__kernel_timespec { tv_sec: Time, tv_nsec: Time }
}
layout! {
    /// `struct timeval`.
    TIMEVAL = Struct "struct timeval" raw::__kernel_old_timeval { tv_sec: Time, tv_usec: Time }
}
layout! {
    /// `struct timeval[2]`.
    TIMEVALS = Array "struct timeval" raw::__kernel_old_timeval { tv_sec: Time, tv_usec: Time }
}
layout! {
    /// `struct timezone`.
    TIMEZONE = Struct "struct timezone" raw::timezone { tz_minuteswest: Host, tz_dsttime: Host }
}
layout! {
    /// `struct itimerspec`.
    ITIMERSPEC = Struct "struct itimerspec" raw::__kernel_itimerspec {
        it_interval.tv_sec: Time, it_interval.tv_nsec: Time, it_value.tv_sec: Time, it_value.tv_nsec: Time,
    }
}
layout! {
    /// `struct itimerval`.
    ITIMERVAL = Struct "struct itimerval" raw::__kernel_old_itimerval {
        it_interval.tv_sec: Time, it_interval.tv_usec: Time, it_value.tv_sec: Time, it_value.tv_usec: Time,
    }
}
layout! {
    /// `struct rlimit`, and `struct rlimit64`, which is the same on 64-bit kernels.
    RLIMIT = Struct "struct rlimit" raw::rlimit64 { rlim_cur: Uint, rlim_max: Uint }
}
layout! {
    /// `struct rusage`.
    RUSAGE = Struct "struct rusage" raw::rusage {
        ru_utime.tv_sec: Time, ru_utime.tv_usec: Time, ru_stime.tv_sec: Time, ru_stime.tv_usec: Time, ru_maxrss: Host, ru_minflt: Host, ru_majflt: Host,
        ru_inblock: Host, ru_oublock: Host, ru_nvcsw: Host, ru_nivcsw: Host,
    }
}
layout! {
    /// `struct clone_args`.
    CLONE_ARGS = Struct "struct clone_args" raw::clone_args {
        flags: Flags(&names::CLONE), pidfd: Addr, child_tid: Addr, parent_tid: Addr, exit_signal: Flags(&names::SIGNAL), stack: Addr, stack_size: Uint,
        tls: Addr, set_tid: Addr, set_tid_size: Uint, cgroup: Fd,
    }
}
layout! {
    /// `stack_t`.
    SIGALTSTACK = Struct "stack_t" raw::sigaltstack { ss_sp: Addr, ss_flags: Int, ss_size: Uint }
}
layout! {
    /// `struct futex_waitv[]`.
    FUTEX_WAITV = Array "struct futex_waitv" raw::futex_waitv { val: Uint, uaddr: Addr, flags: Uint }
}
/// `struct sigaction` as the kernel takes it; between flags and mask stands the restorer.
pub static SIGACTION: Layout = Layout {
    name: "struct sigaction",
    size: 32,
    form: Form::Struct,
    fields: &[
        Field { name: "sa_handler", at: 0, size: 8, is: Addr },
        Field { name: "sa_mask", at: 24, size: 8, is: Flags(&SIGSET_BITS) },
        Field { name: "sa_flags", at: 8, size: 8, is: Flags(&names::SA) },
        Field { name: "sa_restorer", at: 16, size: 8, is: Addr },
    ],
};

const fn bits() -> [(u64, &'static str); names::SIGNALS.len()] {
    let mut all = [(0, ""); names::SIGNALS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = (1 << (names::SIGNALS[i].0 - 1), names::SIGNALS[i].1);
        i += 1;
    }
    all
}
static SIGSET_NAMES: [(u64, &str); names::SIGNALS.len()] = bits();
/// A signal set's bits.
pub static SIGSET_BITS: crate::Flags = crate::Flags::bits("SIG", &SIGSET_NAMES);
/// `sigset_t` of the kernel: 64 bits.
pub static SIGSET: Layout = Layout {
    name: "sigset_t",
    size: 8,
    form: Form::Struct,
    fields: &[Field { name: "", at: 0, size: 8, is: Flags(&SIGSET_BITS) }],
};
/// The start of `siginfo_t` (128 bytes).
pub static SIGINFO: Layout = Layout {
    name: "siginfo_t",
    size: 128,
    form: Form::Struct,
    fields: &[
        Field { name: "si_signo", at: 0, size: 4, is: Flags(&names::SIGNAL) },
        Field { name: "si_errno", at: 4, size: 4, is: Int },
        Field { name: "si_code", at: 8, size: 4, is: Int },
        Field { name: "si_pid", at: 16, size: 4, is: Pid },
        Field { name: "si_uid", at: 20, size: 4, is: Uid },
        Field { name: "si_status", at: 24, size: 4, is: Int },
    ],
};
/// `struct new_utsname`.
pub static UTSNAME: Layout = Layout {
    name: "struct utsname",
    size: 390,
    form: Form::Struct,
    fields: &[
        Field { name: "sysname", at: 0, size: 65, is: Text },
        Field { name: "nodename", at: 65, size: 65, is: Text },
        Field { name: "release", at: 130, size: 65, is: Text },
        Field { name: "version", at: 195, size: 65, is: Text },
        Field { name: "machine", at: 260, size: 65, is: Text },
        Field { name: "domainname", at: 325, size: 65, is: Text },
    ],
};
/// `struct sysinfo`.
pub static SYSINFO: Layout = Layout {
    name: "struct sysinfo",
    size: 112,
    form: Form::Struct,
    fields: &[
        Field { name: "uptime", at: 0, size: 8, is: Host },
        Field { name: "totalram", at: 32, size: 8, is: Host },
        Field { name: "freeram", at: 40, size: 8, is: Host },
        Field { name: "procs", at: 80, size: 2, is: Host },
    ],
};
/// `struct tms`.
pub static TMS: Layout = Layout {
    name: "struct tms",
    size: 32,
    form: Form::Struct,
    fields: &[
        Field { name: "tms_utime", at: 0, size: 8, is: Time },
        Field { name: "tms_stime", at: 8, size: 8, is: Time },
        Field { name: "tms_cutime", at: 16, size: 8, is: Time },
        Field { name: "tms_cstime", at: 24, size: 8, is: Time },
    ],
};
/// `struct __user_cap_header_struct`.
pub static CAP_HEADER: Layout = Layout {
    name: "struct __user_cap_header_struct",
    size: 8,
    form: Form::Struct,
    fields: &[
        Field { name: "version", at: 0, size: 4, is: Uint },
        Field { name: "pid", at: 4, size: 4, is: Pid },
    ],
};
