//! Computes and compares digests of files, and says which extended attributes count. Holes are
//! skipped (`SEEK_DATA`, `SEEK_HOLE`), so that they cost no time, however large they are.

use crate::files::row::{Digest, Known};
use rustix::fd::AsFd;
use rustix::fs::{SeekFrom, seek};
use std::io;

/// A hole of at least this many bytes is not hashed: the digest says where it is.
const LARGE_HOLE: u64 = 1 << 20;
/// The number of bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// Returns whether an extended attribute belongs to the state that a replay must reproduce: those
/// of the program, access lists and capabilities. Others (labels of security modules, trusted
/// attributes) belong to the system.
pub fn compared_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || [&b"security.capability"[..], b"system.posix_acl_access", b"system.posix_acl_default"]
            .contains(&name)
}

/// What begins at an offset of a file, and the offset where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Data: the bytes must be read.
    Data(u64),
    /// A hole.
    Hole(u64),
}

/// Returns whether a hole or data begins at `offset`, and where it ends, at `end` at most. If the
/// file system cannot tell, everything is data.
fn extent_at(file: impl AsFd, offset: u64, end: u64) -> Extent {
    let data = match seek(&file, SeekFrom::Data(offset)) {
        Ok(data) => data.min(end),
        Err(rustix::io::Errno::NXIO) => end,
        Err(_) => return Extent::Data(end),
    };
    if data > offset {
        return Extent::Hole(data);
    }
    Extent::Data(seek(&file, SeekFrom::Hole(offset)).unwrap_or(end).clamp(offset + 1, end))
}

