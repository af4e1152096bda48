//! Reads the final state of files from the file systems of the recorded machine.

use super::{compared_xattr, digest};
use crate::files::live::Machine;
use crate::files::node::Node;
use crate::files::row::{Content, FileType, Known, State};
use rustix::fd::OwnedFd;
use rustix::fs::{fgetxattr, flistxattr};

/// A file that the live file system has at a path.
pub(super) struct Live {
    /// The state, without a group of hard links.
    pub state: State,
    /// Device and inode.
    pub inode: (u64, u64),
}

/// Returns the file that is at a path of the recorded machine. Returns `None` if there is none.
/// Fails with the reason if that cannot be found out.
pub(super) fn find_final_state(machine: &dyn Machine, path: &[u8]) -> Result<Option<Live>, String> {
    use rustix::io::Errno;
    let found = match machine.find(path) {
        Ok(found) => found.observed(),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
        Err(Errno::LOOP) => return Err("a symbolic link stands in its path".to_owned()),
        Err(e) => return Err(format!("cannot be examined: {e}")),
    };
    let is_regular = found.kind == FileType::Regular;
    let xattrs = if is_regular || found.kind == FileType::Directory {
        machine.open(path).map(|fd| read_xattrs(&fd)).unwrap_or_default()
    } else {
        Vec::new()
    };
    let attributes = found.attributes;
    Ok(Some(Live {
        inode: found.id.unwrap_or_default(),
        state: State {
            kind: found.kind,
            mode: attributes.mode.filter(|_| found.kind != FileType::Link),
            uid: attributes.uid,
            gid: attributes.gid,
            size: attributes.size.filter(|_| is_regular),
            links: found.links.filter(|_| found.kind != FileType::Directory),
            target: found.target,
            group: None,
            xattrs,
        },
    }))
}

/// Reads the extended attributes that are compared ([`compared_xattr`]). Those that cannot be read
/// are left out.
fn read_xattrs(fd: &OwnedFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0u8; 1 << 16];
    let Ok(n) = flistxattr(fd, &mut list[..]) else { return Vec::new() };
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for name in list[..n].split(|&b| b == 0).filter(|name| compared_xattr(name)) {
        let mut value = vec![0u8; 1 << 16];
        if let Ok(n) = fgetxattr(fd, name, &mut value[..]) {
            value.truncate(n);
            found.push((name.to_vec(), value));
        }
    }
    found.sort_unstable();
    found
}

/// Returns the digest of the bytes that the trace determines of a file of `size` bytes, or the
/// reason why there is none.
pub(super) fn hash_content(machine: &dyn Machine, path: &[u8], node: &Node, size: u64) -> Content {
    if let Some(reason) = node.why_uncertain {
        return Content::Not(reason.to_owned());
    }
    let known = node.known_bytes(size);
    if matches!(&known, Known::Extents(extents) if extents.is_empty()) {
        return Content::Not("the trace holds none of its bytes".to_owned());
    }
    let hash = machine
        .open(path)
        .map_err(std::io::Error::from)
        .and_then(|file| digest(&file, known, size));
    match hash {
        Ok(digest) => Content::Hash(digest),
        Err(e) => Content::Not(format!("cannot be read: {e}")),
    }
}
