//! What errors prove: how far a path was followed, and what stood in the way.

use super::{Facts, Led};
use crate::files::names::{Place, Reach, Slot, Walk};
use crate::files::node::Seen;
use crate::files::row::FileType;
use abi::{Form, Kind, Role, Shape};
use linux_raw_sys::errno;
use trace::Call;

const EPERM: i32 = errno::EPERM as i32;
pub(super) const ENOENT: i32 = errno::ENOENT as i32;
const EACCES: i32 = errno::EACCES as i32;
const EBUSY: i32 = errno::EBUSY as i32;
pub(super) const EEXIST: i32 = errno::EEXIST as i32;
pub(super) const ENOTDIR: i32 = errno::ENOTDIR as i32;
const EISDIR: i32 = errno::EISDIR as i32;
const EINVAL: i32 = errno::EINVAL as i32;
const ENOTEMPTY: i32 = errno::ENOTEMPTY as i32;
pub(super) const ELOOP: i32 = errno::ELOOP as i32;
/// What bind(2) says where others say EEXIST.
const EADDRINUSE: i32 = errno::EADDRINUSE as i32;

/// How far the kernel got on a path.
pub(super) fn reach(call: &Call, shape: &Shape) -> Reach {
    let has = |role| shape.args.iter().any(|a| a.kind.path().is_some_and(|used| used.role == role));
    match call.errno() {
        // link(2) looks whether the new name is free before it refuses directories; rename(2) looks at both names before it refuses to move a directory into itself.
        Some(EPERM) if has(Role::Lookup) && has(Role::Create) => Reach::Proven,
        // Names that end in a dot, and mount points, are refused after the directories have been found.
        Some(EBUSY) if has(Role::Source) => Reach::Proven,
        Some(EINVAL)
            if (has(Role::Source) || has(Role::RemoveDirectory))
                && !shape.args.iter().any(|a| matches!(a.kind, Kind::Flags(_))) =>
        {
            Reach::Proven
        }
        None | Some(EEXIST | EADDRINUSE | ENOTEMPTY | EISDIR) => Reach::Proven,
        Some(EINVAL) if reads_link(shape) => Reach::Proven,
        // Of two paths, the other one may be to blame.
        Some(ENOENT) if shape.args.iter().filter(|a| a.kind.path().is_some()).count() == 1 => {
            Reach::Missing
        }
        Some(errno) if proves_nothing(errno) => Reach::Nowhere,
        Some(_) => Reach::Partly,
    }
}

fn reads_link(shape: &Shape) -> bool {
    shape.args.iter().any(|a| matches!(a.kind, Kind::Out(_, layout) if layout.form == Form::Text))
}

/// Errors that come whether a name exists or not.
fn proves_nothing(number: i32) -> bool {
    use errno::{EBADF, EDQUOT, EFAULT, EINTR, EMFILE, ENAMETOOLONG, ENFILE, ENOMEM, ENOSPC};
    matches!(
        number as u32,
        errno::ENOENT
            | EINTR
            | EBADF
            | ENOMEM
            | EFAULT
            | ENFILE
            | EMFILE
            | ENOSPC
            | ENAMETOOLONG
            | EDQUOT
    )
}

impl Facts {
    /// A walk ended at this name with this error, and nothing else tells why: the simplest thing that fails alike. What later calls prove counts for more.
    fn in_the_way(&mut self, place: &Place, errno: i32, refuses: FileType) {
        if self.names.node(place.dir).entries.get(&place.name).is_some_and(|e| e.now.is_none())
            || self.names.node(place.dir).is_virtual
        {
            return;
        }
        let known = self.names.node(place.dir).entries.contains_key(&place.name);
        match errno {
            ENOTDIR => {
                let node = self.names.present(place, &Seen::kind(FileType::Unknown));
                if !self.names.node(node).unlinkable {
                    self.names.node_mut(node).guess = FileType::Regular;
                }
            }
            EACCES if self.names.blind => {
                let node = self.names.present(place, &Seen::kind(FileType::Unknown));
                let node = self.names.node_mut(node);
                node.denied = true;
                if node.likely_kind() == FileType::Unknown {
                    node.guess = refuses;
                }
            }
            ELOOP if !known || self.may_be_link(place) => {
                let node = self.names.present(place, &Seen::kind(FileType::Unknown));
                let node = self.names.node_mut(node);
                if node.kind == FileType::Unknown {
                    node.guess = FileType::Link;
                    node.target = Some(place.name.to_vec());
                }
            }
            _ => {}
        }
    }

