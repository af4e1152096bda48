//! Names of bits and of enumerated values, from `include/uapi/linux`.

pub mod file;
pub mod io;
pub mod ioctl;
pub mod net;
pub mod process;

/// Pairs constants with their names, so that each architecture has its own values: those in scope,
/// or in groups `module: NAME, NAME; module: NAME`. A constant that no crate has stands in a group
/// `kernel` with its value from `include/uapi`: `kernel: NAME = 0x20`.
macro_rules! names {
    ($($name:ident),* $(,)?) => { &[$(($name as u64, stringify!($name))),*] };
    ($($from:ident: $($name:ident $(= $value:literal)?),+);+) => {
        &[$($((names!(@value $from $name $(= $value)?), stringify!($name))),+),+]
    };
    (@value $from:ident $name:ident) => { $from::$name as u64 };
    (@value $from:ident $name:ident = $value:literal) => { $value };
}
use names;

/// A set of named bits, or of named values when [`Flags::one_of`] is set.
#[derive(PartialEq, Eq, Debug)]
pub struct Flags {
    /// What the set is called (`O_`).
    pub name: &'static str,
    /// Values and names; of overlapping ones the wider first.
    pub bits: &'static [(u64, &'static str)],
    /// An enumeration: the whole value has one name.
    pub one_of: bool,
    /// The bits that are compared as a number of their own before the others (`O_ACCMODE`), with
    /// their names.
    pub field: Option<(u64, &'static [(u64, &'static str)])>,
    /// The bit that asks for close-on-exec, or 0.
    pub cloexec: u64,
    /// The bits that let a call fail because of the moment alone (`RWF_NOWAIT`).
    pub nonblocking: u64,
}

impl Flags {
    /// A set of bits.
    pub const fn bits(name: &'static str, bits: &'static [(u64, &'static str)]) -> Self {
        Self { name, bits, one_of: false, field: None, cloexec: 0, nonblocking: 0 }
    }
    /// An enumeration.
    pub const fn one_of(name: &'static str, bits: &'static [(u64, &'static str)]) -> Self {
        Self { name, bits, one_of: true, field: None, cloexec: 0, nonblocking: 0 }
    }
    /// Adds a numeric field under `mask`.
    pub const fn with_field(mut self, mask: u64, names: &'static [(u64, &'static str)]) -> Self {
        self.field = Some((mask, names));
        self
    }
    /// Says which bit means close-on-exec.
    pub const fn with_cloexec(mut self, bit: u64) -> Self {
        self.cloexec = bit;
        self
    }
    /// Says which bits let a call fail because of the moment alone.
    pub const fn with_nonblocking(mut self, bits: u64) -> Self {
        self.nonblocking = bits;
        self
    }
}
