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

/// What is compared at once, and written as a row if it has changed.
const PAGE: usize = 4096;
/// Pages whose hashes are kept together.
const GROUP: usize = 256;
/// How many bytes are read at once. No row is longer.
const CHUNK: usize = 1 << 20;

/// A file that processes have mapped shared.
pub(super) struct MappedFile {
    file: File,
    /// The numbers of its mappings; the rows have the first one.
    numbers: Vec<u32>,
    /// The processes that have it mapped.
    processes: Vec<i32>,
    /// The part that is or was mapped.
    part: Range<u64>,
    /// Whether a mapping is or was writable. Until then nothing can have been stored.
    writable: bool,
    /// Where the file's first byte is, or would be, in the memory of the first process.
    base: u64,
    /// The hashes of its pages when it was looked at last, by the numbers of the pages divided by
    /// [`GROUP`]; 0: not looked at yet.
    pages: HashMap<u64, Box<[u128; GROUP]>>,
}

impl MappedFile {
    /// Makes a file that no process has mapped.
    pub fn new(file: File) -> Self {
        Self {
            file,
            numbers: Vec::new(),
            processes: Vec::new(),
            part: 0..0,
            writable: false,
            base: 0,
            pages: HashMap::new(),
        }
    }

    /// Adds a mapping.
    pub fn add(&mut self, mapping: &NewMapping) {
        if self.numbers.is_empty() {
            self.base = mapping.address.wrapping_sub(mapping.part.start);
            self.part = mapping.part.clone();
        }
        self.numbers.push(mapping.number);
        if !self.is_of(mapping.pid) {
            self.processes.push(mapping.pid);
        }
        self.extend(&mapping.part, mapping.writable);
    }

    /// Adds to the part that is compared; whole pages are mapped. `writable` is whether it is mapped
    /// so.
    pub fn extend(&mut self, part: &Range<u64>, writable: bool) {
        let end = part.end.checked_next_multiple_of(PAGE as u64).unwrap_or(u64::MAX);
        self.writable |= writable;
        self.part.start = self.part.start.min(part.start);
        self.part.end = self.part.end.max(end);
    }

    /// Returns whether a process has it mapped.
    pub fn is_of(&self, pid: i32) -> bool {
        self.processes.contains(&pid)
    }

    /// Returns a process that has it mapped.
    pub fn any_process(&self) -> Option<i32> {
        self.processes.first().copied()
    }

    /// Gives process `child` the mappings of process `parent`.
    pub fn fork(&mut self, parent: i32, child: i32) {
        if self.is_of(parent) && !self.is_of(child) {
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
        for number in &self.numbers {
            let args = [mapped_file(*number) as u64, 0, 0, 0, 0, 0];
            let row = Header { args, nr: MAPPINGS + 1, ..header(pid, tid, now) };
            out.begin(row, RecordSize::Small);
            out.end();
        }
    }

    /// Returns the part that is mapped at these addresses, in whole pages; `None` if it is not only
    /// mapped where the first mapping was.
    pub fn part_at(&self, addresses: &Range<u64>) -> Option<Range<u64>> {
        let page = PAGE as u64;
        let start = addresses.start.checked_sub(self.base)? / page * page;
        let end = addresses.end.checked_sub(self.base)?.checked_next_multiple_of(page)?;
        let is_only = self.numbers.len() == 1 && self.part.start <= start && end <= self.part.end;
        is_only.then_some(start..end)
    }

    /// Forgets what the file held.
    pub fn forget(&mut self) {
        self.pages.clear();
    }

    /// Returns the parts of `bytes`, which stand at `at`, that have changed: pages, those beside
    /// each other together.
    fn changed_pages(&mut self, bytes: &[u8], at: u64) -> Vec<Range<usize>> {
        let mut changed: Vec<Range<usize>> = Vec::new();
        for (i, page) in bytes.chunks(PAGE).enumerate() {
            let hash = XxHash3_128::oneshot(page).max(1);
            let number = at / PAGE as u64 + i as u64;
            let group = self.pages.entry(number / GROUP as u64);
            let group = group.or_insert_with(|| Box::new([0; GROUP]));
            let known = std::mem::replace(&mut group[(number % GROUP as u64) as usize], hash);
            let range = i * PAGE..i * PAGE + page.len();
            if known == hash {
                continue;
            }
            match changed.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => changed.push(range),
            }
        }
        changed
    }

