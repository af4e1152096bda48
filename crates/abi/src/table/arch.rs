//! System calls on other architectures. They are found by name, because their numbers differ.

use crate::Row;

/// An architecture whose system call numbers are known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arch {
    /// x86-64, whose numbers the table has.
    X86_64,
    /// aarch64, which uses the generic table of numbers.
    Aarch64,
}

/// Calls that the `syscalls` crate names differently for aarch64: the table's name, and the name
/// there.
const AARCH64_NAMES: &[(&str, &str)] = &[("newfstatat", "fstatat")];

/// Returns the number of the call `name` on `arch`, or `None` if it does not exist there. Newer
/// architectures lack `open`, `stat`, `fork` and others.
pub fn number_on(arch: Arch, name: &str) -> Option<u32> {
    match arch {
        Arch::X86_64 => crate::by_name(name).map(|row| row.number),
        Arch::Aarch64 => {
            let name = AARCH64_NAMES
                .iter()
                .find(|(ours, _)| *ours == name)
                .map_or(name, |(_, theirs)| theirs);
            name.parse::<syscalls::aarch64::Sysno>().ok().map(|s| s as u32)
        }
    }
}

impl Row {
    /// Returns the number of the call on `arch`, or `None` if it does not exist there.
    pub fn number_on(&self, arch: Arch) -> Option<u32> {
        number_on(arch, self.name())
    }
}
