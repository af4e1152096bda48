//! What of a shape's arguments is asked at every call: found once, when the table is compiled.

use crate::{Arg, Form, Is, Kind, Layout};

/// Which arguments are what. Sets of arguments are bits: argument `i` is `1 << i`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Uses {
    /// The first descriptor ([`Kind::Fd`]).
    pub fd: Option<u8>,
    /// The position at which data move ([`Kind::Pos`]).
    pub pos: Option<u8>,
    /// All descriptors, of directories too.
    pub fds: u8,
    /// All that name files ([`Kind::path`]).
    pub paths: u8,
    /// Structs going in with descriptors in them.
    pub inner: u8,
    /// Modes that a file gets, and structs going in with modes in them.
    pub modes: u8,
    /// It moves data: bulk buffers, or vectors of them,
    pub moves: bool,
    /// and they go in.
    pub writes: bool,
    /// Messages go in.
    pub sends: bool,
    /// Entries of a directory come out.
    pub lists: bool,
}

impl Uses {
    /// What a shape with these arguments uses.
    pub(crate) const fn of(args: &[Arg]) -> Self {
        let mut uses = Self {
            fd: None,
            pos: None,
            fds: 0,
            paths: 0,
            inner: 0,
            modes: 0,
            moves: false,
            writes: false,
            sends: false,
            lists: false,
        };
        let mut i = 0;
        while i < args.len() {
            let bit = 1 << i;
            match args[i].kind {
                Kind::Fd => {
                    uses.fds |= bit;
                    if uses.fd.is_none() {
                        uses.fd = Some(i as u8);
                    }
                }
                Kind::DirFd => uses.fds |= bit,
                Kind::Pos if uses.pos.is_none() => uses.pos = Some(i as u8),
                Kind::In(_, layout) if matches!(layout.form, Form::Data) => {
                    (uses.moves, uses.writes) = (true, true);
                }
                Kind::In(_, layout) | Kind::InOut(_, layout) if has(layout, Is::Fd) => {
                    uses.inner |= bit;
                }
                Kind::In(_, layout) if has(layout, Is::Mode) => uses.modes |= bit,
                Kind::Mode => uses.modes |= bit,
                Kind::Out(_, layout) | Kind::InOut(_, layout)
                    if matches!(layout.form, Form::Data) =>
                {
                    uses.moves = true;
                }
                Kind::Out(_, layout) if matches!(layout.form, Form::Dirents | Form::Dirents64) => {
                    uses.lists = true;
                }
                Kind::InIov { .. } => (uses.moves, uses.writes) = (true, true),
                Kind::OutIov { .. } => uses.moves = true,
                Kind::InMsg | Kind::InMsgs { .. } => uses.sends = true,
                _ => {}
            }
            if args[i].kind.path().is_some() {
                uses.paths |= bit;
            }
            i += 1;
        }
        uses
    }
}

/// Whether a struct has a field that is a descriptor, or a mode.
const fn has(layout: &Layout, what: Is) -> bool {
    let mut i = 0;
    while matches!(layout.form, Form::Struct) && i < layout.fields.len() {
        if matches!((layout.fields[i].is, what), (Is::Fd, Is::Fd) | (Is::Mode, Is::Mode)) {
            return true;
        }
        i += 1;
    }
    false
}

/// The arguments in a set.
pub fn arguments(mut set: u8) -> impl Iterator<Item = usize> {
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
        let of = |name: &str| crate::by_name(name).map(|row| row.shape.uses).expect("a row");
        let (pread, write, openat, rename) =
            (of("pread64"), of("write"), of("openat"), of("renameat2"));
        assert_eq!(
            (pread.fd, pread.pos, pread.moves, pread.writes),
            (Some(0), Some(3), true, false)
        );
        assert_eq!((write.fd, write.pos, write.moves, write.writes), (Some(0), None, true, true));
        assert_eq!((openat.fd, openat.fds, openat.paths), (None, 1, 2));
        assert_eq!((openat.modes, of("openat2").modes, write.modes), (8, 4, 0));
        assert_eq!(arguments(rename.paths).collect::<Vec<_>>(), [1, 3]);
        assert!(of("getdents64").lists && of("sendmsg").sends && arguments(0).next().is_none());
    }
}