    /// Returns how long the part is that is compared.
    pub fn mapped_bytes(&self) -> u64 {
        if self.writable { self.part.end - self.part.start } else { 0 }
    }

    /// Returns where the next data are from `at` on: whole pages, or up to `end`. Returns `None` if
    /// only holes follow.
    fn next_data(&self, at: u64, end: u64) -> Option<Range<u64>> {
        if at >= end || !self.writable {
            return None;
        }
        let start = match seek(&self.file, SeekFrom::Data(at)) {
            Ok(data) => (data / PAGE as u64 * PAGE as u64).max(at),
            Err(Errno::NXIO) => return None,
            // The file system does not tell.
            Err(_) => at,
        };
        let hole = seek(&self.file, SeekFrom::Hole(start)).unwrap_or(u64::MAX - PAGE as u64);
        let data = start..hole.next_multiple_of(PAGE as u64).min(end);
        Some(data).filter(|data| !data.is_empty())
    }
}

/// What a look at a file takes.
pub(super) struct Look {
    /// The bytes that were read last.
    chunk: Vec<u8>,
    /// The most bytes of a row that are recorded.
    limit: u64,
}

impl Look {
    pub fn new(limit: u64) -> Self {
        Self { chunk: Vec::new(), limit }
    }

    /// Takes what the file holds now as known.
    pub fn read(&mut self, file: &mut MappedFile) {
        self.compare(file, None, &mut |_, _, _| {});
    }

    /// Writes rows of the pages of a file, or of a part of it, that have changed. They belong to
    /// thread `tid` of process `pid`.
    pub fn write_changed(
        &mut self,
        file: &mut MappedFile,
        part: Option<Range<u64>>,
        pid: i32,
        tid: i32,
        out: &mut RecordWriter,
    ) {
        let (limit, fd, base) = (self.limit, mapped_file(file.numbers[0]) as u64, file.base);
        self.compare(file, part, &mut |begun, pos, data| {
            let wanted = data.len() as u64;
            let args = [fd, base.wrapping_add(pos), wanted, pos, 0, 0];
            let (left, ret) = (monotonic_ns(), wanted as i64);
            out.begin(Header { args, left, ret, ..header(pid, tid, begun) }, RecordSize::Large);
            let kind = PayloadKind::Data;
            out.put_bytes(PayloadSpec { arg: 1, kind, flags: 0, wanted, limit }, data);
            out.end();
        });
    }

    /// Reads a part of a file, or all that is mapped, and calls `changed` with what has changed:
    /// when it was read, where it stands, and what it holds.
    fn compare(
        &mut self,
        file: &mut MappedFile,
        part: Option<Range<u64>>,
        changed: &mut dyn FnMut(u64, u64, &[u8]),
    ) {
        self.chunk.resize(CHUNK, 0);
        let Range { start: mut at, end } = part.unwrap_or_else(|| file.part.clone());
        while let Some(data) = file.next_data(at, end) {
            let wanted = (data.end - data.start).min(CHUNK as u64) as usize;
            let begun = monotonic_ns();
            let got = file.file.read_at(&mut self.chunk[..wanted], data.start).unwrap_or(0);
            if got == 0 {
                return;
            }
            let bytes = &self.chunk[..got];
            for range in file.changed_pages(bytes, data.start) {
                changed(begun, data.start + range.start as u64, &bytes[range]);
            }
            at = data.start + got as u64;
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
