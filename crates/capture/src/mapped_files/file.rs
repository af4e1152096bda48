//! One file that is mapped shared.

use super::NewMapping;
use crate::records::{PayloadSink, PayloadSpec, RecordSize, RecordWriter, monotonic_ns};
use abi::{MAPPINGS, mapped_file};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use trace::record::{Header, PayloadKind, RecordKind};
use twox_hash::XxHash3_128;

/// The size in bytes of the pages into which a file is divided to find what has changed.
const PAGE: usize = 4096;
/// How many pages have their hashes in one array.
const GROUP: usize = 256;
/// How many bytes of a file are read at once. No row has more.
const CHUNK: usize = 1 << 20;

/// A file that processes have mapped shared.
pub(super) struct MappedFile {
    /// The file, open for reading.
    file: File,
    /// The numbers, in the recording, of its mappings. Rows about stores have the first one.
    mapping_numbers: Vec<u32>,
    /// The IDs of the processes that have it mapped.
    processes: Vec<i32>,
    /// The range of the file, in bytes, that is or was mapped.
    mapped_range: Range<u64>,
    /// Whether a mapping is or was writable. Until then nothing can have been stored.
    writable: bool,
    /// The address at which the first mapping has the file's first byte, or would have it.
    base_address: u64,
    /// The hashes of its pages when they were read last, by the index of the page divided by
    /// [`GROUP`]; 0: the page was not read yet.
    page_hashes: HashMap<u64, Box<[u128; GROUP]>>,
}

impl MappedFile {
    /// Returns the state of an open file that no process has mapped yet and that was not read yet.
    pub fn new(file: File) -> Self {
        Self {
            file,
            mapping_numbers: Vec::new(),
            processes: Vec::new(),
            mapped_range: 0..0,
            writable: false,
            base_address: 0,
            page_hashes: HashMap::new(),
        }
    }

    /// Adds a mapping.
    pub fn add(&mut self, mapping: &NewMapping) {
        if self.mapping_numbers.is_empty() {
            self.base_address = mapping.address.wrapping_sub(mapping.range.start);
            self.mapped_range = mapping.range.clone();
        }
        self.mapping_numbers.push(mapping.number);
        if !self.is_mapped_by(mapping.pid) {
            self.processes.push(mapping.pid);
        }
        self.extend(&mapping.range, mapping.writable);
    }

    /// Extends the range that is compared by one that is mapped, to whole pages. `writable` is
    /// whether that mapping is writable.
    pub fn extend(&mut self, range: &Range<u64>, writable: bool) {
        let end = range.end.checked_next_multiple_of(PAGE as u64).unwrap_or(u64::MAX);
        self.writable |= writable;
        self.mapped_range.start = self.mapped_range.start.min(range.start);
        self.mapped_range.end = self.mapped_range.end.max(end);
    }

    /// Returns whether a process has it mapped.
    pub fn is_mapped_by(&self, pid: i32) -> bool {
        self.processes.contains(&pid)
    }

    /// Returns a process that has it mapped, or `None` if none has.
    pub fn any_process(&self) -> Option<i32> {
        self.processes.first().copied()
    }

    /// Gives process `child` the mappings of process `parent`.
    pub fn fork(&mut self, parent: i32, child: i32) {
        if self.is_mapped_by(parent) && !self.is_mapped_by(child) {
            self.processes.push(child);
        }
    }

    /// Notes that a process does not have it mapped any more. Returns whether another one has.
    pub fn remove(&mut self, pid: i32) -> bool {
        self.processes.retain(|process| *process != pid);
        !self.processes.is_empty()
    }

    /// Writes the last rows of its mappings, which have all ended.
    pub fn write_ends(&self, pid: i32, tid: i32, out: &mut RecordWriter) {
        let now = monotonic_ns();
        for number in &self.mapping_numbers {
            let args = [mapped_file(*number) as u64, 0, 0, 0, 0, 0];
            let row = Header { args, nr: MAPPINGS + 1, ..header(pid, tid, now) };
            out.begin(row, RecordSize::Small);
            out.end();
        }
    }

    /// Returns the range of the file that is mapped at these addresses, in whole pages. Returns
    /// `None` if that is not known, as the file has several mappings, or the addresses are outside
    /// of its only one.
    pub fn range_at(&self, addresses: &Range<u64>) -> Option<Range<u64>> {
        let page = PAGE as u64;
        let start = addresses.start.checked_sub(self.base_address)? / page * page;
        let end = addresses.end.checked_sub(self.base_address)?.checked_next_multiple_of(page)?;
        let is_only = self.mapping_numbers.len() == 1
            && self.mapped_range.start <= start
            && end <= self.mapped_range.end;
        is_only.then_some(start..end)
    }

    /// Forgets what the file held: all of it counts as changed when it is read next.
    pub fn forget_content(&mut self) {
        self.page_hashes.clear();
    }

