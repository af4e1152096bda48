//! Reading files of the live file system: content and extended attributes, as the manifest keeps
//! them. Holes are skipped (`SEEK_DATA`, `SEEK_HOLE`): they cost no time, however large they are.

use crate::files::row::{Digest, Known};
use rustix::fd::AsFd;
use rustix::fs::{SeekFrom, seek};
use std::io;

/// A hole of at least so many bytes is not hashed: the digest says where it is.
const LARGE_HOLE: u64 = 1 << 20;
/// Bytes read at once.
const CHUNK: usize = 1 << 18;

/// Returns whether an extended attribute belongs to the state that a replay must reproduce: those
/// of the program, access lists and capabilities. Others (labels of security modules, trusted
/// attributes) belong to the system.
pub fn compared_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || [&b"security.capability"[..], b"system.posix_acl_access", b"system.posix_acl_default"]
            .contains(&name)
}

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    /// Bytes up to here must be read.
    Data(u64),
    /// Zeros without blocks up to here.
    Hole(u64),
}

/// Returns whether a hole or data begins at `at`, and how far it extends, `end` at most. If the
/// file system cannot tell, everything is data.
fn stretch(file: impl AsFd, at: u64, end: u64) -> Stretch {
    let data = match seek(&file, SeekFrom::Data(at)) {
        Ok(data) => data.min(end),
        Err(rustix::io::Errno::NXIO) => end,
        Err(_) => return Stretch::Data(end),
    };
    if data > at {
        return Stretch::Hole(data);
    }
    Stretch::Data(seek(&file, SeekFrom::Hole(at)).unwrap_or(end).clamp(at + 1, end))
}

/// Passes the bytes from `at` to `end`, or to the end of the file, to `take`, until that returns
/// false. Returns the offset at which it stopped.
fn read(
    file: impl AsFd,
    mut at: u64,
    end: u64,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<u64> {
    let mut buffer = vec![0u8; CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK))];
    while at < end {
        let want = (end - at).min(buffer.len() as u64) as usize;
        match rustix::io::pread(&file, &mut buffer[..want], at) {
            Ok(0) => break,
            Ok(n) => {
                at += n as u64;
                if !take(&buffer[..n]) {
                    break;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(at)
}

/// Returns the ranges of the known bytes of a file of `size` bytes, as (start, end).
fn extents(known: &Known, size: u64) -> Vec<(u64, u64)> {
    match known {
        Known::Whole => vec![(0, size)],
        Known::Extents(extents) => {
            extents.iter().map(|&(s, n)| (s, s.saturating_add(n).min(size))).collect()
        }
    }
}

/// Returns a digest of the known bytes of a file of `size` bytes: a hash, and the large holes that
/// it leaves out.
pub fn digest(file: impl AsFd, known: Known, size: u64) -> io::Result<Digest> {
    let (mut hashed, mut zeros) = (Vec::new(), Vec::new());
    for (start, end) in extents(&known, size) {
        let (mut at, mut from) = (start, start);
        while at < end {
            match stretch(&file, at, end) {
                Stretch::Hole(to) if to - at >= LARGE_HOLE => {
                    if from < at {
                        hashed.push((from, at - from));
                    }
                    zeros.push((at, to - at));
                    (at, from) = (to, to);
                }
                Stretch::Hole(to) | Stretch::Data(to) => at = to,
            }
        }
        if from < end {
            hashed.push((from, end - from));
        }
    }
    let known = if zeros.is_empty() { known } else { Known::Extents(hashed) };
    let hash = hash(&file, &known, size)?;
    Ok(Digest { known, zeros, hash })
}

/// Returns the BLAKE3 hash of the known bytes of a file of `size` bytes, range after range. Bytes
/// beyond the end are left out.
fn hash(file: impl AsFd, known: &Known, size: u64) -> io::Result<[u8; 32]> {
    let mut hash = blake3::Hasher::new();
    for (mut at, end) in extents(known, size) {
        while at < end {
            at = match stretch(&file, at, end) {
                Stretch::Hole(to) => {
                    nothing(&mut hash, to - at);
                    to
                }
                Stretch::Data(to) => {
                    let reached = read(&file, at, to, &mut |bytes| {
                        hash.update(bytes);
                        true
                    })?;
                    if reached < to { end } else { to }
                }
            };
        }
    }
    Ok(*hash.finalize().as_bytes())
}

/// Adds `len` zeros to a hash.
fn nothing(hash: &mut blake3::Hasher, mut len: u64) {
    static ZEROS: [u8; CHUNK] = [0; CHUNK];
    while len > 0 {
        let n = len.min(ZEROS.len() as u64);
        hash.update(&ZEROS[..n as usize]);
        len -= n;
    }
}

impl Digest {
    /// Returns what differs in a file of `size` bytes that should have this content. Returns `None`
    /// if nothing does.
    pub fn differs(&self, file: impl AsFd, size: u64) -> io::Result<Option<Differs>> {
        let got = hash(&file, &self.known, size)?;
        if got != self.hash {
            return Ok(Some(Differs::Hash(got)));
        }
        for &(start, len) in &self.zeros {
            let (mut at, end) = (start, start.saturating_add(len).min(size));
            while at < end {
                at = match stretch(&file, at, end) {
                    Stretch::Hole(to) => to,
                    Stretch::Data(to) => {
                        let (mut dir_entry, mut found) = (at, None);
                        let reached = read(&file, at, to, &mut |bytes| {
                            let zero = bytes.iter().position(|b| *b != 0);
                            found = zero.map(|i| dir_entry + i as u64);
                            dir_entry += bytes.len() as u64;
                            found.is_none()
                        })?;
                        if let Some(dir_entry) = found {
                            return Ok(Some(Differs::NoZero(dir_entry)));
                        }
                        if reached < to { end } else { to }
                    }
                };
            }
        }
        Ok(None)
    }

    /// Returns how many bytes of a file of `size` bytes the digest does not cover.
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

/// How a content is not what a [`Digest`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// The hash of the hashed bytes is this one.
    Hash([u8; 32]),
    /// This byte should be zero, and is not.
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
        file.write_all_at(b"\0", 77 << 20).expect("a zero in dir_entry of a hole");
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
