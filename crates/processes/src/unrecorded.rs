//! Files that change without a row: operations of io_uring and libaio that are not recorded, stores
//! into shared mappings. Which files they can have changed follows from the calls that let them.
//!
//! Invariant: a file is told when it can be changed from then on, and may be told again. A ring can
//! reach what its process has open for writing and what it opens later; what is open in a process
//! that only made a ring is not told.

use crate::{Descriptor, OpenFile, Operands, Processes};
use abi::{AIO, AioUse, CallSpec, Effect, Kind, MAPPINGS, URING, UnrecordedEffect, mapping_number};
use ahash::{HashMap, HashSet};
use linux_raw_sys::general;
use linux_raw_sys::general::O_ACCMODE;
use std::ops::Range;
use std::sync::Arc;
use trace::call::Call;
use trace::record::PayloadKind;

/// Why a file's content is unknown.
pub const BY_OPERATIONS: &str = "io_uring or aio can have written it, which is not recorded";
/// The same of stores.
pub const BY_STORES: &str = "it was written through a shared mapping";

/// So many mappings of a process are remembered that may become writable.
const MOST: usize = 4096;

const PROT_WRITE: u64 = general::PROT_WRITE as u64;
const MAP_TYPE: u64 = general::MAP_TYPE as u64;
const MAP_PRIVATE: u64 = general::MAP_PRIVATE as u64;
const MAP_ANONYMOUS: u64 = general::MAP_ANONYMOUS as u64;
/// `struct iocb`: bytes, where the operation and the descriptor stand, and the operations that
/// write and that move no data (`linux/aio_abi.h`).
const IOCB: usize = 64;
const IOCB_OPCODE: usize = 16;
const IOCB_FD: usize = 20;
const WRITES: [u16; 2] = [1, 8];
const IDLE: [u16; 2] = [5, 6];

