//! Files that recorded processes have mapped shared, so that stores change them. No call shows a
//! store, so a file is compared with what it held when it was read last, and what has changed
//! becomes rows (`mmap_write`). It is compared when the program asks for its stores to reach the
//! disk (msync), and after each call that can end a mapping. After the last one has ended no store
//! can follow, so that nothing is missing; a last row (`mmap_end`) says so.
//!
//! What was written by calls meanwhile is among what has changed, and so is all that the mapped
//! part holds if it could not be read before the first store. When in between a store was made is
//! unknown.

mod file;
mod maps;

use crate::Options;
use crate::records::RecordWriter;
use abi::plan::{NONE, RESULT};
use abi::{CallSpec, Effect, Ret, UnrecordedEffect};
use file::{Comparer, MappedFile};
use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_TYPE, PROT_WRITE};
use maps::{FileKey, SharedMapping, shared_mappings};
use model::processes::is_virtual_magic;
use rustix::fs::fstatfs;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

/// The most bytes of a file that is compared.
const MAX_COMPARED_BYTES: u64 = 1 << 30;
/// The most bytes of a file that is read when it is mapped, so that the first comparison finds
/// only what has changed since.
const MAX_INITIAL_READ_BYTES: u64 = 32 << 20;

/// What a call means to mapped files, as in `enum mapping_use` of `bpf/record.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MappingUse {
    /// It maps a file, and may end other mappings.
    Map = 1,
    /// It may end mappings.
    Change = 2,
    /// It needs what was stored: to write it to the disk, or to copy it.
    Sync = 3,
    /// It may make mappings writable.
    Protect = 4,
}

/// Returns what such a call means to mapped files, or `None` if nothing.
pub(crate) fn mapping_use(spec: &CallSpec) -> Option<MappingUse> {
    match (spec.effect, spec.unrecorded) {
        (Effect::Map, _) => Some(MappingUse::Map),
        (Effect::MoveMapping, _) | (_, UnrecordedEffect::Unmapping) => Some(MappingUse::Change),
        // What was stored is copied, or moved out of the part that is mapped.
        (Effect::SyncMapping | Effect::Allocate | Effect::Clone { .. }, _) => {
            Some(MappingUse::Sync)
        }
        _ if spec.copies.is_some() => Some(MappingUse::Sync),
        (_, UnrecordedEffect::ProtectionChange) => Some(MappingUse::Protect),
        _ => None,
    }
}

/// Instead of an argument: the call names the file by its path, so that it is not known which one
/// it is.
pub(crate) const BY_NAME: u8 = 253;

/// Returns the argument with the descriptor of the file whose content a call of this kind changes;
/// [`RESULT`] if it may empty the file that it opens; [`BY_NAME`]; or [`NONE`].
pub(crate) fn changed_file(spec: &CallSpec) -> u8 {
    let opens = spec.ret == Ret::Fd && spec.args.iter().any(|arg| arg.kind.path_use().is_some());
    match (spec.effect, spec.copies) {
        (_, Some(copies)) => copies.to.fd,
        (Effect::Truncate, _) => spec.uses.fd.unwrap_or(BY_NAME),
        (Effect::Allocate | Effect::Clone { .. }, _) => spec.uses.fd.unwrap_or(NONE),
        _ if spec.uses.writes_data => spec.uses.fd.unwrap_or(NONE),
        _ if opens => RESULT,
        _ => NONE,
    }
}

/// Returns the addresses that a call asks to be written to the disk, or `None` if it does something
/// else.
pub(crate) fn synced_addresses(number: u64, args: &[u64; 6]) -> Option<Range<u64>> {
    let row = abi::by_number(u32::try_from(number).ok()?)?;
    let addresses = args[0]..args[0].saturating_add(args[1]);
    (row.spec.effect == Effect::SyncMapping).then_some(addresses)
}

/// Returns the range of the file that a call of mmap(2) with these arguments maps, or `None` if the
/// mapping is not a shared one of a file.
pub(crate) fn shared_range(args: &[u64; 6]) -> Option<Range<u64>> {
    let [_, len, _, flags, _, offset] = *args;
    let flags = flags as u32;
    let shared = flags & MAP_TYPE != MAP_PRIVATE && flags & MAP_ANONYMOUS == 0;
    shared.then(|| offset..offset.saturating_add(len))
}

/// Returns whether a call of this kind with these arguments may have ended mappings of files or
/// made some writable.
pub(crate) fn changes_mappings(call: MappingUse, args: &[u64; 6]) -> bool {
    match call {
        MappingUse::Map => args[3] as u32 & MAP_FIXED != 0,
        MappingUse::Protect => args[2] as u32 & PROT_WRITE != 0,
        MappingUse::Change => true,
        MappingUse::Sync => false,
    }
}

/// A mapping that a process has created.
pub(crate) struct NewMapping {
    /// Its number in the recording.
    pub number: u32,
    pub pid: i32,
    /// The thread that has created it.
    pub tid: i32,
    pub address: u64,
    /// Whether stores are possible from the beginning.
    pub writable: bool,
    /// The range of the file, in bytes, that is mapped.
    pub range: Range<u64>,
}

/// The files that are mapped shared.
pub(crate) struct MappedFiles {
    /// By what `/proc/PID/maps` says, and by device and inode as stat(2) tells them: neither is
    /// unique on every file system.
    files: HashMap<(FileKey, FileKey), MappedFile>,
    /// Whether calls that make mappings writable are not recorded.
    may_be_writable: bool,
    comparer: Comparer,
}

