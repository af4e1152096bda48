//! The seccomp filter of `--seccomp`. Only calls that are recorded, and those that make threads,
//! execute programs or install filters, stop for the tracer; all others run without a stop.
//!
//! A filter cannot be removed. When its tracer has gone, a call that the filter sends to the tracer
//! fails with ENOSYS.

use crate::options::CallSet;
use crate::plans::aio_meaning;
use abi::{AIO, AIO_OPCODES};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::OnceLock;

/// The 64-bit architecture, as in `struct seccomp_data` (`include/uapi/linux/audit.h`).
pub(crate) const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Set in the system call numbers of the x32 ABI.
pub(crate) const X32_SYSCALL_BIT: u64 = linux_raw_sys::general::__X32_SYSCALL_BIT as u64;
/// Calls that make threads, execute programs or install filters. They stop always.
const ALWAYS_TRACED: [i64; 7] = [
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_seccomp,
];
/// Greater than every system call number of the kernel. Numbers from here on stop always.
const NUMBER_LIMIT: u32 = 512;

/// Loads a word of `struct seccomp_data`.
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
/// Compares for equality.
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
/// Compares for greater or equal.
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
/// Returns from the filter.
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Makes one instruction of the filter. `jt` and `jf` are how many instructions a comparison skips
/// if it is true or false.
fn instruction(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Builds the filter for recording the calls in `wanted`.
pub(crate) fn build_filter(wanted: &CallSet) -> Vec<libc::sock_filter> {
    let trace = instruction(RETURN, libc::SECCOMP_RET_TRACE | u32::from(filter_tag()), 0, 0);
    // `struct seccomp_data`: the number at byte 0, the architecture at byte 4.
    let mut program = vec![
        instruction(LOAD, 4, 0, 0),
        instruction(EQUAL, AUDIT_ARCH_X86_64, 1, 0),
        trace,
        instruction(LOAD, 0, 0, 0),
        instruction(AT_LEAST, NUMBER_LIMIT, 0, 1),
        trace,
    ];
    // Without the calls that use contexts of libaio, its operations do not show.
    let wants_aio = (AIO..AIO + AIO_OPCODES).any(|number| wanted.contains(number));
    let is_traced = |n: &u32| {
        wanted.contains(*n)
            || ALWAYS_TRACED.contains(&i64::from(*n))
            || wants_aio && aio_meaning(*n).is_some()
    };
    for number in (0..NUMBER_LIMIT).filter(is_traced) {
        program.extend([instruction(EQUAL, number, 0, 1), trace]);
    }
    // `prctl(PR_SET_SECCOMP, ...)`: `args[0]` at byte 16.
    program.extend([
        instruction(EQUAL, libc::SYS_prctl as u32, 0, 3),
        instruction(LOAD, 16, 0, 0),
        instruction(EQUAL, libc::PR_SET_SECCOMP as u32, 0, 1),
        trace,
    ]);
    program.push(instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    program
}

/// Returns the value that the recorder's filter returns with `SECCOMP_RET_TRACE`. If several
/// filters return that, the kernel reports the value of the filter that was installed last
/// (seccomp(2)), so a filter of the program is recognized by another value. The value is random per
/// recorder, so no program can choose the same one.
pub(crate) fn filter_tag() -> u16 {
    static TAG: OnceLock<u16> = OnceLock::new();
    *TAG.get_or_init(|| {
        let random = std::hash::RandomState::new().build_hasher().finish();
        // Programs tend to use small values.
        (random as u16) | 0x8000
    })
}

/// Returns whether this call may install a seccomp filter.
pub(crate) fn installs_filter(arch: u32, number: u64, args: &[u64; 6]) -> bool {
    /// The numbers of the same two calls on i386.
    const I386: (u64, u64) = (172, 354);
    let (prctl, seccomp) = if arch == AUDIT_ARCH_X86_64 {
        (libc::SYS_prctl as u64, libc::SYS_seccomp as u64)
    } else {
        I386
    };
    let number = number & !X32_SYSCALL_BIT;
    number == seccomp || (number == prctl && args[0] as i32 == libc::PR_SET_SECCOMP)
}

/// Installs the filter in the calling process, and sets no_new_privs if that is needed. Runs
/// between fork and exec, so it makes only system calls. Fails with the error of the kernel.
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
    // An unprivileged process must set no_new_privs first (seccomp(2)).
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0 && set() == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
