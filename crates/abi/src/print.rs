//! Prints calls as strace does, using only the table.
//!
//! All functions accept arbitrary bytes, since a trace may be damaged and a program may pass
//! nonsense, and never panic. The caller passes the captured bytes as a [`Captured`].

mod arguments;
mod brief;
mod captured;
mod errno;
mod form;
mod message;
mod quote;
mod signature;
mod value;

pub use arguments::{arguments, unknown};
pub use captured::{Captured, CapturedKind, Payload};
pub use errno::{errno_message, errno_name, errno_of, restart, result};
pub use form::formed;
pub use quote::{Hex, quote};
pub use signature::{kind_name, ret_name, signature};
pub use value::{flags, scalar, signal_name, structure};

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest number of bytes of a string that is not a path.
    pub strings: usize,
    /// The largest number of elements of an array.
    pub elements: usize,
    /// Whether all fields of structs, environments and directory entries are printed, as by `strace
    /// -v`.
    pub whole: bool,
    /// Which strings are printed in hexadecimal.
    pub hex: Hex,
}

impl Default for Options {
    /// As strace does: 32 bytes, 32 elements.
    fn default() -> Self {
        Self { strings: 32, elements: 32, whole: false, hex: Hex::Never }
    }
}

impl Options {
    /// Prints everything in full.
    pub const ALL: Self =
        Self { strings: usize::MAX, elements: usize::MAX, whole: true, hex: Hex::Never };
}

/// Appends formatted text to a string, which always takes it.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        std::fmt::Write::write_fmt($out, format_args!($($arg)*)).expect("a string takes all text")
    };
}
use put;

/// Appends the items in brackets, separated by commas; `...` replaces those after the first `most`.
fn list<T>(
    items: impl Iterator<Item = T>,
    most: usize,
    out: &mut String,
    mut each: impl FnMut(T, &mut String),
) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        if i >= most {
            out.push_str("...");
            break;
        }
        each(item, out);
    }
    out.push(']');
}

/// Returns the little-endian number of `width` bytes at offset `at`. Returns `None` if the bytes
/// end before, or if `width` exceeds 8.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    let mut word = [0; 8];
    word.get_mut(..width)?.copy_from_slice(part);
    Some(u64::from_le_bytes(word))
}

/// Returns the value of a numeric field, or `None` if the bytes end before it or it is text.
pub fn field(f: &crate::Field, bytes: &[u8]) -> Option<u64> {
    number(bytes, f.at as usize, f.size as usize)
}