/// Passes the bytes from `offset` to `end`, or to the end of the file, to `handle`, until that
/// returns false. Returns the offset at which it stopped.
fn read_range(
    file: impl AsFd,
    mut offset: u64,
    end: u64,
    handle: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<u64> {
    let mut buffer = vec![0u8; CHUNK.min(usize::try_from(end - offset).unwrap_or(CHUNK))];
    while offset < end {
        let len = (end - offset).min(buffer.len() as u64) as usize;
        match rustix::io::pread(&file, &mut buffer[..len], offset) {
            Ok(0) => break,
            Ok(n) => {
                offset += n as u64;
                if !handle(&buffer[..n]) {
                    break;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(offset)
}

/// Returns the ranges of the known bytes of a file of `size` bytes, as (start, end).
fn known_ranges(known: &Known, size: u64) -> Vec<(u64, u64)> {
    match known {
        Known::Whole => vec![(0, size)],
        Known::Extents(extents) => extents
            .iter()
            .map(|&(start, len)| (start, start.saturating_add(len).min(size)))
            .collect(),
    }
}

/// Returns a digest of the known bytes of a file of `size` bytes: a hash, and the large holes that
/// it leaves out.
pub fn digest(file: impl AsFd, known: Known, size: u64) -> io::Result<Digest> {
    let (mut hashed, mut zeros) = (Vec::new(), Vec::new());
    for (start, end) in known_ranges(&known, size) {
        let (mut offset, mut data_start) = (start, start);
        while offset < end {
            match extent_at(&file, offset, end) {
                Extent::Hole(extent_end) if extent_end - offset >= LARGE_HOLE => {
                    if data_start < offset {
                        hashed.push((data_start, offset - data_start));
                    }
                    zeros.push((offset, extent_end - offset));
                    (offset, data_start) = (extent_end, extent_end);
                }
                Extent::Hole(extent_end) | Extent::Data(extent_end) => offset = extent_end,
            }
        }
        if data_start < end {
            hashed.push((data_start, end - data_start));
        }
    }
    let known = if zeros.is_empty() { known } else { Known::Extents(hashed) };
    let hash = hash_known_bytes(&file, &known, size)?;
    Ok(Digest { known, zeros, hash })
}

/// Returns the BLAKE3 hash of the known bytes of a file of `size` bytes, range after range. Bytes
/// beyond the end of the file are left out.
fn hash_known_bytes(file: impl AsFd, known: &Known, size: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for (mut offset, end) in known_ranges(known, size) {
        while offset < end {
            offset = match extent_at(&file, offset, end) {
                Extent::Hole(extent_end) => {
                    hash_zeros(&mut hasher, extent_end - offset);
                    extent_end
                }
                Extent::Data(extent_end) => {
                    let reached = read_range(&file, offset, extent_end, &mut |bytes| {
                        hasher.update(bytes);
                        true
                    })?;
                    if reached < extent_end { end } else { extent_end }
                }
            };
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Adds `len` zeros to a hash.
fn hash_zeros(hasher: &mut blake3::Hasher, mut len: u64) {
    static ZEROS: [u8; CHUNK] = [0; CHUNK];
    while len > 0 {
        let n = len.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..n as usize]);
        len -= n;
    }
}

impl Digest {
    /// Returns how the content of a file of `size` bytes differs from what this digest says.
    /// Returns `None` if it does not.
    pub fn differs(&self, file: impl AsFd, size: u64) -> io::Result<Option<Differs>> {
        let found_hash = hash_known_bytes(&file, &self.known, size)?;
        if found_hash != self.hash {
            return Ok(Some(Differs::Hash(found_hash)));
        }
        for &(start, len) in &self.zeros {
            let (mut position, end) = (start, start.saturating_add(len).min(size));
            while position < end {
                position = match extent_at(&file, position, end) {
                    Extent::Hole(extent_end) => extent_end,
                    Extent::Data(extent_end) => {
                        let (mut offset, mut non_zero) = (position, None);
                        let reached = read_range(&file, position, extent_end, &mut |bytes| {
                            let index = bytes.iter().position(|b| *b != 0);
                            non_zero = index.map(|i| offset + i as u64);
                            offset += bytes.len() as u64;
                            non_zero.is_none()
                        })?;
                        if let Some(offset) = non_zero {
                            return Ok(Some(Differs::NoZero(offset)));
                        }
                        if reached < extent_end { end } else { extent_end }
                    }
                };
            }
        }
        Ok(None)
    }

    /// Returns how many bytes of a file of `size` bytes the digest says nothing about.
    pub fn unstated(&self, size: u64) -> u64 {
        let sum =
            |extents: &[(u64, u64)]| extents.iter().fold(0u64, |sum, e| sum.saturating_add(e.1));
        match &self.known {
            Known::Whole => 0,
            Known::Extents(hashed) => {
                size.saturating_sub(sum(hashed)).saturating_sub(sum(&self.zeros))
            }
        }
    }
}

/// How a content differs from what a [`Digest`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// The hash of the hashed bytes is this one.
    Hash([u8; 32]),
    /// The byte at this offset should be zero, and is not.
    NoZero(u64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const TIB: u64 = 1 << 40;

    #[test]
    fn large_holes_are_stated_and_not_hashed() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(TIB).expect("its size");
        file.write_all_at(b"here", TIB / 2).expect("some bytes");
        let digest = digest(&file, Known::Whole, TIB).expect("a digest");
        let hashed = match &digest.known {
            Known::Whole => TIB,
            Known::Extents(extents) => extents.iter().map(|e| e.1).sum(),
        };
        assert!(hashed < LARGE_HOLE, "{digest:?}");
        assert_eq!(digest.unstated(TIB), 0);
        assert_eq!(digest.differs(&file, TIB).expect("a comparison"), None);
        file.write_all_at(b"x", 77 << 20).expect("a byte");
        let found = digest.differs(&file, TIB).expect("a comparison");
        assert_eq!(found, Some(Differs::NoZero(77 << 20)));
        file.write_all_at(b"\0", 77 << 20).expect("a zero in place of a hole");
        assert_eq!(digest.differs(&file, TIB).expect("a comparison"), None);
        file.write_all_at(b"H", TIB / 2).expect("a byte");
        let found = digest.differs(&file, TIB).expect("a comparison");
        assert!(matches!(found, Some(Differs::Hash(_))), "{found:?}");
    }

    #[test]
    fn small_holes_and_extents_are_hashed_as_ever() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(300_000).expect("its size");
        file.write_all_at(&[7; 10], 200_000).expect("some bytes");
        let mut whole = vec![0u8; 300_000];
        whole[200_000..200_010].fill(7);
        let all = digest(&file, Known::Whole, 300_000).expect("a digest");
        assert_eq!((&all.known, &all.zeros[..]), (&Known::Whole, &[][..]));
        assert_eq!(all.hash, *blake3::hash(&whole).as_bytes());
        let known = Known::Extents(vec![(5, 10), (199_990, 15)]);
        let part = digest(&file, known, 300_000).expect("a digest");
        let bytes = [&whole[5..15], &whole[199_990..200_005]].concat();
        assert_eq!(part.hash, *blake3::hash(&bytes).as_bytes());
        assert_eq!(part.unstated(300_000), 300_000 - 25);
        // A trace that hashed a large hole is still compared.
        let len = LARGE_HOLE * 3;
        file.set_len(len).expect("its size");
        whole.resize(len as usize, 0);
        let old = Digest {
            known: Known::Whole,
            zeros: Vec::new(),
            hash: *blake3::hash(&whole).as_bytes(),
        };
        assert_eq!(old.differs(&file, len).expect("a comparison"), None);
    }
}