/// Files that can change so.
pub type Files = Vec<(Arc<OpenFile>, &'static str)>;

type Mapping = (Range<u64>, Arc<OpenFile>);

/// What happens without a call, as far as calls tell.
#[derive(Debug, Default)]
pub struct Unrecorded {
    /// Descriptor tables of processes that have begun operations of rings.
    tables: HashSet<u32>,
    /// Files behind shared mappings whose stores have rows, by the mappings' numbers.
    recorded_mappings: HashMap<u32, Arc<OpenFile>>,
    /// Shared mappings of each process that cannot be written, of files that can.
    mappings: HashMap<u32, Vec<Mapping>>,
    /// Operations that were begun.
    pub operations: u64,
    /// Rings whose operations the kernel finds by itself.
    pub polled: u64,
    /// Whether a ring was created whose operations the recorder meant to record, and whether there
    /// is a row of one.
    are_rings_announced: bool,
    are_rings_recorded: bool,
    /// How many entries were submitted to such rings by calls, and how many rows there are of them.
    submitted: u64,
    rows: u64,
    /// Whether the kernel takes entries from such a ring by itself.
    are_rings_polled: bool,
    /// Whether operations of libaio are recorded.
    are_blocks_recorded: bool,
    /// How many recorded operations of libaio each thread has begun since it last submitted some.
    begun_blocks: HashMap<u32, u64>,
}

impl Unrecorded {
    /// Looks at a call before it is entered.
    pub fn before_entry(&mut self, call: &Call) {
        if (URING..AIO).contains(&call.nr) {
            self.are_rings_recorded = true;
            self.rows += 1;
        }
        if (AIO..MAPPINGS).contains(&call.nr) {
            self.are_blocks_recorded = true;
            *self.begun_blocks.entry(call.tid).or_default() += 1;
        }
    }

    /// Returns how many operations of recorded rings have no row, as far as that can be known: if
    /// the kernel takes entries by itself, calls do not say how many.
    pub fn missing_rows(&self) -> u64 {
        if self.are_rings_polled { 0 } else { self.submitted.saturating_sub(self.rows) }
    }

    /// Returns whether the operations that an asynchronous call serves are recorded, as far as the
    /// calls until now tell. Of a call that returns, what it has submitted has been entered.
    pub fn are_recorded(&self, spec: &CallSpec) -> bool {
        match (spec.effect, spec.unrecorded) {
            (Effect::Aio(AioUse::Submit), _) => self.are_blocks_recorded,
            // They begin no operation.
            (Effect::Aio(_), _) => true,
            (_, UnrecordedEffect::AsyncOperations) => self.are_rings_recorded,
            (_, UnrecordedEffect::Transfer { .. }) => false,
            _ => self.are_rings_announced || self.are_rings_recorded,
        }
    }

    /// Returns whether an asynchronous call may begin operations that are not recorded, when it is
    /// entered. Those of libaio show when it returns, in [`Unrecorded::operations`].
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
            UnrecordedEffect::Nothing if self.tables.is_empty() || operands.opened.is_empty() => {
                Vec::new()
            }
            UnrecordedEffect::Nothing => self.opened_files(processes, call, operands),
            UnrecordedEffect::AsyncOperations if call.ret > 0 => {
                let blocks = spec.args.iter().position(|a| matches!(a.kind, Kind::Iocbs { .. }));
                match blocks.and_then(|i| call.payload(i as u8, PayloadKind::Iocbs)) {
                    Some(blocks) => self.operation_files(processes, call, &blocks.bytes),
                    None if self.are_rings_recorded => {
                        self.submitted += call.ret.unsigned_abs();
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
                let known = self.mappings.get(&call.pid).into_iter().flatten();
                let files = known.filter(|(there, _)| overlaps(there, &range));
                files.map(|(_, file)| (file.clone(), BY_STORES)).collect()
            }
            UnrecordedEffect::ProtectionChange => Vec::new(),
            UnrecordedEffect::Unmapping => {
                let range = mapped_range(call.args[0], call.args[1]);
                if let Some(known) = self.mappings.get_mut(&call.pid) {
                    known.retain(|(there, _)| {
                        !(range.start <= there.start && there.end <= range.end)
                    });
                }
                Vec::new()
            }
        }
    }

    /// Returns whether stores can change the file now that have rows later.
    pub fn is_mapped(&self, file: &OpenFile) -> bool {
        self.recorded_mappings.values().any(|mapped| mapped.inode.key == file.inode.key)
    }

    /// Returns the files behind mappings whose stores were to be recorded and that have not ended,
    /// at the end of the trace.
    pub fn open_mappings(&self) -> Files {
        self.recorded_mappings.values().map(|file| (file.clone(), BY_STORES)).collect()
    }

    /// Forgets the mappings of a process that has replaced its program.
    pub fn after_exec(&mut self, pid: u32) {
        self.mappings.remove(&pid);
    }

    /// Returns the files that the control blocks of libaio refer to.
    fn operation_files<T: Default>(
        &mut self,
        processes: &Processes<T>,
        call: &Call,
        blocks: &[u8],
    ) -> Files {
        let begun = usize::try_from(call.ret).unwrap_or(0);
        let recorded = self.begun_blocks.remove(&call.tid).unwrap_or(0);
        if recorded > 0 {
            let missing = (begun as u64).saturating_sub(recorded);
            self.operations += missing;
            if missing == 0 {
                return Files::new();
            }
        }
        let mut files = Files::new();
        for block in blocks.chunks_exact(IOCB).take(begun) {
            let opcode = u16::from_le_bytes([block[IOCB_OPCODE], block[IOCB_OPCODE + 1]]);
            self.operations += u64::from(recorded == 0 && !IDLE.contains(&opcode));
            let fd = block[IOCB_FD..].first_chunk().map_or(-1, |fd| i32::from_le_bytes(*fd));
            if let Some(d) = processes.descriptor(call.tid, fd).filter(|_| WRITES.contains(&opcode))
            {
                files.extend(writable_file(d).map(|file| (file, BY_OPERATIONS)));
            }
        }
        // What was not captured was begun all the same.
        if recorded == 0 {
            self.operations += begun.saturating_sub(blocks.len() / IOCB) as u64;
        }
        files
    }

    /// Returns all files that a process has open, when it uses a ring for the first time.
    fn ring_files<T: Default>(&mut self, processes: &Processes<T>, call: &Call) -> Files {
        let Some(table) = processes.threads.get(&call.tid).map(|t| t.table) else {
            return Vec::new();
        };
        if !self.tables.insert(table) {
            return Vec::new();
        }
        let slots = processes.tables.get(&table).into_iter().flat_map(|t| t.slots.values());
        slots.filter_map(|s| Some((writable_file(&s.descriptor)?, BY_OPERATIONS))).collect()
    }

    /// Returns the files that a call opened, if the process uses a ring.
    fn opened_files<T: Default>(
        &self,
        processes: &Processes<T>,
        call: &Call,
        operands: &Operands<T>,
    ) -> Files {
        let table = processes.threads.get(&call.tid).map(|t| t.table);
        if !table.is_some_and(|t| self.tables.contains(&t)) {
            return Vec::new();
        }
        let opened = operands.opened.iter();
        opened.filter_map(|(_, d)| Some((writable_file(d)?, BY_OPERATIONS))).collect()
    }

    /// Returns the file that a call mapped, if the mapping is shared and writable. Remembers shared
    /// mappings that are read-only, as they can become writable.
    fn mapped_files<T>(&mut self, call: &Call, operands: &Operands<T>) -> Files {
        let range = mapped_range(call.ret as u64, call.args[1]);
        if let Some(known) = self.mappings.get_mut(&call.pid) {
            known.retain(|(there, _)| !overlaps(there, &range));
        }
        let shared = call.args[3] & MAP_TYPE != MAP_PRIVATE && call.args[3] & MAP_ANONYMOUS == 0;
        let Some(file) = operands.fds[4].as_ref().filter(|_| shared).and_then(writable_file) else {
            return Vec::new();
        };
        if let Some(number) = call.created_mapping() {
            self.recorded_mappings.insert(number, file);
            return Vec::new();
        }
        if call.args[2] & PROT_WRITE != 0 {
            return vec![(file, BY_STORES)];
        }
        let known = self.mappings.entry(call.pid).or_default();
        if known.len() < MOST {
            known.push((range, file));
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

/// Returns the addresses of a mapping, in whole pages.
fn mapped_range(start: u64, len: u64) -> Range<u64> {
    start..start.saturating_add(len)
}

/// Returns whether two ranges have a byte in common.
fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
