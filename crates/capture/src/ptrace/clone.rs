//! Calls that make threads and processes, and the flag CLONE_UNTRACED.
//!
//! The kernel does not report a child that is made with that flag to the tracer. So the flag is
//! cleared while the call runs, and set again, in the parent and in the child, before either of
//! them is resumed.

use super::stopped::{Gone, Stopped};
use crate::command::seccomp::{AUDIT_ARCH_X86_64, X32_SYSCALL_BIT};
use crate::inspect::memory::read_u64;

const UNTRACED: u64 = libc::CLONE_UNTRACED as u64;

/// A call, still running, that makes a thread or a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct CloneCall {
    /// The clone flags as the program gave them.
    pub flags: u64,
    /// When it was entered, in nanoseconds.
    pub entered: u64,
    /// Whether the kernel has reported the child.
    pub reported: bool,
    /// Where the flags were patched, if they were.
    pub patched: Option<PatchedFlags>,
}

/// Where flags are stored that were patched.
#[derive(Clone, Copy, Debug)]
pub(super) enum PatchedFlags {
    /// In the register of the first argument. `compat`: of a 32-bit call.
    Register { compat: bool },
    /// In a `struct clone_args` at this address.
    Memory(u64),
}

/// Where a call has its flags.
enum FlagsLocation {
    /// The call always has these flags.
    Implied(u64),
    /// In the first argument.
    Register,
    /// In the `struct clone_args` that the first argument points to.
    Memory,
}

/// Numbers of the calls that make threads on i386 (`arch/x86/entry/syscalls/syscall_32.tbl`).
mod i386 {
    pub const FORK: u64 = 2;
    pub const CLONE: u64 = 120;
    pub const VFORK: u64 = 190;
    pub const CLONE3: u64 = 435;
}

/// Returns where call `number` of architecture `arch` (an `AUDIT_ARCH_*`) has its clone flags, or
/// `None` if it makes no thread. Knows the x86-64, x32 and i386 numbers.
fn flags_location(arch: u32, number: u64) -> Option<FlagsLocation> {
    const VFORK: u64 = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64;
    const FORK: u64 = libc::SIGCHLD as u64;
    if arch != AUDIT_ARCH_X86_64 {
        return Some(match number {
            i386::FORK => FlagsLocation::Implied(FORK),
            i386::VFORK => FlagsLocation::Implied(VFORK),
            i386::CLONE => FlagsLocation::Register,
            i386::CLONE3 => FlagsLocation::Memory,
            _ => return None,
        });
    }
    Some(match (number & !X32_SYSCALL_BIT) as i64 {
        libc::SYS_fork => FlagsLocation::Implied(FORK),
        libc::SYS_vfork => FlagsLocation::Implied(VFORK),
        libc::SYS_clone => FlagsLocation::Register,
        libc::SYS_clone3 => FlagsLocation::Memory,
        _ => return None,
    })
}

impl CloneCall {
    /// Returns whether the new thread or process shares its memory with the one that makes it.
    pub fn shares_memory(&self) -> bool {
        self.flags & libc::CLONE_VM as u64 != 0
    }

    /// Makes a call with these flags, of which nothing has been reported or patched.
    pub fn new(flags: u64, entered: u64) -> Self {
        Self { flags, entered, reported: false, patched: None }
    }

    /// Returns the call that a thread is entering if it makes a thread or a process, or `None` if
    /// it does not.
    pub fn from_entry(
        tid: i32,
        arch: u32,
        number: u64,
        args: &[u64; 6],
        entered: u64,
    ) -> Option<Self> {
        let flags = match flags_location(arch, number)? {
            FlagsLocation::Implied(flags) => flags,
            FlagsLocation::Register => args[0] & 0xffff_ffff,
            FlagsLocation::Memory => read_u64(tid, args[0]).unwrap_or(0),
        };
        Some(Self::new(flags, entered))
    }

