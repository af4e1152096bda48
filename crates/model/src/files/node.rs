//! One file (an inode), as it was when the recording began and as it is now, as far as the trace
//! shows.

mod observed;
mod size_and_bytes;

pub use observed::{Attributes, Observed};

use super::ranges::Ranges;
use super::row::FileType;
use std::collections::{BTreeMap, BTreeSet};

/// The id of a file: its index in [`super::names::Names`].
pub type NodeId = u32;

/// What a name in a directory led to: when the recording began, and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file when the recording began; `None`: the name did not exist.
    pub initial: Option<NodeId>,
    /// The file now; `None`: the name does not exist.
    pub current: Option<NodeId>,
    /// The call that touched the name first, as [`Names::calls_returned`] at that time.
    ///
    /// [`Names::calls_returned`]: super::names::Names::calls_returned
    pub first_touched: u64,
    /// The call that created or removed the name last, or touched it first, likewise.
    pub last_changed: u64,
}

/// The bytes of a regular file.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    /// What the trace determines: calls have read or written it, or it was beyond the end.
    pub determined: Ranges,
    /// Of these, what calls have written with bytes that the trace does not hold.
    pub not_in_trace: Ranges,
    /// What calls have written, and what was beyond an end that they set.
    pub written: Ranges,
    /// What was a hole when the recording began.
    pub initial_holes: Ranges,
    /// What was allocated when the recording began.
    pub initial_allocated: Ranges,
}

/// Which attributes of a file calls have changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangedAttributes {
    /// The permissions.
    pub mode: bool,
    /// The user or the group that owns it.
    pub owner: bool,
    /// The size.
    pub size: bool,
}

/// Bytes of a file that an unrecorded process wrote: all from an offset on.
#[derive(Clone, Copy, Debug)]
pub struct UnrecordedBytes {
    /// The offset of the first one.
    pub offset: u64,
    /// By which id `initial.parquet` refers to them.
    pub origin: NodeId,
}

