//! The names of bits and of enumerated values, from `include/uapi/linux`.

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

/// A set of named bits, or an enumeration if [`Flags::one_of`] is true.
#[derive(PartialEq, Eq, Debug)]
pub struct Flags {
    /// The common prefix of the names (`O_`).
    pub name: &'static str,
    /// Values and their names. Of two values with common bits, the one with more bits comes first.
    pub bits: &'static [(u64, &'static str)],
    /// Whether this is an enumeration: the whole value has one name.
    pub one_of: bool,
    /// Bits that hold an enumerated value of their own (`O_ACCMODE`), with its names. They are
    /// printed first.
    pub field: Option<(u64, &'static [(u64, &'static str)])>,
    /// The bit that requests close-on-exec, or 0.
    pub cloexec: u64,
    /// The bits that make the call fail when it would otherwise block (`RWF_NOWAIT`).
    pub nonblocking: u64,
}

impl Flags {
    /// Creates a set of bits.
    pub const fn bits(name: &'static str, bits: &'static [(u64, &'static str)]) -> Self {
        Self { name, bits, one_of: false, field: None, cloexec: 0, nonblocking: 0 }
    }
    /// Creates an enumeration.
    pub const fn one_of(name: &'static str, bits: &'static [(u64, &'static str)]) -> Self {
        Self { name, bits, one_of: true, field: None, cloexec: 0, nonblocking: 0 }
    }
    /// Sets the bits that hold an enumerated value of their own.
    pub const fn with_field(mut self, mask: u64, names: &'static [(u64, &'static str)]) -> Self {
        self.field = Some((mask, names));
        self
    }
    /// Sets the bit that requests close-on-exec.
    pub const fn with_cloexec(mut self, bit: u64) -> Self {
        self.cloexec = bit;
        self
    }
    /// Sets the bits that make the call fail when it would otherwise block.
    pub const fn with_nonblocking(mut self, bits: u64) -> Self {
        self.nonblocking = bits;
        self
    }
}
