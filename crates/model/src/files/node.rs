//! One file of the name space (an inode), as it was at first and as it is now, as far as the trace
//! tells.

mod observed;

pub use observed::{Attributes, Observed};

use super::ranges::Ranges;
use super::row::{FileType, Known};
use std::collections::{BTreeMap, BTreeSet};

/// A file's number in [`super::names::Names`].
pub type NodeId = u32;

/// One thing that stood under a name: at first, and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// At the start.
    pub first: Option<NodeId>,
    /// Now.
    pub now: Option<NodeId>,
    /// The call that touched the name first.
    pub since: u64,
    /// The call that made or removed the name last, or touched it first.
    pub last: u64,
}

/// The bytes of a regular file.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    /// What the trace determines: it was read, written, or lies beyond the end.
    pub settled: Ranges,
    /// Of these, what was written with bytes that the trace does not hold.
    pub lost: Ranges,
    /// Written by the trace, or beyond an end that it set.
    pub written: Ranges,
    /// Shown to be holes at first.
    pub holes: Ranges,
    /// Shown to be allocated at first.
    pub allocated: Ranges,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// What it is; a type never changes.
    pub kind: FileType,
    /// What it seems to be, as long as nothing proves it.
    pub guess: FileType,
    /// It was there when the recording began.
    pub initial: bool,
    /// Its attributes then.
    pub first: Attributes,
    /// Its attributes now.
    pub now: Attributes,
    /// What a call saw of it last that no call before had set: permissions, size.
    pub unexplained: Attributes,
    /// It was read to here, beyond the end that it had as far as was known.
    pub read_beyond: u64,
    /// The trace changed its permissions, its owner, its size.
    pub changed: (bool, bool, bool),
    /// Where a symbolic link leads.
    pub target: Option<Vec<u8>>,
    /// What a directory is known to hold or not to hold, at first or now.
    pub entries: BTreeMap<Box<[u8]>, Entry>,
    /// Names under which a call that follows links found nothing, of a directory that was there at
    /// first.
    pub missing: BTreeSet<Box<[u8]>>,
    /// The directories and names under which it stands now.
    pub names: Vec<(NodeId, Box<[u8]>)>,
    /// The directories and names under which it stood at first.
    pub stood: Vec<(NodeId, Box<[u8]>)>,
    /// A call followed its name: it may stand behind a link of that name.
    pub followed: bool,
    /// The directory in which it stood then.
    pub followed_from: Option<NodeId>,
    /// Its type is that of the name itself: no link stands there.
    pub confirmed: bool,
    /// An open showed its name to be its path: no link of any directory led there.
    pub straight: bool,
    /// Nothing that this name stands for is a directory, if it is no link.
    pub leaf: bool,
    /// A call has listed it.
    pub listed: bool,
    /// link(2) was refused to it: most likely a directory.
    pub unlinkable: bool,
    /// A directory that held something else than these many names that were known to be there at
    /// first.
    pub held_more_than: Option<usize>,
    /// A directory, or a link that leads nowhere: nothing was found in it, and nothing else is
    /// known.
    pub presumed: bool,
    /// Of a link whose target is made up: what it leads to.
    pub leads_to: Option<NodeId>,
    /// Its name is made up: where it stood is unknown.
    pub made_up: bool,
    /// It is this file, as was found out late.
    pub merged: Option<NodeId>,
    /// How many links it had at first, under whatever names.
    pub first_links: Option<u32>,
    /// The trace has made or removed a name of it.
    pub relinked: bool,
    /// Device and inode.
    pub id: Option<(u64, u64)>,
    /// It had lost the name by which it was open when the recording began; it may have others.
    pub unnamed: bool,
    /// On a file system without files of its own (proc, sys, dev).
    pub is_virtual: bool,
    /// The content of a regular file.
    pub bytes: Option<Box<Bytes>>,
    /// Attributes that it had at first.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Attributes that the trace has set or removed.
    pub xattrs_changed: BTreeSet<Vec<u8>>,
    /// A call failed with EACCES at it, and its permissions are not known.
    pub denied: bool,
    /// It reached to here at first: calls read so far, of whose bytes the trace does not hold all.
    pub reach: u64,
    /// A call executed it, and its permissions are not known.
    pub executable: bool,
    /// A call opened it.
    pub opened: bool,
    /// Why its content cannot be compared.
    pub uncertain: Option<&'static str>,
    /// An unrecorded process made it, while the recording went on.
    pub appeared: bool,
    /// Bytes from these on came from an unrecorded process, and have these numbers as
    /// origins; the last one counts.
    pub came: Vec<(u64, NodeId)>,
    /// What opens of it told of it: whether the kernel itself said so, device, inode.
    pub told: Option<(bool, u64, u64)>,
    /// Overlapping calls have changed its size, or looked at it meanwhile.
    pub size_in_doubt: bool,
    /// A call wrote to its end, wherever that was.
    pub appended: bool,
    /// The last call that had to do with it.
    pub last: Option<u64>,
}