    /// Whether nothing speaks against a link of which nobody knows where it leads.
    fn may_be_link(&self, place: &Place) -> bool {
        match place.slot {
            Slot::Unknown => {
                let dir = self.names.node(place.dir);
                dir.initial && !dir.is_virtual
            }
            Slot::Absent => false,
            Slot::Node(node) => {
                let node = self.names.node(node);
                node.initial && node.kind == FileType::Unknown && !node.followed && !node.confirmed
            }
        }
    }

    /// What an error proves.
    pub(super) fn failed(&mut self, shape: &Shape, errno: i32, led: &[Led]) {
        // A directory was to replace what is none.
        if let (ENOTDIR, [from, to]) = (errno, led)
            && from.used.role == Role::Source
            && !from.slash
            && !to.slash
            && let (Walk::Place(from), Walk::Place(to)) = (&from.walk, &to.walk)
            && from.slot != Slot::Absent
            && to.slot != Slot::Absent
        {
            self.names.present(from, &Seen::kind(FileType::Directory));
            self.names.present(to, &Seen::leaf());
        }
        for l in led {
            let place = match &l.walk {
                Walk::Place(place) => place,
                Walk::Stopped(place, _) if led.len() == 1 => {
                    self.in_the_way(place, errno, FileType::Directory);
                    continue;
                }
                _ => continue,
            };
            match (errno, l.used.role) {
                // A link that leads nowhere fails alike.
                (ENOENT, _) if led.len() == 1 && place.slot == Slot::Unknown && l.follow => {
                    self.names.missing(place);
                }
                (ENOENT, _) if led.len() == 1 && place.slot == Slot::Unknown => {
                    self.names.absent(place);
                }
                // It is known to exist, and leads nowhere.
                (ENOENT, Role::Lookup | Role::Open(_)) if led.len() == 1 && l.follow => {
                    if let Slot::Node(node) = place.slot {
                        let node = self.names.node_mut(node);
                        if node.initial && node.kind == FileType::Unknown && !node.followed {
                            node.kind = FileType::Link;
                        }
                    }
                }
                (EEXIST | EADDRINUSE, Role::Create | Role::Open(_)) => {
                    let node = self.names.present(place, &Seen::kind(FileType::Unknown));
                    let node = self.names.node_mut(node);
                    if node.likely_kind() == FileType::Unknown {
                        node.guess = match l.used.role {
                            _ if errno == EADDRINUSE => FileType::Socket,
                            Role::Create => FileType::Directory,
                            _ => FileType::Regular,
                        };
                    }
                }
                // Both names were looked at, and what has the old one is a directory.
                (EINVAL, Role::Source) if led.len() == 2 => {
                    let node = self.names.present(place, &Seen::kind(FileType::Directory));
                    self.names.node_mut(node).confirmed = true;
                }
                (EISDIR, Role::Target) => {
                    let node = self.names.present(place, &Seen::kind(FileType::Directory));
                    self.names.node_mut(node).confirmed = true;
                }
                (EISDIR, Role::Source) => {
                    let node = self.names.present(place, &Seen::leaf());
                    if self.names.node(node).likely_kind() == FileType::Unknown {
                        self.names.node_mut(node).guess = FileType::Regular;
                    }
                }
                // Most likely a directory; a stranger's file under protected_hardlinks is refused alike.
                (EPERM, Role::Lookup) if led.iter().any(|l| l.used.role == Role::Create) => {
                    let node = self.names.present(place, &Seen::kind(FileType::Unknown));
                    let node = self.names.node_mut(node);
                    if node.kind == FileType::Unknown && !node.leaf {
                        node.guess = FileType::Directory;
                        node.unlinkable = true;
                    }
                }
                (ENOTEMPTY, Role::Remove | Role::RemoveDirectory | Role::Target) => {
                    let node = self.names.present(place, &Seen::kind(FileType::Directory));
                    self.names.node_mut(node).confirmed = true;
                    self.names.inhabit(node);
                }
                (ENOTDIR, Role::Remove | Role::RemoveDirectory) if place.slot != Slot::Absent => {
                    let node = self.names.present(place, &Seen::leaf());
                    if self.names.node(node).likely_kind() == FileType::Unknown {
                        self.names.node_mut(node).guess = FileType::Regular;
                    }
                }
                // The old name is looked at before the new one.
                (ENOTEMPTY | EEXIST, Role::Source) | (EEXIST, Role::Lookup) => {
                    self.names.present(place, &Seen::kind(FileType::Unknown));
                }
                // Nobody asked for a directory: a link stands there that leads through what is
                // none.
                (ENOTDIR, Role::Lookup | Role::Open(_))
                    if led.len() == 1 && l.follow && !l.directory && self.may_be_link(place) =>
                {
                    let node = self.names.present(place, &Seen::kind(FileType::Link));
                    self.names.block(node);
                }
                // All before the last component are directories, and what stands there had to be one.
                (ENOTDIR, Role::Lookup | Role::Open(_))
                    if led.len() == 1 && place.slot != Slot::Absent =>
                {
                    let node = self.names.present(place, &Seen::leaf());
                    if self.names.node(node).likely_kind() == FileType::Unknown {
                        self.names.node_mut(node).guess = FileType::Regular;
                    }
                }
                // With a slash at its end, a file that is to be created fails so whatever it is.
                (EISDIR, Role::Lookup | Role::Open(_) | Role::Remove)
                    if !(l.slash && l.creates) =>
                {
                    let node = self.names.present(place, &Seen::kind(FileType::Directory));
                    if l.follow {
                        self.names.was_followed(node);
                    } else {
                        // unlink(2) looks at the name itself.
                        self.names.node_mut(node).confirmed = true;
                    }
                }
                (ELOOP, Role::Open(_)) if !l.follow => {
                    self.names.present(place, &Seen::kind(FileType::Link));
                }
                // A link that leads in a circle; the simplest one will do.
                (ELOOP | EACCES, Role::Lookup | Role::Open(_))
                    if led.len() == 1 && (!l.creates || errno == ELOOP) =>
                {
                    self.names.presume(place);
                    self.in_the_way(place, errno, FileType::Regular);
                }
                // With a slash at its end, a link was followed to a directory.
                (EINVAL, Role::Lookup) if l.follow && reads_link(shape) => {
                    let node = self.names.present(place, &Seen::kind(FileType::Directory));
                    self.names.was_followed(node);
                }
                // Whatever it is, it is no link.
                (EINVAL, Role::Lookup) if place.slot != Slot::Absent && reads_link(shape) => {
                    let node = self.names.present(place, &Seen::kind(FileType::Unknown));
                    let node = self.names.node_mut(node);
                    node.confirmed = true;
                    if node.likely_kind() == FileType::Unknown {
                        node.guess = FileType::Regular;
                    }
                }
                // Something is in the way, most likely what stands there.
                (errno, Role::Lookup | Role::Open(_) | Role::Remove | Role::RemoveDirectory)
                    if !proves_nothing(errno) =>
                {
                    self.names.presume(place);
                }
                _ => {}
            }
        }
    }
}
