//! Calls that make threads and processes, and how a child of one is kept from us: CLONE_UNTRACED.
//!
//! The kernel tells a tracer of no child that was made with that flag. So it is taken away while
//! the call runs, and put back, in the parent and in the child, before either goes on.

use super::stopped::{Gone, Stopped};
use crate::command::seccomp::{ARCH, X32};
use crate::inspect::memory::read_u64;

const UNTRACED: u64 = libc::CLONE_UNTRACED as u64;

/// A call under way that makes a thread or a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct CloneCall {
    /// What it asks for, as the program said it.
    pub flags: u64,
    /// When it was entered.
    pub entered: u64,
    /// The kernel has told us of the child.
    pub reported: bool,
    /// What we changed.
    pub changed: Option<PatchedFlags>,
}

/// Where the flags were that we changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum PatchedFlags {
    /// The first argument.
    Register { compat: bool },
    /// `struct clone_args`.
    Memory(u64),
}

/// Where a call's flags are.
enum FlagsLocation {
    Implied(u64),
    Register,
    Memory,
}

/// What a number means: the calls of all three tables that make threads.
fn flags_location(arch: u32, number: u64) -> Option<FlagsLocation> {
    const VFORK: u64 = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64;
    const FORK: u64 = libc::SIGCHLD as u64;
    if arch != ARCH {
        // arch/x86/entry/syscalls/syscall_32.tbl
        return Some(match number {
            2 => FlagsLocation::Implied(FORK),
            190 => FlagsLocation::Implied(VFORK),
            120 => FlagsLocation::Register,
            435 => FlagsLocation::Memory,
            _ => return None,
        });
    }
    Some(match (number & !X32) as i64 {
        libc::SYS_fork => FlagsLocation::Implied(FORK),
        libc::SYS_vfork => FlagsLocation::Implied(VFORK),
        libc::SYS_clone => FlagsLocation::Register,
        libc::SYS_clone3 => FlagsLocation::Memory,
        _ => return None,
    })
}

impl CloneCall {
    pub fn new(flags: u64, entered: u64) -> Self {
        Self { flags, entered, reported: false, changed: None }
    }

    /// What a thread that is entering this call makes, if it makes something.
    pub fn of(tid: i32, arch: u32, number: u64, args: &[u64; 6], entered: u64) -> Option<Self> {
        let flags = match flags_location(arch, number)? {
            FlagsLocation::Implied(flags) => flags,
            FlagsLocation::Register => args[0] & 0xffff_ffff,
            FlagsLocation::Memory => read_u64(tid, args[0]).unwrap_or(0),
        };
        Some(Self::new(flags, entered))
    }

    /// Whether it makes a thread of the same process.
    pub fn is_thread(&self) -> bool {
        self.flags & libc::CLONE_THREAD as u64 != 0
    }

    /// Takes the flag away that would keep the child from us. Should that fail the child is not
    /// seen, and its parent's exit says so.
    pub fn clear_untraced(&mut self, stopped: &Stopped, arch: u32, number: u64, args: &[u64; 6]) {
        if self.flags & UNTRACED == 0 {
            return;
        }
        let changed = match flags_location(arch, number) {
            Some(FlagsLocation::Register) => PatchedFlags::Register { compat: arch != ARCH },
            Some(FlagsLocation::Memory) => PatchedFlags::Memory(args[0]),
            _ => return,
        };
        if changed.store(stopped, self.flags & !UNTRACED).is_ok() {
            self.changed = Some(changed);
        }
    }

    /// Puts it back.
    pub fn restore_untraced(&mut self, stopped: &Stopped) {
        if let Some(changed) = self.changed.take() {
            let _ = changed.store(stopped, self.flags);
        }
    }

    /// What is to be put back in the child: all that it does not share with its parent.
    pub fn patched_in_child(&self) -> Option<(PatchedFlags, u64)> {
        let shared = self.flags & libc::CLONE_VM as u64 != 0;
        self.changed
            .filter(|c| !(shared && matches!(c, PatchedFlags::Memory(_))))
            .map(|changed| (changed, self.flags))
    }
}

impl PatchedFlags {
    /// Stores these flags in a stopped thread.
    pub fn store(self, stopped: &Stopped, flags: u64) -> Result<(), Gone> {
        match self {
            Self::Register { compat } => stopped.change(|r| {
                // The upper half of a 32-bit argument means nothing, and is kept.
                let place = if compat { &mut r.rbx } else { &mut r.rdi };
                *place = *place & !0xffff_ffff | flags;
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
            CloneCall::of(0, arch, number, &[first, 0, 0, 0, 0, 0], 0).map(|m| m.flags)
        };
        let clone = libc::SYS_clone as u64;
        assert_eq!(flags(ARCH, clone, 0xff_0000_0011), Some(0x11));
        assert_eq!(flags(ARCH, X32 | clone, 0x11), Some(0x11));
        assert_eq!(flags(I386, 120, 0x11), Some(0x11));
        assert_eq!(flags(I386, clone, 0x11), None, "fstat there");
        assert_eq!(flags(ARCH, 120, 0x11), None, "getresgid here");
        assert_eq!(flags(ARCH, libc::SYS_vfork as u64, 0), Some(0x4111));
        assert_eq!(flags(I386, 2, 0), Some(17));
    }

    #[test]
    fn what_is_put_back_in_the_child() {
        let with =
            |changed, flags| CloneCall { changed: Some(changed), ..CloneCall::new(flags, 0) };
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