impl Node {
    /// Creates a file of which nothing is known but perhaps its type. `initial` is whether it
    /// existed initially.
    pub fn new(kind: FileType, initial: bool) -> Self {
        Self { kind, guess: kind, initial, ..Self::default() }
    }

    /// Returns how many names of a directory are known to have existed initially.
    pub fn first_names(&self) -> usize {
        self.entries.values().filter(|e| e.first.is_some()).count()
    }

    /// Returns the type, proven or guessed.
    pub fn likely_kind(&self) -> FileType {
        if self.kind == FileType::Unknown { self.guess } else { self.kind }
    }

    /// Guesses the type, if neither a call nor an earlier guess shows it.
    pub fn guess(&mut self, kind: FileType) {
        if self.likely_kind() == FileType::Unknown {
            let is_leaf = kind == FileType::Directory && self.leaf;
            self.guess = if is_leaf { FileType::Regular } else { kind };
        }
    }

    /// Adds what is observed of the file now. What the trace has not changed was the same
    /// initially.
    pub fn observe(&mut self, seen: &Observed) {
        let guessed = self.kind == FileType::Unknown;
        if guessed {
            if seen.kind == FileType::Link && seen.target.is_some() {
                self.target.clone_from(&seen.target); // what was guessed of it
            }
            self.kind = seen.kind;
        }
        // A link to itself, as far as is known, also does with slashes at its end.
        if seen.kind == FileType::Link
            && (guessed || self.leads_to_its_name())
            && let (Some(target), Some(size)) = (&mut self.target, seen.attributes.size)
            && target.len() < size as usize
            && size <= 4096
        {
            target.resize(size as usize, b'/');
        }
        if seen.leaf {
            self.leaf = true;
            if self.guess == FileType::Directory && self.kind == FileType::Unknown {
                self.guess = FileType::Regular;
            }
        }
        let see = &seen.attributes;
        if self.now.mode.is_some() && see.mode.is_some() && self.now.mode != see.mode {
            self.unexplained.mode = see.mode;
        }
        let learn =
            |first: &mut Option<u32>, now: &mut Option<u32>, changed: bool, value: Option<u32>| {
                if value.is_some() {
                    *now = value;
                    if !changed && first.is_none() {
                        *first = value;
                    }
                }
            };
        learn(&mut self.first.mode, &mut self.now.mode, self.changed.0, see.mode);
        learn(&mut self.first.uid, &mut self.now.uid, self.changed.1, see.uid);
        learn(&mut self.first.gid, &mut self.now.gid, self.changed.1, see.gid);
        if self.initial && !self.relinked {
            self.first_links = self.first_links.or(seen.links);
        }
        if let (FileType::Regular, Some(size)) = (self.kind, see.size) {
            self.observe_size(size);
        }
        if self.kind == FileType::Link {
            self.first.size = self.first.size.or(see.size);
            if seen.target.is_some() {
                self.target.clone_from(&seen.target);
            }
        }
    }

    /// Returns whether this is a link whose target is its own name.
    fn leads_to_its_name(&self) -> bool {
        let mut names = self.stood.iter().chain(&self.names).map(|(_, name)| name);
        names.any(|name| self.target.as_deref() == Some(name))
    }

    /// Takes in what was seen at first of a file that turns out to be this one. What differs from
    /// what calls have set on this one was seen before they did. Returns what no call has set.
    pub fn complete_first(&mut self, mut other: Attributes) -> Attributes {
        fn settle<T: PartialEq>(first: &mut Option<T>, now: &Option<T>, other: &mut Option<T>) {
            let other = other.take().filter(|other| now.as_ref() != Some(other));
            if first.is_none() {
                *first = other;
            }
        }
        let (first, now) = (&mut self.first, &self.now);
        if self.changed.0 {
            settle(&mut first.mode, &now.mode, &mut other.mode);
        }
        if self.changed.1 {
            settle(&mut first.uid, &now.uid, &mut other.uid);
            settle(&mut first.gid, &now.gid, &mut other.gid);
        }
        if self.changed.2 {
            settle(&mut first.size, &now.size, &mut other.size);
        }
        other
    }

    /// Notes that the file was created during the recording, so that nothing of it existed
    /// initially.
    pub fn was_new(&mut self) {
        self.initial = false;
        self.first = Attributes::default();
        self.first_links = None;
        self.xattrs.clear();
        if let Some(bytes) = &mut self.bytes {
            bytes.settled.insert(0, u64::MAX);
            bytes.holes = Ranges::default();
            bytes.allocated = Ranges::default();
        }
    }