    /// Returns whether the call makes a thread of the same process.
    pub fn is_thread(&self) -> bool {
        self.flags & libc::CLONE_THREAD as u64 != 0
    }

    /// Clears CLONE_UNTRACED in the stopped thread that is entering this call. If that fails, the
    /// child is not traced, and is counted as missing at the exit of the call.
    pub fn clear_untraced(&mut self, stopped: &Stopped, arch: u32, number: u64, args: &[u64; 6]) {
        if self.flags & UNTRACED == 0 {
            return;
        }
        let patched = match flags_location(arch, number) {
            Some(FlagsLocation::Register) => {
                PatchedFlags::Register { compat: arch != AUDIT_ARCH_X86_64 }
            }
            Some(FlagsLocation::Memory) => PatchedFlags::Memory(args[0]),
            _ => return,
        };
        if patched.store(stopped, self.flags & !UNTRACED).is_ok() {
            self.patched = Some(patched);
        }
    }

    /// Stores the flags of the program again in the stopped thread, if they were patched.
    pub fn restore_untraced(&mut self, stopped: &Stopped) {
        if let Some(patched) = self.patched.take() {
            let _ = patched.store(stopped, self.flags);
        }
    }

    /// Returns what must be restored in the child: where, and the flags. `None` if nothing was
    /// patched, or it was patched in memory that the child shares with its parent.
    pub fn patched_in_child(&self) -> Option<(PatchedFlags, u64)> {
        let shared = self.flags & libc::CLONE_VM as u64 != 0;
        self.patched
            .filter(|c| !(shared && matches!(c, PatchedFlags::Memory(_))))
            .map(|patched| (patched, self.flags))
    }
}

impl PatchedFlags {
    /// Stores these flags in a stopped thread.
    pub fn store(self, stopped: &Stopped, flags: u64) -> Result<(), Gone> {
        match self {
            Self::Register { compat } => stopped.change_registers(|r| {
                // The kernel ignores the upper half of a 32-bit argument; it is preserved.
                let register = if compat { &mut r.rbx } else { &mut r.rdi };
                *register = *register & !0xffff_ffff | flags;
            }),
            Self::Memory(address) => stopped.poke(address, flags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_make_threads() {
        const I386: u32 = 0x4000_0003;
        let flags = |arch, number, first| {
            CloneCall::from_entry(0, arch, number, &[first, 0, 0, 0, 0, 0], 0).map(|m| m.flags)
        };
        let clone = libc::SYS_clone as u64;
        assert_eq!(flags(AUDIT_ARCH_X86_64, clone, 0xff_0000_0011), Some(0x11));
        assert_eq!(flags(AUDIT_ARCH_X86_64, X32_SYSCALL_BIT | clone, 0x11), Some(0x11));
        assert_eq!(flags(I386, 120, 0x11), Some(0x11));
        assert_eq!(flags(I386, clone, 0x11), None, "fstat there");
        assert_eq!(flags(AUDIT_ARCH_X86_64, 120, 0x11), None, "getresgid here");
        assert_eq!(flags(AUDIT_ARCH_X86_64, libc::SYS_vfork as u64, 0), Some(0x4111));
        assert_eq!(flags(I386, 2, 0), Some(17));
    }

    #[test]
    fn what_is_put_back_in_the_child() {
        let with =
            |patched, flags| CloneCall { patched: Some(patched), ..CloneCall::new(flags, 0) };
        let register = PatchedFlags::Register { compat: false };
        let vm = libc::CLONE_VM as u64;
        assert!(with(register, vm).patched_in_child().is_some(), "registers are a thread's own");
        assert!(
            with(PatchedFlags::Memory(8), 0).patched_in_child().is_some(),
            "a copy of the memory"
        );
        assert!(with(PatchedFlags::Memory(8), vm).patched_in_child().is_none(), "the same memory");
        assert!(CloneCall::new(vm, 0).patched_in_child().is_none());
    }
}
