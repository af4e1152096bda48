//! Structs of processes, signals and time.

use super::FieldKind::*;
use super::{Brief, Field, Form, Layout, Style, layout};
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
        it_interval.tv_sec: Time, it_interval.tv_nsec: Time, it_value.tv_sec: Time,
        it_value.tv_nsec: Time,
    }
}
layout! {
    /// `struct itimerval`.
    ITIMERVAL = Struct "struct itimerval" raw::__kernel_old_itimerval {
        it_interval.tv_sec: Time, it_interval.tv_usec: Time, it_value.tv_sec: Time,
        it_value.tv_usec: Time,
    }
}
layout! {
    /// `struct rlimit`, and `struct rlimit64`, which is the same on 64-bit kernels.
    RLIMIT = Struct "struct rlimit" raw::rlimit64 {
        rlim_cur: Uint => style(Style::Limit), rlim_max: Uint => style(Style::Limit),
    }
}
layout! {
    /// `struct rusage`.
    RUSAGE = Struct "struct rusage" raw::rusage {
        ru_utime.tv_sec: Time => brief, ru_utime.tv_usec: Time => brief,
        ru_stime.tv_sec: Time => brief, ru_stime.tv_usec: Time => brief, ru_maxrss: Host,
        ru_minflt: Host, ru_majflt: Host,
        ru_inblock: Host, ru_oublock: Host, ru_nvcsw: Host, ru_nivcsw: Host,
    }
}
layout! {
    /// `struct clone_args`.
    CLONE_ARGS = Struct "struct clone_args" raw::clone_args {
        flags: Flags(&names::CLONE), pidfd: Addr, child_tid: Addr, parent_tid: Addr,
        exit_signal: Flags(&names::SIGNAL), stack: Addr, stack_size: Uint,
        tls: Addr, set_tid: Addr, set_tid_size: Uint, cgroup: Fd,
    }
}
layout! {
    /// `stack_t`.
    SIGALTSTACK = Struct "stack_t" raw::sigaltstack { ss_sp: Addr, ss_flags: Int, ss_size: Uint }
}
layout! {
    /// `struct futex_waitv[]`.
    FUTEX_WAITV = Array "struct futex_waitv" raw::futex_waitv {
        val: Uint, uaddr: Addr, flags: Uint,
    }
}
/// `struct sigaction` as the kernel takes it; between flags and mask stands the restorer.
pub static SIGACTION: Layout = Layout {
    name: "struct sigaction",
    size: 32,
    form: Form::Struct,
    fields: &[
        Field::new("sa_handler", 0, 8, Addr).names(&names::SIG_HANDLER),
        Field::new("sa_mask", 24, 8, Flags(&SIGSET_BITS)),
        Field::new("sa_flags", 8, 8, Flags(&names::SA)),
        // Nothing looks at it without the flag that goes with it.
        Field::new("sa_restorer", 16, 8, Addr).shown(Brief::IfSet),
    ],
};

/// Returns the bits of a signal set with the names of the signals: bit 0 is signal 1.
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
    fields: &[Field::new("", 0, 8, Flags(&SIGSET_BITS))],
};
/// The start of `siginfo_t` (128 bytes).
pub static SIGINFO: Layout = Layout {
    name: "siginfo_t",
    size: 128,
    form: Form::Struct,
    fields: &[
        Field::new("si_signo", 0, 4, Flags(&names::SIGNAL)),
        Field::new("si_errno", 4, 4, Int),
        Field::new("si_code", 8, 4, Int),
        Field::new("si_pid", 16, 4, Pid),
        Field::new("si_uid", 20, 4, Uid),
        Field::new("si_status", 24, 4, Int),
    ],
};
/// `struct new_utsname`.
pub static UTSNAME: Layout = Layout {
    name: "struct utsname",
    size: 390,
    form: Form::Struct,
    fields: &[
        Field::new("sysname", 0, 65, Text).brief(),
        Field::new("nodename", 65, 65, Text).brief(),
        Field::new("release", 130, 65, Text),
        Field::new("version", 195, 65, Text),
        Field::new("machine", 260, 65, Text),
        Field::new("domainname", 325, 65, Text),
    ],
};
/// `struct sysinfo`.
pub static SYSINFO: Layout = Layout {
    name: "struct sysinfo",
    size: 112,
    form: Form::Struct,
    fields: &[
        Field::new("uptime", 0, 8, Host),
        Field::new("totalram", 32, 8, Host),
        Field::new("freeram", 40, 8, Host),
        Field::new("procs", 80, 2, Host),
    ],
};
/// `struct tms`.
pub static TMS: Layout = Layout {
    name: "struct tms",
    size: 32,
    form: Form::Struct,
    fields: &[
        Field::new("tms_utime", 0, 8, Time),
        Field::new("tms_stime", 8, 8, Time),
        Field::new("tms_cutime", 16, 8, Time),
        Field::new("tms_cstime", 24, 8, Time),
    ],
};
/// `struct __user_cap_header_struct`.
pub static CAP_HEADER: Layout = Layout {
    name: "struct __user_cap_header_struct",
    size: 8,
    form: Form::Struct,
    fields: &[Field::new("version", 0, 4, Uint), Field::new("pid", 4, 4, Pid)],
};
