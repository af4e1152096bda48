//! Files that can change without a recorded call: by operations of io_uring and libaio, and by
//! stores to shared mappings. Which files these are follows from the calls that begin the
//! operations or create the mappings.
//!
//! Invariant: a file is returned when it can change from then on, and may be returned again.
//! Operations of a ring can change all files that its process has open for writing, or opens later.
//! If a process only created a ring, its files are not returned.

use crate::{Descriptor, OpenFile, Operands, Processes};
use abi::{AIO, AioUse, CallSpec, Effect, Kind, MAPPINGS, URING, UnrecordedEffect, mapping_number};
use ahash::{HashMap, HashSet};
use linux_raw_sys::general;
use linux_raw_sys::general::O_ACCMODE;
use std::ops::Range;
use std::sync::Arc;
use trace::call::Call;
use trace::record::PayloadKind;

/// The reason why a file's content is unknown: unrecorded operations.
pub const BY_OPERATIONS: &str = "io_uring or aio can have written it, which is not recorded";
/// The reason why a file's content is unknown: unrecorded stores.
pub const BY_STORES: &str = "it was written through a shared mapping";

/// The largest number of mappings of a process that are remembered as they may become writable.
const MAX_MAPPINGS: usize = 4096;

const PROT_WRITE: u64 = general::PROT_WRITE as u64;
const MAP_TYPE: u64 = general::MAP_TYPE as u64;
const MAP_PRIVATE: u64 = general::MAP_PRIVATE as u64;
const MAP_ANONYMOUS: u64 = general::MAP_ANONYMOUS as u64;
/// The size of `struct iocb`, and the offsets of two fields in it (`linux/aio_abi.h`).
const IOCB: usize = 64;
const IOCB_OPCODE: usize = 16;
const IOCB_FD: usize = 20;
/// The operations of libaio that write: `IOCB_CMD_PWRITE` and `IOCB_CMD_PWRITEV`.
const WRITING: [u16; 2] = [1, 8];
/// The operations of libaio that move no data: `IOCB_CMD_POLL` and `IOCB_CMD_NOOP`.
const NO_DATA: [u16; 2] = [5, 6];

