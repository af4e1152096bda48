//! Calls on other architectures: they go by name, for the numbers differ.

use crate::Row;

/// An architecture whose traces and layouts are considered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arch {
    /// x86-64: the table's own numbers.
    X86_64,
    /// aarch64, with the generic table of numbers.
    Aarch64,
}

/// Names that the `syscalls` crate spells differently for aarch64.
const SPELT: &[(&str, &str)] = &[("newfstatat", "fstatat")];

/// The number of the call with this name; `None` if that architecture does not have it (the calls
/// without `at` of old: `open`, `stat`, `fork`, …).
pub fn number_on(arch: Arch, name: &str) -> Option<u32> {
    match arch {
        Arch::X86_64 => crate::by_name(name).map(|row| row.number),
        Arch::Aarch64 => {
            let name =
                SPELT.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs);
            name.parse::<syscalls::aarch64::Sysno>().ok().map(|s| s as u32)
        }
    }
}

impl Row {
    /// The call's number on `arch`, if it is there.
    pub fn number_on(&self, arch: Arch) -> Option<u32> {
        number_on(arch, self.name())
    }
}