impl MappedFiles {
    /// Creates a list without files, for a recording with these options.
    pub fn new(options: &Options) -> Self {
        let protects =
            abi::table().iter().filter(|row| mapping_use(&row.spec) == Some(MappingUse::Protect));
        let may_be_writable = !protects.map(|row| row.number).all(|n| options.calls.contains(n));
        let comparer = Comparer::new(options.data.of_writes());
        Self { files: HashMap::new(), may_be_writable, comparer }
    }

    /// Returns how many bytes are compared at most if all files of a process are.
    pub fn compared_bytes(&self, pid: i32) -> u64 {
        self.files
            .values()
            .filter(|file| file.is_mapped_by(pid))
            .map(MappedFile::compared_bytes)
            .sum()
    }

    /// Returns whether no file is mapped.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a mapping of `file`, which is open for reading. `is_unchanged` is called after the file
    /// was read, and returns whether the program cannot have stored anything until then. Does
    /// nothing if the file is too long or not mapped any more: a trace with a mapping that does not
    /// end is incomplete. Nor does it read files that the kernel generates, which may be devices.
    pub fn add(
        &mut self,
        mut mapping: NewMapping,
        file: File,
        is_unchanged: impl FnOnce() -> bool,
    ) {
        let mut mappings = shared_mappings(mapping.tid).into_iter().flatten();
        let found = mappings.find(|m| m.addresses.contains(&mapping.address));
        let Some(SharedMapping { file: key, .. }) = found else { return };
        if fstatfs(&file).map_or(true, |fs| is_virtual_magic(fs.f_type as u32)) {
            return;
        }
        let Ok(metadata) = file.metadata() else { return };
        let bytes = metadata.blocks().saturating_mul(512);
        let key = (key, (metadata.dev(), metadata.ino()));
        mapping.writable |= self.may_be_writable;
        if let Some(known) = self.files.get_mut(&key) {
            known.add(&mapping);
        } else if bytes <= MAX_COMPARED_BYTES {
            let mut file = MappedFile::new(file);
            file.add(&mapping);
            if mapping.writable && bytes <= MAX_INITIAL_READ_BYTES {
                self.comparer.read_initial(&mut file);
                if !is_unchanged() {
                    file.forget_content();
                }
            }
            self.files.insert(key, file);
        }
    }

    /// Notes that a call has changed the file with this inode number; 0: some file. What was stored
    /// before may be stored again, so all that the file holds counts as changed next time.
    pub fn forget_content(&mut self, inode: u64) {
        let changed = |((_, (_, ino)), _): &(&(FileKey, FileKey), &mut MappedFile)| {
            inode == 0 || *ino == inode
        };
        self.files.iter_mut().filter(changed).for_each(|(_, file)| file.forget_content());
    }

    /// Notes that process `child` has copies of the mappings of process `parent`.
    pub fn fork(&mut self, parent: i32, child: i32) {
        self.files.values_mut().for_each(|file| file.fork(parent, child));
    }

    /// Writes rows of what was stored to the files that process `pid` has mapped. They belong to
    /// thread `tid`. If `addresses` are given, only what is mapped there is compared, as far as
    /// that is known.
    pub fn write_changes(
        &mut self,
        pid: i32,
        tid: i32,
        addresses: Option<&Range<u64>>,
        out: &mut RecordWriter,
    ) {
        for file in self.files.values_mut().filter(|file| file.is_mapped_by(pid)) {
            let range = addresses.and_then(|addresses| file.range_at(addresses));
            self.comparer.write_changed(file, range, pid, tid, out);
        }
    }

    /// Updates the list after a call of the process that may have ended mappings or made some
    /// writable. Files that no process has mapped any more are compared for the last time.
    pub fn update_mappings(&mut self, pid: i32, tid: i32, out: &mut RecordWriter) {
        // They cannot be read if the process is about to end, or may not be traced.
        let Some(mappings) = shared_mappings(tid) else { return };
        let files = self.files.iter_mut().filter(|(_, file)| file.is_mapped_by(pid));
        for ((key, _), file) in files {
            let of_file = mappings.iter().filter(|mapping| mapping.file == *key);
            of_file.for_each(|mapping| file.extend(&mapping.range(), mapping.writable));
        }
        let mapped: HashSet<FileKey> = mappings.iter().map(|mapping| mapping.file).collect();
        self.end_unmapped(pid, tid, |key| mapped.contains(key), out);
    }

    /// Notes that a process has ended or executed another program, and has no mappings any more.
    pub fn end_process(&mut self, pid: i32, tid: i32, out: &mut RecordWriter) {
        self.end_unmapped(pid, tid, |_| false, out);
    }

    /// Compares all files for the last time, at the end of the recording.
    pub fn finish(&mut self, out: &mut RecordWriter) {
        while let Some(pid) = self.files.values().find_map(MappedFile::any_process) {
            self.end_process(pid, pid, out);
        }
    }

    /// Notes which files a process still has mapped: those for whose key `is_mapped` returns true.
    /// The files that no process has mapped any more are compared for the last time, and removed.
    fn end_unmapped(
        &mut self,
        pid: i32,
        tid: i32,
        is_mapped: impl Fn(&FileKey) -> bool,
        out: &mut RecordWriter,
    ) {
        self.files.retain(|(key, _), file| {
            if !file.is_mapped_by(pid) || is_mapped(key) || file.remove(pid) {
                return true;
            }
            self.comparer.write_changed(file, None, pid, tid, out);
            file.write_ends(pid, tid, out);
            false
        });
    }
}