/// Files that can change without a recorded call, each with the reason.
pub type Files = Vec<(Arc<OpenFile>, &'static str)>;

/// A mapping: its addresses, and its file.
type Mapping = (Range<u64>, Arc<OpenFile>);

/// What can change files without a recorded call, as far as calls show.
#[derive(Debug, Default)]
pub struct Unrecorded {
    /// The ids of the descriptor tables of processes that have begun unrecorded operations of
    /// rings.
    ring_tables: HashSet<u32>,
    /// The files behind shared mappings to which stores are recorded, by the number of the mapping.
    recorded_mappings: HashMap<u32, Arc<OpenFile>>,
    /// The shared mappings of each process that are read-only, of files that are open for writing.
    read_only_mappings: HashMap<u32, Vec<Mapping>>,
    /// The number of unrecorded operations that were begun.
    pub operations: u64,
    /// The number of unrecorded rings from which the kernel takes operations without a call.
    pub polled: u64,
    /// Whether a ring was created whose operations the recorder is to record, and whether there is
    /// a recorded operation of a ring.
    are_rings_announced: bool,
    are_rings_recorded: bool,
    /// How many operations calls submitted to recorded rings, and how many of them are recorded.
    submitted_entries: u64,
    recorded_operations: u64,
    /// Whether the kernel takes operations from a recorded ring without a call.
    are_rings_polled: bool,
    /// Whether operations of libaio are recorded.
    is_libaio_recorded: bool,
    /// How many recorded operations of libaio each thread has begun since it last submitted some.
    begun_libaio_operations: HashMap<u32, u64>,
}

impl Unrecorded {
    /// Notes a call, before it is passed to [`Processes::enter`]: it may be a recorded operation.
    pub fn before_entry(&mut self, call: &Call) {
        if (URING..AIO).contains(&call.nr) {
            self.are_rings_recorded = true;
            self.recorded_operations += 1;
        }
        if (AIO..MAPPINGS).contains(&call.nr) {
            self.is_libaio_recorded = true;
            *self.begun_libaio_operations.entry(call.tid).or_default() += 1;
        }
    }

    /// Returns how many operations of recorded rings are missing in the trace. Returns 0 if the
    /// kernel takes operations from such a ring without a call, as it is then not known how many
    /// there were.
    pub fn missing_rows(&self) -> u64 {
        if self.are_rings_polled {
            0
        } else {
            self.submitted_entries.saturating_sub(self.recorded_operations)
        }
    }

    /// Returns whether the operations that an asynchronous call begins or waits for are recorded,
    /// as far as the calls until now show. When the call returns, the operations that it submitted
    /// have been entered already.
    pub fn are_recorded(&self, spec: &CallSpec) -> bool {
        match (spec.effect, spec.unrecorded) {
            (Effect::Aio(AioUse::Submit), _) => self.is_libaio_recorded,
            // Other calls of libaio begin no operation.
            (Effect::Aio(_), _) => true,
            (_, UnrecordedEffect::AsyncOperations) => self.are_rings_recorded,
            (_, UnrecordedEffect::Transfer { .. }) => false,
            _ => self.are_rings_announced || self.are_rings_recorded,
        }
    }

    /// Returns whether an asynchronous call that is entered may begin operations that are not
    /// recorded. Those of libaio are only known when it returns: then [`Unrecorded::operations`]
    /// grows.
    pub fn may_begin_unrecorded(&self, spec: &CallSpec) -> bool {
        !matches!(spec.effect, Effect::Aio(_))
            && !self.are_rings_announced
            && !self.are_rings_recorded
    }

    /// Returns the files that can change from now on without a recorded call, after a call
    /// returned: those mapped shared and writable, and those that asynchronous operations can write
    /// to.
    pub fn after_return<T: Default>(
        &mut self,
        processes: &Processes<T>,
        call: &Call,
        operands: &Operands<T>,
    ) -> Files {
        let Some(spec) = call.spec().filter(|_| call.succeeded()) else { return Vec::new() };
        self.are_rings_announced |= call.created_ring().is_some();
        if spec.effect == Effect::EndMapping {
            let number = mapping_number(call.args[0] as i32);
            number.and_then(|number| self.recorded_mappings.remove(&number));
        }
        match spec.unrecorded {
            UnrecordedEffect::Nothing
                if self.ring_tables.is_empty() || operands.opened.is_empty() =>
            {
                Vec::new()
            }
            UnrecordedEffect::Nothing => self.opened_files(processes, call, operands),
            UnrecordedEffect::AsyncOperations if call.ret > 0 => {
                let control_blocks =
                    spec.args.iter().position(|a| matches!(a.kind, Kind::Iocbs { .. }));
                match control_blocks.and_then(|i| call.payload(i as u8, PayloadKind::Iocbs)) {
                    Some(control_blocks) => {
                        self.operation_files(processes, call, &control_blocks.bytes)
                    }
                    None if self.are_rings_recorded => {
                        self.submitted_entries += call.ret.unsigned_abs();
                        Vec::new()
                    }
                    None => {
                        self.operations += call.ret.unsigned_abs();
                        self.ring_files(processes, call)
                    }
                }
            }
            UnrecordedEffect::KernelPolling { arg, at, bit }
                if call.struct_u64(arg, at) as u32 & bit != 0 =>
            {
                if self.are_rings_announced {
                    self.are_rings_polled = true;
                    return Vec::new();
                }
                self.polled += 1;
                self.ring_files(processes, call)
            }
            UnrecordedEffect::AsyncOperations | UnrecordedEffect::KernelPolling { .. } => {
                Vec::new()
            }
            UnrecordedEffect::Transfer { to } if call.ret > 0 => {
                let file = operands.fds[usize::from(to)].as_ref().and_then(writable_file);
                self.operations += u64::from(file.is_some());
                file.map(|file| (file, BY_OPERATIONS)).into_iter().collect()
            }
            UnrecordedEffect::Transfer { .. } => Vec::new(),
            UnrecordedEffect::Mapping => self.mapped_files(call, operands),
            UnrecordedEffect::ProtectionChange if call.args[2] & PROT_WRITE != 0 => {
                let range = mapped_range(call.args[0], call.args[1]);
                let mappings = self.read_only_mappings.get(&call.pid).into_iter().flatten();
                let files = mappings.filter(|(mapped, _)| overlaps(mapped, &range));
                files.map(|(_, file)| (file.clone(), BY_STORES)).collect()
            }
            UnrecordedEffect::ProtectionChange => Vec::new(),
            UnrecordedEffect::Unmapping => {
                let range = mapped_range(call.args[0], call.args[1]);
                if let Some(mappings) = self.read_only_mappings.get_mut(&call.pid) {
                    mappings.retain(|(mapped, _)| {
                        !(range.start <= mapped.start && mapped.end <= range.end)
                    });
                }
                Vec::new()
            }
        }
    }

    /// Returns whether stores to a shared mapping can change the file now that are recorded later.
    pub fn is_mapped(&self, file: &OpenFile) -> bool {
        self.recorded_mappings.values().any(|mapped| mapped.inode.key == file.inode.key)
    }

    /// Returns the files behind recorded mappings that have not ended, at the end of the trace:
    /// some stores to them may not be recorded.
    pub fn open_mappings(&self) -> Files {
        self.recorded_mappings.values().map(|file| (file.clone(), BY_STORES)).collect()
    }

    /// Forgets the mappings of a process that has replaced its program.
    pub fn after_exec(&mut self, pid: u32) {
        self.read_only_mappings.remove(&pid);
    }

    /// Counts the unrecorded operations of libaio that a call has begun. Returns the files to which
    /// they can write. `control_blocks` are their `struct iocb`.
    fn operation_files<T: Default>(
        &mut self,
        processes: &Processes<T>,
        call: &Call,
        control_blocks: &[u8],
    ) -> Files {
        let begun_count = usize::try_from(call.ret).unwrap_or(0);
        let recorded_count = self.begun_libaio_operations.remove(&call.tid).unwrap_or(0);
        if recorded_count > 0 {
            let missing = (begun_count as u64).saturating_sub(recorded_count);
            self.operations += missing;
            if missing == 0 {
                return Files::new();
            }
        }
        let mut files = Files::new();
        for block in control_blocks.chunks_exact(IOCB).take(begun_count) {
            let opcode = u16::from_le_bytes([block[IOCB_OPCODE], block[IOCB_OPCODE + 1]]);
            self.operations += u64::from(recorded_count == 0 && !NO_DATA.contains(&opcode));
            let fd = block[IOCB_FD..].first_chunk().map_or(-1, |fd| i32::from_le_bytes(*fd));
            if let Some(descriptor) =
                processes.descriptor(call.tid, fd).filter(|_| WRITING.contains(&opcode))
            {
                files.extend(writable_file(descriptor).map(|file| (file, BY_OPERATIONS)));
            }
        }
        // Operations whose control blocks were not captured were begun, too.
        if recorded_count == 0 {
            self.operations += begun_count.saturating_sub(control_blocks.len() / IOCB) as u64;
        }
        files
    }

    /// Returns all files that a process has open for writing, when it uses an unrecorded ring for
    /// the first time; later none.
    fn ring_files<T: Default>(&mut self, processes: &Processes<T>, call: &Call) -> Files {
        let Some(table_id) = processes.threads.get(&call.tid).map(|t| t.table_id) else {
            return Vec::new();
        };
        if !self.ring_tables.insert(table_id) {
            return Vec::new();
        }
        let slots = processes.tables.get(&table_id).into_iter().flat_map(|t| t.slots.values());
        slots.filter_map(|slot| Some((writable_file(&slot.descriptor)?, BY_OPERATIONS))).collect()
    }

    /// Returns the files that a call opened for writing, if the process uses an unrecorded ring.
    fn opened_files<T: Default>(
        &self,
        processes: &Processes<T>,
        call: &Call,
        operands: &Operands<T>,
    ) -> Files {
        let table_id = processes.threads.get(&call.tid).map(|id| id.table_id);
        if !table_id.is_some_and(|id| self.ring_tables.contains(&id)) {
            return Vec::new();
        }
        let opened = operands.opened.iter();
        opened
            .filter_map(|(_, descriptor)| Some((writable_file(descriptor)?, BY_OPERATIONS)))
            .collect()
    }

    /// Returns the file that a call mapped, if the mapping is shared and writable, and stores to it
    /// are not recorded. Remembers recorded mappings, and shared mappings that are read-only, as
    /// they can become writable.
    fn mapped_files<T>(&mut self, call: &Call, operands: &Operands<T>) -> Files {
        let range = mapped_range(call.ret as u64, call.args[1]);
        if let Some(mappings) = self.read_only_mappings.get_mut(&call.pid) {
            mappings.retain(|(mapped, _)| !overlaps(mapped, &range));
        }
        let is_shared = call.args[3] & MAP_TYPE != MAP_PRIVATE && call.args[3] & MAP_ANONYMOUS == 0;
        let Some(file) = operands.fds[4].as_ref().filter(|_| is_shared).and_then(writable_file)
        else {
            return Vec::new();
        };
        if let Some(number) = call.created_mapping() {
            self.recorded_mappings.insert(number, file);
            return Vec::new();
        }
        if call.args[2] & PROT_WRITE != 0 {
            return vec![(file, BY_STORES)];
        }
        let mappings = self.read_only_mappings.entry(call.pid).or_default();
        if mappings.len() < MAX_MAPPINGS {
            mappings.push((range, file));
        }
        Vec::new()
    }
}

/// Returns the file of a descriptor, if it is stored and can be written through it.
fn writable_file<T>(descriptor: &Arc<Descriptor<T>>) -> Option<Arc<OpenFile>> {
    let file = &descriptor.file;
    let regular = file.is_stored() && file.file_type() == 0o100_000;
    (regular && file.status() & O_ACCMODE != 0).then(|| file.clone())
}

/// Returns the range of `len` addresses from `start` on.
fn mapped_range(start: u64, len: u64) -> Range<u64> {
    start..start.saturating_add(len)
}

/// Returns whether two ranges have a byte in common.
fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
