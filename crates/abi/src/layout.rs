//! How the bytes that a pointer leads to are laid out: enough to print them, and to compare them field by field after a replay.

use crate::Flags;

/// What a field of a struct means; what cannot be equal on another file system is told by this, not by the struct's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Is {
    /// A signed number, compared.
    Int,
    /// An unsigned number, compared.
    Uint,
    /// A file's type and mode, compared.
    Mode,
    /// A set of bits or an enumeration, compared.
    Flags(&'static Flags),
    /// A file's size, compared except for directories.
    Size,
    /// A number of links, compared where replay knows all of the file's names.
    Links,
    /// An owner, compared where replay runs with the recorded credentials.
    Uid,
    /// A group, compared where replay runs with the recorded credentials.
    Gid,
    /// A device number: never equal.
    Dev,
    /// An inode number: never equal.
    Ino,
    /// A time: never equal.
    Time,
    /// Space, blocks, generations, capacities: the file system's own affair, never equal.
    Host,
    /// A descriptor of the traced process.
    Fd,
    /// A process or thread of the traced system: never equal.
    Pid,
    /// An address: never equal.
    Addr,
    /// Padding.
    Pad,
}

/// One field: `size` bytes (1, 2, 4 or 8, little-endian on the architectures supported) at byte `at`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The kernel's name for it.
    pub name: &'static str,
    /// Offset in bytes.
    pub at: u32,
    /// Width in bytes.
    pub size: u8,
    /// What it means.
    pub is: Is,
}

/// The overall form of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The data that the call moves: they go to the trace's `data` column and are compared byte for byte.
    Data,
    /// Bytes that mean nothing further to us, compared byte for byte.
    Opaque,
    /// Bytes that the system fills as it likes: printed, never compared.
    Host,
    /// One struct of [`Layout::fields`].
    Struct,
    /// An array of structs of [`Layout::size`] bytes each.
    Array,
    /// `struct linux_dirent` entries: names and types compared as a set over the whole listing.
    Dirents,
    /// `struct linux_dirent64` entries, likewise.
    Dirents64,
    /// NUL-terminated names one after the other (listxattr), compared as a set.
    Names,
    /// A path or other text that the kernel returns (readlink, getcwd), compared as text.
    Text,
    /// An array of `int` descriptors.
    Fds,
}

/// A named layout.
#[derive(PartialEq, Eq, Debug)]
pub struct Layout {
    /// The C name (`struct stat`), or a word for a form without one.
    pub name: &'static str,
    /// Bytes of one struct; 0 where the form has no fixed size.
    pub size: u32,
    /// The form of the whole.
    pub form: Form,
    /// The fields of [`Form::Struct`] and [`Form::Array`], in order.
    pub fields: &'static [Field],
}

impl Layout {
    /// A layout without fields.
    pub const fn plain(name: &'static str, form: Form) -> Self {
        Self { name, size: 0, form, fields: &[] }
    }
}

/// The bytes that a call moves.
pub static DATA: Layout = Layout::plain("data", Form::Data);
/// Bytes compared but not decoded.
pub static OPAQUE: Layout = Layout::plain("bytes", Form::Opaque);
/// Bytes neither decoded nor compared.
pub static HOST: Layout = Layout::plain("host", Form::Host);
/// Text from the kernel.
pub static TEXT: Layout = Layout::plain("text", Form::Text);
/// A list of names.
pub static NAMES: Layout = Layout::plain("names", Form::Names);
/// `struct linux_dirent[]`.
pub static DIRENTS: Layout = Layout::plain("struct linux_dirent", Form::Dirents);
/// `struct linux_dirent64[]`.
pub static DIRENTS64: Layout = Layout::plain("struct linux_dirent64", Form::Dirents64);
/// `int[]` of descriptors.
pub static FDS: Layout = Layout::plain("int", Form::Fds);