    /// Returns the ranges of `bytes` that have changed since they were read last: pages, with
    /// adjacent ones in one range. `offset` is that of `bytes` in the file. Stores the new hashes.
    fn changed_pages(&mut self, bytes: &[u8], offset: u64) -> Vec<Range<usize>> {
        let mut changed: Vec<Range<usize>> = Vec::new();
        for (i, page) in bytes.chunks(PAGE).enumerate() {
            let hash = XxHash3_128::oneshot(page).max(1);
            let page_index = offset / PAGE as u64 + i as u64;
            let group = self.page_hashes.entry(page_index / GROUP as u64);
            let group = group.or_insert_with(|| Box::new([0; GROUP]));
            let slot = &mut group[(page_index % GROUP as u64) as usize];
            let last_hash = std::mem::replace(slot, hash);
            let range = i * PAGE..i * PAGE + page.len();
            if last_hash == hash {
                continue;
            }
            match changed.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => changed.push(range),
            }
        }
        changed
    }

    /// Returns how many bytes are compared each time, at most: 0 if nothing can have been stored.
    pub fn compared_bytes(&self) -> u64 {
        if self.writable { self.mapped_range.end - self.mapped_range.start } else { 0 }
    }

    /// Returns the range of the next data at `offset` or after it, in whole pages, or up to `end`.
    /// Returns `None` if only holes follow, or nothing can have been stored.
    fn next_data(&self, offset: u64, end: u64) -> Option<Range<u64>> {
        if offset >= end || !self.writable {
            return None;
        }
        let start = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => (data / PAGE as u64 * PAGE as u64).max(offset),
            Err(Errno::NXIO) => return None,
            // The file system does not tell holes from data.
            Err(_) => offset,
        };
        let hole = seek(&self.file, SeekFrom::Hole(start)).unwrap_or(u64::MAX - PAGE as u64);
        let data = start..hole.next_multiple_of(PAGE as u64).min(end);
        Some(data).filter(|data| !data.is_empty())
    }
}

/// Reads mapped files, compares them with what they held when they were read last, and writes rows
/// of what has changed.
pub(super) struct Comparer {
    /// The bytes that were read last; the memory is reused.
    chunk: Vec<u8>,
    /// The most bytes of a row that are recorded.
    limit: u64,
}

impl Comparer {
    pub fn new(limit: u64) -> Self {
        Self { chunk: Vec::new(), limit }
    }

    /// Reads a file without writing rows: only later changes count.
    pub fn read_initial(&mut self, file: &mut MappedFile) {
        self.compare(file, None, &mut |_, _, _| {});
    }

    /// Writes rows of the pages of a file that have changed, in this range or in all that is
    /// mapped. The rows belong to thread `tid` of process `pid`.
    pub fn write_changed(
        &mut self,
        file: &mut MappedFile,
        range: Option<Range<u64>>,
        pid: i32,
        tid: i32,
        out: &mut RecordWriter,
    ) {
        let (limit, base_address) = (self.limit, file.base_address);
        let fd = mapped_file(file.mapping_numbers[0]) as u64;
        self.compare(file, range, &mut |read_at, offset, data| {
            let wanted = data.len() as u64;
            let args = [fd, base_address.wrapping_add(offset), wanted, offset, 0, 0];
            let (left, ret) = (monotonic_ns(), wanted as i64);
            out.begin(Header { args, left, ret, ..header(pid, tid, read_at) }, RecordSize::Large);
            let kind = PayloadKind::Data;
            out.put_bytes(PayloadSpec { arg: 1, kind, flags: 0, wanted, limit }, data);
            out.end();
        });
    }

    /// Reads a range of a file, or all that is mapped, and calls `changed` for each range of pages
    /// that has changed, with the time when it was read, its offset in the file, and its bytes.
    fn compare(
        &mut self,
        file: &mut MappedFile,
        range: Option<Range<u64>>,
        changed: &mut dyn FnMut(u64, u64, &[u8]),
    ) {
        self.chunk.resize(CHUNK, 0);
        let Range { start: mut offset, end } = range.unwrap_or_else(|| file.mapped_range.clone());
        while let Some(data) = file.next_data(offset, end) {
            let wanted = (data.end - data.start).min(CHUNK as u64) as usize;
            let time = monotonic_ns();
            let read_bytes = file.file.read_at(&mut self.chunk[..wanted], data.start).unwrap_or(0);
            if read_bytes == 0 {
                return;
            }
            let bytes = &self.chunk[..read_bytes];
            for range in file.changed_pages(bytes, data.start) {
                changed(time, data.start + range.start as u64, &bytes[range]);
            }
            offset = data.start + read_bytes as u64;
        }
    }
}

/// Returns the header of a row that begins at `time`.
fn header(pid: i32, tid: i32, time: u64) -> Header {
    Header {
        kind: RecordKind::Call as u8,
        pid: pid as u32,
        tid: tid as u32,
        nr: MAPPINGS,
        entered: time,
        left: time,
        ..Header::default()
    }
}
