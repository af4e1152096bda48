//! The layout of the bytes that a pointer leads to: enough to print a struct, and to compare it
//! field by field after a replay.

use crate::Flags;

pub mod control;
pub mod file;
pub mod io;
pub mod net;
pub mod process;

pub use file::*;
pub use io::*;
pub use net::*;
pub use process::*;

/// What a field of a struct means, and whether replay compares it. Fields that differ between
/// machines or file systems are not compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// A signed number. It is compared.
    Int,
    /// An unsigned number. It is compared.
    Uint,
    /// A file type and mode. It is compared.
    Mode,
    /// A set of bits or an enumerated value. It is compared.
    Flags(&'static Flags),
    /// A file size. It is compared except for directories.
    Size,
    /// A number of hard links. It is compared if replay knows all names of the file.
    Links,
    /// An owner. It is compared if replay runs with the recorded credentials.
    Uid,
    /// A group. It is compared if replay runs with the recorded credentials.
    Gid,
    /// A device number. It is not compared.
    Dev,
    /// An inode number. It is not compared.
    Ino,
    /// A time. It is not compared.
    Time,
    /// A number that depends on the machine or the file system, such as free space. It is not
    /// compared.
    Host,
    /// A descriptor of the recorded process.
    Fd,
    /// A process or thread id. It is not compared.
    Pid,
    /// An address. It is not compared.
    Addr,
    /// Padding.
    Pad,
    /// Characters up to a NUL or to the end of the field, of any width. They are compared.
    Text,
}

/// A field of a struct, little-endian. Its width is 1, 2, 4 or 8 bytes; a [`FieldKind::Text`] may
/// have any width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The kernel's name of the field.
    pub name: &'static str,
    /// The offset in bytes.
    pub at: u32,
    /// The width in bytes.
    pub size: u8,
    /// What the field means.
    pub kind: FieldKind,
    /// Whether abbreviated output shows it.
    pub brief: Brief,
    /// How it is printed.
    pub style: Style,
}

/// Whether a field is shown in abbreviated output, which is what strace prints without `-v`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brief {
    /// It is shown if no field of the struct has another value of this enum.
    Unmarked,
    /// It is shown.
    Shown,
    /// It is shown if the struct describes a device node.
    OfDevice,
    /// It is shown if the struct describes a file that is not a device node.
    OfOthers,
    /// It is shown if it is not 0, in full output, too.
    IfSet,
}

/// How a field is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As its kind says.
    Plain,
    /// By the names of its bits or values, although it is not compared.
    Names(&'static Flags),
    /// As an `epoll_data_t`: both a `u32` and a `u64`.
    EpollData,
    /// As an `fsid_t`: two numbers.
    FsId,
    /// As a resource limit: a multiple of 1024, or unlimited.
    Limit,
    /// As a wait status of wait4(2).
    WaitStatus,
}

impl Field {
    /// Creates a field that is printed as its kind says.
    pub const fn new(name: &'static str, at: u32, size: u8, kind: FieldKind) -> Self {
        Self { name, at, size, kind, brief: Brief::Unmarked, style: Style::Plain }
    }
    /// Shows the field in abbreviated output.
    pub const fn brief(self) -> Self {
        self.shown(Brief::Shown)
    }
    /// Sets when the field is shown.
    pub const fn shown(mut self, brief: Brief) -> Self {
        self.brief = brief;
        self
    }
    /// Sets how the field is printed.
    pub const fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
    /// Prints the field by the names of its bits or values.
    pub const fn names(self, names: &'static Flags) -> Self {
        self.style(Style::Names(names))
    }
}

/// How the bytes of a buffer are structured, and how replay compares them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Data that the call transfers. They are stored in the column `data` and compared byte for
    /// byte.
    Data,
    /// Bytes without a known structure. They are compared byte for byte.
    Opaque,
    /// Bytes that depend on the machine. They are printed and not compared.
    Host,
    /// One struct with the fields [`Layout::fields`].
    Struct,
    /// An array of structs of [`Layout::size`] bytes each.
    Array,
    /// `struct linux_dirent` entries. Names and types are compared as a set over the whole listing.
    Dirents,
    /// `struct linux_dirent64` entries, compared in the same way.
    Dirents64,
    /// Concatenated NUL-terminated names, as of extended attributes. They are compared as a set.
    Names,
    /// A path or other text that the kernel returns. It is compared as text.
    Text,
    /// An array of `int` descriptors.
    Fds,
    /// A `struct sockaddr` of the family in its first two bytes.
    Sockaddr,
    /// The `struct sockaddr` that a socket is bound to. With `AF_UNIX` and a path, this creates a
    /// file (unix(7)).
    SocketName,
    /// A bit set, lowest bit first (`fd_set`, `cpu_set_t`).
    BitSet,
}