/// What identified a file when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedIdentity {
    /// The kernel itself provided device and inode. They are only compared with others that it
    /// provided.
    pub from_kernel: bool,
    /// The device.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its type, which never changes.
    pub kind: FileType,
    /// Its most likely type, as long as nothing proves it.
    pub guessed_type: FileType,
    /// It existed when the recording began.
    pub initial: bool,
    /// Its attributes when the recording began.
    pub initial_attributes: Attributes,
    /// Its attributes now.
    pub current_attributes: Attributes,
    /// Permissions and size that a call saw last and that no earlier call had set.
    pub unexplained_attributes: Attributes,
    /// Calls have read up to this offset, which is beyond the end of the file as far as was known;
    /// 0: they have not read beyond the end.
    pub read_beyond: u64,
    /// Which of its attributes calls have changed.
    pub changed: ChangedAttributes,
    /// The target of a symbolic link, read or guessed.
    pub target: Option<Vec<u8>>,
    /// The names of a directory that calls have touched.
    pub entries: BTreeMap<Box<[u8]>, Entry>,
    /// Names of an initial directory under which a call that follows links found nothing: they do
    /// not exist, or are links to paths that do not exist.
    pub not_found_names: BTreeSet<Box<[u8]>>,
    /// The names that it has now, as (directory, name).
    pub names: Vec<(NodeId, Box<[u8]>)>,
    /// The names that it had when the recording began, likewise.
    pub initial_names: Vec<(NodeId, Box<[u8]>)>,
    /// A call followed its name, which may be that of a symbolic link to it.
    pub followed: bool,
    /// The directory of the name that the call followed.
    pub followed_from: Option<NodeId>,
    /// A call showed the type of its name itself: the name is not that of a link to it.
    pub confirmed: bool,
    /// The kernel has shown its path, so that no directory in it is a symbolic link.
    pub path_shown: bool,
    /// It is no directory. Its name may be that of a symbolic link to one, though.
    pub not_directory: bool,
    /// A call has listed this directory.
    pub listed: bool,
    /// A link(2) to it failed with EPERM: most likely it is a directory.
    pub link_refused: bool,
    /// Of a directory: it held more initial names than this number, which were known at that time.
    pub held_more_than: Option<usize>,
    /// It was taken for a directory as a path led through it, but nothing was found below: it may
    /// also be a link to a path that does not exist.
    pub presumed: bool,
    /// Of a link whose target is made up: the file that has the made-up name.
    pub leads_to: Option<NodeId>,
    /// Its name is made up: which name it had is unknown.
    pub has_made_up_name: bool,
    /// It turned out to be this file. What is known of it is known of that one.
    pub merged_into: Option<NodeId>,
    /// How many hard links it had when the recording began, of known and unknown names.
    pub initial_links: Option<u32>,
    /// A call has created or removed a name of it.
    pub names_changed: bool,
    /// Device and inode.
    pub id: Option<(u64, u64)>,
    /// When the recording began, it was open and had lost the name by which it had been opened. It
    /// may have other names.
    pub unnamed: bool,
    /// It is on a virtual file system (proc, sys, dev).
    pub is_virtual: bool,
    /// The content of a regular file.
    pub bytes: Option<Box<Bytes>>,
    /// The extended attributes that it had when the recording began.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The names of the extended attributes that calls have set or removed.
    pub xattrs_changed: BTreeSet<Vec<u8>>,
    /// A call failed with EACCES at it, and its permissions are not known.
    pub access_denied: bool,
    /// It was at least this long when the recording began: calls have read up to here, though the
    /// trace does not hold all these bytes.
    pub initial_size_at_least: u64,
    /// A call executed it, and its permissions are not known.
    pub executable: bool,
    /// A call opened it.
    pub opened: bool,
    /// Why its content cannot be compared.
    pub why_uncertain: Option<&'static str>,
    /// An unrecorded process made it, while the recording went on.
    pub appeared: bool,
    /// What unrecorded processes wrote into it. Of ranges that overlap, the last one counts.
    pub unrecorded_bytes: Vec<UnrecordedBytes>,
    /// What identified it when it was opened last.
    pub opened_identity: Option<OpenedIdentity>,
    /// Overlapping calls have changed its size, or looked at it meanwhile.
    pub size_in_doubt: bool,
    /// A call wrote to its end, wherever that was.
    pub appended: bool,
    /// [`trace::Call::seq`] of the last call that used it.
    pub last_call: Option<u64>,
}

impl Node {
    /// Creates a file of which nothing is known but perhaps its type. `initial` is whether it
    /// existed initially.
    pub fn new(kind: FileType, initial: bool) -> Self {
        Self { kind, guessed_type: kind, initial, ..Self::default() }
    }

    /// Returns how many initial names of this directory are known.
    pub fn count_initial_names(&self) -> usize {
        self.entries.values().filter(|e| e.initial.is_some()).count()
    }

    /// Returns the type, proven or guessed.
    pub fn likely_type(&self) -> FileType {
        if self.kind == FileType::Unknown { self.guessed_type } else { self.kind }
    }

    /// Guesses the type, if neither a call nor an earlier guess shows it. If the file is known to
    /// be no directory, the guess is a regular file instead of a directory.
    pub fn guess_type(&mut self, kind: FileType) {
        if self.likely_type() == FileType::Unknown {
            let is_leaf = kind == FileType::Directory && self.not_directory;
            self.guessed_type = if is_leaf { FileType::Regular } else { kind };
        }
    }