    /// Notes that the file has this size.
    pub fn observe_size(&mut self, size: u64) {
        if self.now.size.is_some_and(|now| now != size) {
            self.unexplained.size = Some(size);
        }
        self.now.size = Some(size);
        let found = self.initial || self.appeared;
        if !self.changed.2 && found && self.first.size.is_none() {
            self.first.size = Some(size);
            self.bytes_mut().settled.insert(size, u64::MAX);
        }
    }

    /// Returns what is known of the content. All bytes of a new file are known from the start.
    pub fn bytes_mut(&mut self) -> &mut Bytes {
        let initial = self.initial || self.appeared;
        self.bytes.get_or_insert_with(|| {
            let mut bytes = Box::<Bytes>::default();
            if !initial {
                bytes.settled.insert(0, u64::MAX);
            }
            bytes
        })
    }

    /// Notes that the bytes `start..start + len` were seen. Returns the ranges of initial bytes
    /// that had not been seen before.
    pub fn read(&mut self, start: u64, len: u64) -> Vec<(u64, u64)> {
        let end = start.saturating_add(len);
        if self.now.size.is_some_and(|size| size < end) {
            self.read_beyond = self.read_beyond.max(end);
        }
        let bytes = self.bytes_mut();
        let fresh = bytes.settled.gaps(start, end);
        bytes.settled.insert(start, end);
        fresh
    }

    /// Returns where the bytes `start..end`, which no call had seen before, came from: for each
    /// part the number of the file that it was copied from. `own` is the number of this file.
    pub fn origins_of(&self, own: NodeId, start: u64, end: u64) -> Vec<(NodeId, u64, u64)> {
        let mut parts = vec![(own, start, end)];
        for &(from, number) in self.came.iter().filter(|(from, _)| *from < end) {
            let at = from.max(start);
            parts.retain_mut(|part| {
                part.2 = part.2.min(at);
                part.1 < part.2
            });
            parts.push((number, at, end));
        }
        parts
    }

    /// Notes that a call read from `start` to `end`: unless it was written, the file had that
    /// length initially.
    pub fn reached(&mut self, start: u64, end: u64) {
        if self.initial
            && let Some((_, last)) = self.bytes_mut().written.gaps(start, end).last()
        {
            self.reach = self.reach.max(*last);
        }
    }

    /// Notes that `len` bytes were written from `start` on, of which the trace holds the first
    /// `held`.
    pub fn write(&mut self, start: u64, len: u64, held: u64) {
        let end = start.saturating_add(len);
        let bytes = self.bytes_mut();
        bytes.settled.insert(start, end);
        bytes.written.insert(start, end);
        bytes.lost.remove(start, end);
        bytes.lost.insert(start.saturating_add(held), end);
        self.extend(end);
    }

    /// Notes that `start..end` is a hole, or data. It was the same initially, where the trace has
    /// not written.
    pub fn lay_out(&mut self, start: u64, end: u64, hole: bool) {
        if !self.initial {
            return;
        }
        let bytes = self.bytes_mut();
        for (s, e) in bytes.written.gaps(start, end) {
            if hole {
                bytes.holes.insert(s, e);
                bytes.settled.insert(s, e);
            } else {
                bytes.allocated.insert(s, e);
            }
        }
    }

    /// Notes that the file is at least as long as `end`.
    pub fn extend(&mut self, end: u64) {
        match self.now.size {
            Some(size) if size >= end => {}
            Some(_) => {
                self.now.size = Some(end);
                self.changed.2 = true;
            }
            None => self.changed.2 = true,
        }
    }

    /// Sets the size. Bytes beyond it are zero from now on.
    pub fn truncate(&mut self, size: u64) {
        let bytes = self.bytes_mut();
        bytes.settled.insert(size, u64::MAX);
        bytes.written.insert(size, u64::MAX);
        bytes.lost.remove(size, u64::MAX);
        self.now.size = Some(size);
        self.changed.2 = true;
    }

    /// Returns which bytes of a file of `size` bytes the trace determines.
    pub fn known(&self, size: u64) -> Known {
        let Some(bytes) = &self.bytes else {
            return if size == 0 || !(self.initial || self.appeared) {
                Known::Whole
            } else {
                Known::Extents(Vec::new())
            };
        };
        let mut known = bytes.settled.clone();
        for (s, e) in bytes.lost.within(0, size) {
            known.remove(s, e);
        }
        if known.covers(0, size) {
            Known::Whole
        } else {
            Known::Extents(known.within(0, size).into_iter().map(|(s, e)| (s, e - s)).collect())
        }
    }
}
