//! How the bytes that a pointer leads to are laid out: enough to print them, and to compare them
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

/// What a field of a struct means; what cannot be equal on another file system is told by this, not
/// by the struct's name.
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
    /// Characters up to a NUL or to the field's end (`sockaddr_un.sun_path`, `utsname.release`),
    /// compared; any width.
    Text,
}

/// One field: `size` bytes (1, 2, 4 or 8, little-endian on the architectures supported; any number
/// for [`Is::Text`]) at byte `at`.
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
    /// Whether it is shown where not all fields are asked for.
    pub brief: Brief,
    /// How it is printed.
    pub style: Style,
}

/// Whether a field is shown where not all are asked for, as strace without `-v` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brief {
    /// Only if no field of the struct is marked.
    Unmarked,
    /// It is shown.
    Shown,
    /// It is shown of a device node,
    OfDevice,
    /// or of any other file.
    OfOthers,
    /// It is shown if it is not 0, even where all fields are.
    IfSet,
}

/// How a field is printed where its meaning does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As its meaning says.
    Plain,
    /// By the names of its bits or values, which are never compared.
    Names(&'static Flags),
    /// `epoll_data_t`: as a `u32` and as a `u64`.
    EpollData,
    /// `fsid_t`: two words.
    FsId,
    /// A resource limit: in KiB, or without a limit.
    Limit,
    /// A status of wait4(2).
    WaitStatus,
}

impl Field {
    /// A field that is shown and printed as any other.
    pub const fn new(name: &'static str, at: u32, size: u8, is: Is) -> Self {
        Self { name, at, size, is, brief: Brief::Unmarked, style: Style::Plain }
    }
    /// It is shown where not all fields are asked for.
    pub const fn brief(self) -> Self {
        self.shown(Brief::Shown)
    }
    /// When it is shown.
    pub const fn shown(mut self, brief: Brief) -> Self {
        self.brief = brief;
        self
    }
    /// How it is printed.
    pub const fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
    /// The names of its bits or values.
    pub const fn names(self, names: &'static Flags) -> Self {
        self.style(Style::Names(names))
    }
}

/// The overall form of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The data that the call moves: they go to the trace's `data` column and are compared byte for
    /// byte.
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
    /// A `struct sockaddr` of whatever family its first two bytes say.
    Sockaddr,
    /// The `struct sockaddr` that a socket gets: one of `AF_UNIX` with a path makes a file of that
    /// name (unix(7)).
    SocketName,
    /// A bit set, lowest bit first (`fd_set`, `cpu_set_t`).
    BitSet,
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

/// Width of a field, from the type of a reference to it.
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
pub static INT: Layout = number("int", 4, Form::Struct, &[Field::new("", 0, 4, Is::Int)]);
/// `unsigned int`, compared.
pub static UINT: Layout =
    number("unsigned int", 4, Form::Struct, &[Field::new("", 0, 4, Is::Uint)]);
/// `int` that the system gives as it likes.
pub static HOST_INT: Layout = number("int", 4, Form::Struct, &[Field::new("", 0, 4, Is::Host)]);
/// What wait4(2) tells of how a process ended.
pub static WAIT_STATUS: Layout = number(
    "wait status",
    4,
    Form::Struct,
    &[Field::new("", 0, 4, Is::Host).style(Style::WaitStatus)],
);
/// `__u64`, compared.
pub static U64: Layout = number("__u64", 8, Form::Struct, &[Field::new("", 0, 8, Is::Uint)]);
/// `__u64` or `long` that the system gives as it likes.
pub static HOST_U64: Layout = number("__u64", 8, Form::Struct, &[Field::new("", 0, 8, Is::Host)]);
/// `loff_t`, compared.
pub static LOFF: Layout = number("loff_t", 8, Form::Struct, &[Field::new("", 0, 8, Is::Int)]);
/// `int[]`, never compared.
pub static HOST_INTS: Layout = number("int", 4, Form::Array, &[Field::new("", 0, 4, Is::Host)]);
/// `__u64[]`, never compared.
pub static HOST_U64S: Layout = number("__u64", 8, Form::Array, &[Field::new("", 0, 8, Is::Host)]);
