//! Reading files of the live file system: content and extended attributes, as the manifest keeps them.

use super::row::Known;
use rustix::fd::AsFd;
use std::io;

/// Whether an extended attribute belongs to the state that a replay must reproduce: the program's own, access lists and capabilities. Others (labels of
/// security modules, trusted attributes) belong to the system.
pub fn compared_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || [&b"security.capability"[..], b"system.posix_acl_access", b"system.posix_acl_default"]
            .contains(&name)
}

/// The BLAKE3 of the known bytes of a file of `size` bytes, one extent after the other. Bytes beyond the end count as nothing.
pub fn content_hash(file: impl AsFd, known: &Known, size: u64) -> io::Result<[u8; 32]> {
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0u8; 1 << 18];
    let whole = [(0, size)];
    let extents: &[(u64, u64)] = match known {
        Known::Whole => &whole,
        Known::Extents(extents) => extents,
    };
    for &(start, len) in extents {
        let (mut at, end) = (start, start.saturating_add(len).min(size));
        while at < end {
            let want = (end - at).min(buffer.len() as u64) as usize;
            match rustix::io::pread(&file, &mut buffer[..want], at) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&buffer[..n]);
                    at += n as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(*hash.finalize().as_bytes())
}
