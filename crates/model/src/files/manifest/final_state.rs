//! What the recorded machine's file systems show at the end.

use super::{compared_xattr, digest};
use crate::files::live::Machine;
use crate::files::node::Node;
use crate::files::row::{Content, FileType, Known, State};
use rustix::fd::OwnedFd;
use rustix::fs::{fgetxattr, flistxattr};

/// What the live file system shows under a name.
pub(super) struct Live {
    pub state: State,
    pub id: (u64, u64),
}

/// Reads the state of what is at a path of the recorded machine. Returns `None` if nothing is
/// there. Fails with the reason if it cannot be read.
pub(super) fn find_final_state(machine: &dyn Machine, path: &[u8]) -> Result<Option<Live>, String> {
    use rustix::io::Errno;
    let found = match machine.find(path) {
        Ok(found) => found.seen(),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
        Err(Errno::LOOP) => return Err("a symbolic link stands in its path".to_owned()),
        Err(e) => return Err(format!("cannot be examined: {e}")),
    };
    let regular = found.kind == FileType::Regular;
    let xattrs = if regular || found.kind == FileType::Directory {
        machine.open(path).map(|fd| read_xattrs(&fd)).unwrap_or_default()
    } else {
        Vec::new()
    };
    let attributes = found.attributes;
    Ok(Some(Live {
        id: found.id.unwrap_or_default(),
        state: State {
            kind: found.kind,
            mode: attributes.mode.filter(|_| found.kind != FileType::Link),
            uid: attributes.uid,
            gid: attributes.gid,
            size: attributes.size.filter(|_| regular),
            links: found.links.filter(|_| found.kind != FileType::Directory),
            target: found.target,
            group: None,
            xattrs,
        },
    }))
}

/// Reads the extended attributes that are compared.
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

/// Hashes the bytes that the trace determines of a file of `size` bytes, or returns the reason why
/// it does not.
pub(super) fn hash_content(machine: &dyn Machine, path: &[u8], node: &Node, size: u64) -> Content {
    if let Some(reason) = node.uncertain {
        return Content::Not(reason.to_owned());
    }
    let known = node.known(size);
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
