//! The filter of `--seccomp`: the kernel sends us wanted calls, and those by which we follow
//! threads and programs; it lets the others pass without a stop.
//!
//! A filter cannot be taken back. When its tracer is gone a call that it sends to the tracer fails
//! with ENOSYS.

use crate::options::CallSet;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::OnceLock;

/// `AUDIT_ARCH_X86_64` (`include/uapi/linux/audit.h`).
pub(crate) const ARCH: u32 = 0xc000_003e;
/// Numbers from here on are of the x32 ABI.
pub(crate) const X32: u64 = linux_raw_sys::general::__X32_SYSCALL_BIT as u64;
/// Calls that make threads, replace programs and install filters: always seen.
const FAMILY: [i64; 7] = [
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_seccomp,
];
/// More calls than any kernel has.
const NUMBERS: u32 = 512;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn op(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// The filter's program.
pub(crate) fn program(wanted: &CallSet) -> Vec<libc::sock_filter> {
    let trace = op(RETURN, libc::SECCOMP_RET_TRACE | u32::from(tag()), 0, 0);
    // `struct seccomp_data`: the number at byte 0, the architecture at byte 4.
    let mut program = vec![
        op(LOAD, 4, 0, 0),
        op(EQUAL, ARCH, 1, 0),
        trace,
        op(LOAD, 0, 0, 0),
        op(AT_LEAST, NUMBERS, 0, 1),
        trace,
    ];
    for number in (0..NUMBERS).filter(|n| wanted.contains(*n) || FAMILY.contains(&i64::from(*n))) {
        program.extend([op(EQUAL, number, 0, 1), trace]);
    }
    // `prctl(PR_SET_SECCOMP, ...)`: `args[0]` at byte 16.
    program.extend([
        op(EQUAL, libc::SYS_prctl as u32, 0, 3),
        op(LOAD, 16, 0, 0),
        op(EQUAL, libc::PR_SET_SECCOMP as u32, 0, 1),
        trace,
    ]);
    program.push(op(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    program
}

/// What our filter says along with `SECCOMP_RET_TRACE`. Of several filters that say so the kernel
/// tells what the one says that was installed last (seccomp(2)), so a filter of the program is
/// known by its own number. Ours is different in each recorder: a program knows no number to avoid.
pub(crate) fn tag() -> u16 {
    static TAG: OnceLock<u16> = OnceLock::new();
    *TAG.get_or_init(|| {
        let random = std::hash::RandomState::new().build_hasher().finish();
        // Small numbers are what programs take.
        (random as u16) | 0x8000
    })
}

/// Whether this call may install a filter.
pub(crate) fn installs_filter(arch: u32, number: u64, args: &[u64; 6]) -> bool {
    const I386: (u64, u64) = (172, 354);
    let (prctl, seccomp) =
        if arch == ARCH { (libc::SYS_prctl as u64, libc::SYS_seccomp as u64) } else { I386 };
    let number = number & !X32;
    number == seccomp || (number == prctl && args[0] as i32 == libc::PR_SET_SECCOMP)
}

/// Installs the filter in the calling process. Only system calls: this runs between fork and exec.
pub(crate) fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    let filter =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let set = || {
        // SAFETY: `filter` points to a program that outlives the call.
        unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                &raw const filter,
            )
        }
    };
    if set() == 0 {
        return Ok(());
    }
    // An unprivileged process must renounce privileges first (seccomp(2)).
    // SAFETY: takes numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0 && set() == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