    /// Adds what is observed of the file now. Attributes that no call has changed were the same
    /// when the recording began.
    pub fn observe(&mut self, seen: &Observed) {
        let was_unknown = self.kind == FileType::Unknown;
        if was_unknown {
            if seen.kind == FileType::Link && seen.target.is_some() {
                self.target.clone_from(&seen.target); // what was guessed of it
            }
            self.kind = seen.kind;
        }
        // The target of a link to itself was guessed. Slashes at its end make it as long as the
        // link is.
        if seen.kind == FileType::Link
            && (was_unknown || self.leads_to_its_name())
            && let (Some(target), Some(size)) = (&mut self.target, seen.attributes.size)
            && target.len() < size as usize
            && size <= 4096
        {
            target.resize(size as usize, b'/');
        }
        if seen.not_directory {
            self.not_directory = true;
            if self.guessed_type == FileType::Directory && self.kind == FileType::Unknown {
                self.guessed_type = FileType::Regular;
            }
        }
        let attributes = &seen.attributes;
        if self.current_attributes.mode.is_some()
            && attributes.mode.is_some()
            && self.current_attributes.mode != attributes.mode
        {
            self.unexplained_attributes.mode = attributes.mode;
        }
        let learn = |initial: &mut Option<u32>,
                     current: &mut Option<u32>,
                     changed: bool,
                     value: Option<u32>| {
            if value.is_some() {
                *current = value;
                if !changed && initial.is_none() {
                    *initial = value;
                }
            }
        };
        learn(
            &mut self.initial_attributes.mode,
            &mut self.current_attributes.mode,
            self.changed.mode,
            attributes.mode,
        );
        learn(
            &mut self.initial_attributes.uid,
            &mut self.current_attributes.uid,
            self.changed.owner,
            attributes.uid,
        );
        learn(
            &mut self.initial_attributes.gid,
            &mut self.current_attributes.gid,
            self.changed.owner,
            attributes.gid,
        );
        if self.initial && !self.names_changed {
            self.initial_links = self.initial_links.or(seen.links);
        }
        if let (FileType::Regular, Some(size)) = (self.kind, attributes.size) {
            self.observe_size(size);
        }
        if self.kind == FileType::Link {
            self.initial_attributes.size = self.initial_attributes.size.or(attributes.size);
            if seen.target.is_some() {
                self.target.clone_from(&seen.target);
            }
        }
    }

    /// Returns whether this is a link whose target is its own name.
    fn leads_to_its_name(&self) -> bool {
        let mut names = self.initial_names.iter().chain(&self.names).map(|(_, name)| name);
        names.any(|name| self.target.as_deref() == Some(name))
    }

    /// Completes the attributes that calls have changed with initial ones that were observed of a
    /// file which turns out to be this one. An observed attribute that differs from what calls have
    /// set was observed before they did. Returns the attributes that no call has changed.
    pub fn complete_initial_attributes(&mut self, mut observed: Attributes) -> Attributes {
        fn complete<T: PartialEq>(
            initial: &mut Option<T>,
            current: &Option<T>,
            observed: &mut Option<T>,
        ) {
            let observed = observed.take().filter(|observed| current.as_ref() != Some(observed));
            if initial.is_none() {
                *initial = observed;
            }
        }
        let (initial, current) = (&mut self.initial_attributes, &self.current_attributes);
        if self.changed.mode {
            complete(&mut initial.mode, &current.mode, &mut observed.mode);
        }
        if self.changed.owner {
            complete(&mut initial.uid, &current.uid, &mut observed.uid);
            complete(&mut initial.gid, &current.gid, &mut observed.gid);
        }
        if self.changed.size {
            complete(&mut initial.size, &current.size, &mut observed.size);
        }
        observed
    }

    /// Notes that the file was created during the recording, so that nothing is known of it from
    /// before.
    pub fn mark_created(&mut self) {
        self.initial = false;
        self.initial_attributes = Attributes::default();
        self.initial_links = None;
        self.xattrs.clear();
        if let Some(bytes) = &mut self.bytes {
            bytes.determined.insert(0, u64::MAX);
            bytes.initial_holes = Ranges::default();
            bytes.initial_allocated = Ranges::default();
        }
    }
}