/// The structure of a buffer.
#[derive(PartialEq, Eq, Debug)]
pub struct Layout {
    /// The C name (`struct stat`), or a word if there is none.
    pub name: &'static str,
    /// The size of one struct in bytes, or 0 if it varies.
    pub size: u32,
    /// How the bytes are structured.
    pub form: Form,
    /// The fields for [`Form::Struct`] and [`Form::Array`], in the order in which they are printed.
    pub fields: &'static [Field],
}

impl Layout {
    /// Creates a layout without fields.
    pub const fn plain(name: &'static str, form: Form) -> Self {
        Self { name, size: 0, form, fields: &[] }
    }
}

/// Returns the width of a field in bytes; `_` selects the field.
const fn width<T, F>(_: fn(&T) -> &F) -> u8 {
    size_of::<F>() as u8
}

/// A layout out of a struct of `linux-raw-sys`: offsets and widths are the architecture's own. What
/// is left out is padding. A field may be followed by `=>` and methods of [`Field`].
macro_rules! layout {
    ($(#[$doc:meta])* $id:ident = $form:ident $name:literal $t:path {
        $($field:ident $(. $sub:ident)* : $is:expr $(=> $($how:ident $(($with:expr))?)+)?),* $(,)?
    }) => {
        $(#[$doc])*
        pub static $id: crate::layout::Layout = crate::layout::Layout {
            name: $name,
            size: size_of::<$t>() as u32,
            form: crate::layout::Form::$form,
            fields: &[$(crate::layout::Field::new(
                concat!(stringify!($field) $(, ".", stringify!($sub))*),
                core::mem::offset_of!($t, $field $(. $sub)*) as u32,
                crate::layout::width::<$t, _>(|s| &s.$field $(. $sub)*),
                $is,
            )$($(.$how($($with)?))+)?),*],
        };
    };
}
use layout;

/// A layout of one nameless number, or of an array of them.
const fn number(name: &'static str, size: u8, form: Form, is: &'static [Field; 1]) -> Layout {
    Layout { name, size: size as u32, form, fields: is }
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
/// A `struct sockaddr`.
pub static SOCKADDR: Layout = Layout::plain("struct sockaddr", Form::Sockaddr);
/// The address that a socket gets.
pub static SOCKET_NAME: Layout = Layout::plain("struct sockaddr", Form::SocketName);
/// A bit set.
pub static BITS: Layout = Layout::plain("bits", Form::BitSet);
/// `int`, compared.
pub static INT: Layout = number("int", 4, Form::Struct, &[Field::new("", 0, 4, FieldKind::Int)]);
/// `unsigned int`, compared.
pub static UINT: Layout =
    number("unsigned int", 4, Form::Struct, &[Field::new("", 0, 4, FieldKind::Uint)]);
/// `int` that the system gives as it likes.
pub static HOST_INT: Layout =
    number("int", 4, Form::Struct, &[Field::new("", 0, 4, FieldKind::Host)]);
/// What wait4(2) tells of how a process ended.
pub static WAIT_STATUS: Layout = number(
    "wait status",
    4,
    Form::Struct,
    &[Field::new("", 0, 4, FieldKind::Host).style(Style::WaitStatus)],
);
/// `__u64`, compared.
pub static U64: Layout = number("__u64", 8, Form::Struct, &[Field::new("", 0, 8, FieldKind::Uint)]);
/// `__u64` or `long` that the system gives as it likes.
pub static HOST_U64: Layout =
    number("__u64", 8, Form::Struct, &[Field::new("", 0, 8, FieldKind::Host)]);
/// `loff_t`, compared.
pub static LOFF: Layout =
    number("loff_t", 8, Form::Struct, &[Field::new("", 0, 8, FieldKind::Int)]);
/// `int[]`, never compared.
pub static HOST_INTS: Layout =
    number("int", 4, Form::Array, &[Field::new("", 0, 4, FieldKind::Host)]);
/// `__u64[]`, never compared.
pub static HOST_U64S: Layout =
    number("__u64", 8, Form::Array, &[Field::new("", 0, 8, FieldKind::Host)]);
