//! Facts about the arguments of a call that are needed at every call. They are computed once, when
//! the table is compiled.

use crate::{Arg, CallSpec, FieldKind, Form, Kind, Layout};

/// How a call uses its arguments. In a set of arguments, bit `i` stands for argument `i`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Uses {
    /// The first argument of kind [`Kind::Fd`].
    pub fd: Option<u8>,
    /// The first argument with the file offset of a transfer ([`Kind::Pos`]).
    pub pos: Option<u8>,
    /// The arguments that are descriptors, including those of directories.
    pub fd_args: u8,
    /// The arguments that name files ([`Kind::path_use`]).
    pub path_args: u8,
    /// The arguments that point to a struct with descriptors for the call to read.
    pub struct_fd_args: u8,
    /// The arguments that are file modes, or point to a struct with a mode for the call to read.
    pub mode_args: u8,
    /// Whether the call transfers data through a buffer or a vector of buffers.
    pub moves_data: bool,
    /// Whether the call reads these data from the program's memory, as a write does.
    pub writes_data: bool,
    /// Whether the call sends messages.
    pub sends_messages: bool,
    /// Whether the call returns directory entries.
    pub lists_directory: bool,
}

impl Uses {
    /// Computes the facts for these arguments.
    pub(crate) const fn from_args(args: &[Arg]) -> Self {
        let mut uses = Self {
            fd: None,
            pos: None,
            fd_args: 0,
            path_args: 0,
            struct_fd_args: 0,
            mode_args: 0,
            moves_data: false,
            writes_data: false,
            sends_messages: false,
            lists_directory: false,
        };
        let mut i = 0;
        while i < args.len() {
            let bit = 1 << i;
            match args[i].kind {
                Kind::Fd => {
                    uses.fd_args |= bit;
                    if uses.fd.is_none() {
                        uses.fd = Some(i as u8);
                    }
                }
                Kind::DirFd => uses.fd_args |= bit,
                Kind::Pos if uses.pos.is_none() => uses.pos = Some(i as u8),
                Kind::In(_, layout) if matches!(layout.form, Form::Data) => {
                    (uses.moves_data, uses.writes_data) = (true, true);
                }
                Kind::In(_, layout) | Kind::InOut(_, layout)
                    if has_field(layout, FieldKind::Fd) =>
                {
                    uses.struct_fd_args |= bit;
                }
                Kind::In(_, layout) if has_field(layout, FieldKind::Mode) => uses.mode_args |= bit,
                Kind::Mode => uses.mode_args |= bit,
                Kind::Out(_, layout) | Kind::InOut(_, layout)
                    if matches!(layout.form, Form::Data) =>
                {
                    uses.moves_data = true;
                }
                Kind::Out(_, layout) if matches!(layout.form, Form::Dirents | Form::Dirents64) => {
                    uses.lists_directory = true;
                }
                Kind::InIov { .. } => (uses.moves_data, uses.writes_data) = (true, true),
                Kind::OutIov { .. } => uses.moves_data = true,
                Kind::InMsg | Kind::InMsgs { .. } => uses.sends_messages = true,
                _ => {}
            }
            if args[i].kind.path_use().is_some() {
                uses.path_args |= bit;
            }
            i += 1;
        }
        uses
    }
}

impl CallSpec {
    /// Returns whether the call returns a path of the process's own mounts and root (getcwd).
    pub fn returns_a_path(&self) -> bool {
        let text = |kind| matches!(kind, Kind::Out(_, layout) if layout.form == Form::Text);
        self.uses.path_args == 0 && self.uses.fd_args == 0 && self.args.iter().any(|a| text(a.kind))
    }
}

/// Returns whether the struct has a field of kind `Fd` or `Mode`, whichever `what` is.
const fn has_field(layout: &Layout, what: FieldKind) -> bool {
    let mut i = 0;
    while matches!(layout.form, Form::Struct) && i < layout.fields.len() {
        if matches!(
            (layout.fields[i].kind, what),
            (FieldKind::Fd, FieldKind::Fd) | (FieldKind::Mode, FieldKind::Mode)
        ) {
            return true;
        }
        i += 1;
    }
    false
}

/// Iterates over the indices of the arguments in a set, in ascending order.
pub fn argument_indices(mut set: u8) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_use() {
        let of = |name: &str| crate::by_name(name).map(|row| row.spec.uses).expect("a row");
        let (pread, write, openat, rename) =
            (of("pread64"), of("write"), of("openat"), of("renameat2"));
        assert_eq!(
            (pread.fd, pread.pos, pread.moves_data, pread.writes_data),
            (Some(0), Some(3), true, false)
        );
        assert_eq!(
            (write.fd, write.pos, write.moves_data, write.writes_data),
            (Some(0), None, true, true)
        );
        assert_eq!((openat.fd, openat.fd_args, openat.path_args), (None, 1, 2));
        assert_eq!((openat.mode_args, of("openat2").mode_args, write.mode_args), (8, 4, 0));
        assert_eq!(argument_indices(rename.path_args).collect::<Vec<_>>(), [1, 3]);
        assert!(
            of("getdents64").lists_directory
                && of("sendmsg").sends_messages
                && argument_indices(0).next().is_none()
        );
    }
}
