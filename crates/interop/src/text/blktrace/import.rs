//! Imports requests to block devices.

use super::line::{Line, begins_totals, parse_skipped};
use super::requests::{Request, Requests};
use crate::importing::forks::THREAD_FLAGS;
use crate::importing::{add_unrecorded_data, begin, finish};
use crate::text::lines::Lines;
use crate::{Error, Outcome};
use ::import::{Fork, Import, ImportedCall};
use ahash::HashMap;
use linux_raw_sys::general::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_RDWR};
use std::path::Path;
use trace::RecordingInfo;

/// Bytes of a sector, whatever the device's own are.
const SECTOR: u64 = 512;
/// Threads that were added for requests in flight have ids from here on (`PID_MAX_LIMIT`), which no
/// real thread has.
const FIRST_VIRTUAL_THREAD: u32 = 1 << 22;
/// The mode of fallocate(2) that does what a discard does.
const DISCARD: u32 = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;

/// Imports the log `from` as the trace `to`. `progress` gets the bytes read and the bytes of the
/// log. Fails if a file cannot be read or written.
pub fn import(
    from: &Path,
    to: &Path,
    _directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut has_completions = false;
    for_each_line(from, &mut |line| {
        has_completions |= matches!(line, Text::Event(l) if l.action == "C");
        Ok(())
    })?;
    let about = RecordingInfo {
        engine: "blktrace".to_owned(),
        data: "none".to_owned(),
        machine: "x86_64".to_owned(),
        ..RecordingInfo::default()
    };
    let mut import = begin(to, about, None, HashMap::default())?;
    import.add_note(
        "requests to block devices: each device is a file, /block/MAJOR:MINOR, without its \
            data (`replay --write-data random` generates some)",
    );
    if !has_completions {
        import.add_note("the log has no completions: each request counts as completed at once");
    }
    let mut conversion = BlktraceImport {
        import,
        has_completions,
        descriptors: HashMap::default(),
        next_descriptor: HashMap::default(),
        time: 0,
        idle_threads: HashMap::default(),
        next_virtual_thread: FIRST_VIRTUAL_THREAD,
        in_flight: HashMap::default(),
    };
    let all_bytes = for_each_line(from, &mut |line| conversion.import_line(line))?;
    progress(all_bytes, all_bytes);
    let BlktraceImport { mut import, in_flight, .. } = conversion;
    for imported in in_flight.into_values().flat_map(Requests::into_unfinished) {
        import.add_call(imported)?;
    }
    finish(import, None, progress)
}

/// A line of a log.
enum Text<'t> {
    Event(Line<'t>),
    /// This many events are missing.
    Skipped(u64),
    /// None of these.
    Other,
}

/// Calls `each` with every line. Returns the number of bytes read. Of blkparse's totals only the
/// number of skipped events counts.
fn for_each_line(
    from: &Path,
    each: &mut dyn FnMut(&Text<'_>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut lines = Lines::open(from)?;
    let mut in_totals = false;
    while let Some(text) = lines.next_line()? {
        in_totals |= begins_totals(&text);
        let line = match (Line::parse(&text), parse_skipped(&text)) {
            (Some(line), _) => Text::Event(line),
            (None, Some(n)) => Text::Skipped(n),
            (None, None) if in_totals || text.is_empty() => continue,
            (None, None) => Text::Other,
        };
        each(&line)?;
    }
    Ok(lines.bytes)
}

/// An import under way.
struct BlktraceImport {
    import: Import,
    /// Whether the log has completions of requests.
    has_completions: bool,
    /// The descriptor of a device, by process ID and device number (major, minor).
    descriptors: HashMap<(u32, (u32, u32)), i32>,
    /// The threads of a process that have no request in flight, by process ID.
    idle_threads: HashMap<u32, Vec<u32>>,
    /// The id of the next thread that is added.
    next_virtual_thread: u32,
    /// The requests in flight, by device number.
    in_flight: HashMap<(u32, u32), Requests>,
    /// The descriptor that the next device of a process gets, if it is free, by process ID.
    next_descriptor: HashMap<u32, i32>,
    /// The time of the last event.
    time: u64,
}

impl BlktraceImport {
    /// Imports a line: an event, or a count of skipped ones.
    fn import_line(&mut self, text: &Text<'_>) -> Result<(), Error> {
        let line = match *text {
            Text::Event(line) => line,
            Text::Skipped(n) => return Ok(self.import.add_gap(self.time, n)?),
            Text::Other => {
                self.import.count_left_out("lines that cannot be read", 1);
                return Ok(());
            }
        };
        self.time = line.time;
        match line.action {
            "Q" => self.import_queued(line),
            "C" => self.import_completed(line),
            // Steps between the queue and the completion.
            _ => Ok(()),
        }
    }

    /// Imports a request that enters the queue, as the call that would make it.
    fn import_queued(&mut self, line: Line<'_>) -> Result<(), Error> {
        let (from, count) = line.sectors;
        let (at, len) = (from.saturating_mul(SECTOR), count.saturating_mul(SECTOR));
        let has = |letter| line.rwbs.contains(letter);
        let (name, args) = match count {
            0 if has('F') => ("fdatasync", [0; 3]),
            1.. if has('D') => ("fallocate", [DISCARD.into(), at, len]),
            1.. if has('W') => ("pwrite64", [0, len, at]),
            1.. if has('R') => ("pread64", [0, len, at]),
            _ => {
                self.import.count_left_out(&format!("requests {}", line.rwbs), 1);
                return Ok(());
            }
        };
        // Work of the kernel's own may run as process 0, which no trace has.
        let pid = line.pid.max(1);
        let tid = self.idle_thread(pid, line.time)?;
        let fd = self.device_descriptor(pid, line)?;
        // A preflush: what was written before must be on the disk.
        if count > 0 && has('W') && line.rwbs.starts_with('F') {
            self.import_flush(tid, fd, line.time)?;
        }
        let Some(mut imported) = ImportedCall::new(name, tid, line.time) else { return Ok(()) };
        imported.set_number(0, fd as u64);
        args.into_iter().enumerate().for_each(|(i, v)| imported.set_number(i + 1, v));
        self.import.ensure_thread(tid, line.time)?;
        // FUA, which stands behind the direction: this write must be on the disk at its end.
        let durable = count > 0 && has('W') && line.rwbs.trim_start_matches('F').contains('F');
        let end = if count == 0 { 0 } else { from.saturating_add(count) };
        let request = Request { imported, end, durable };
        if !self.has_completions {
            return self.end_request(request, line.time, 0);
        }
        if let Some(oldest) = self.in_flight.entry(line.device).or_default().add(request) {
            self.import.add_call(oldest)?;
        }
        Ok(())
    }

    /// Completes all requests whose last sector is among those of the completion. Several requests
    /// may have been merged, and one may have been split.
    fn import_completed(&mut self, line: Line<'_>) -> Result<(), Error> {
        let (from, count) = line.sectors;
        let Some(requests) = self.in_flight.get_mut(&line.device) else { return Ok(()) };
        for request in requests.take_completed(from, count) {
            self.end_request(request, line.time, line.error)?;
        }
        Ok(())
    }

    /// Imports that all data written to the descriptor are on the disk, as an fdatasync(2) of no
    /// duration.
    fn import_flush(&mut self, tid: u32, fd: i32, time: u64) -> Result<(), Error> {
        let Some(mut imported) = ImportedCall::new("fdatasync", tid, time) else { return Ok(()) };
        imported.set_number(0, fd as u64);
        imported.set_returned(time, 0);
        Ok(self.import.add_call(imported)?)
    }

    /// Adds a request's call to the trace, as returned at `time`, and makes its thread idle.
    /// `error` is the errno with which it failed, or 0.
    fn end_request(&mut self, mut request: Request, time: u64, error: i64) -> Result<(), Error> {
        let (tid, fd) = (request.imported.call.tid, request.imported.call.args[0] as i32);
        // Only calls that move bytes return their number.
        let result = if error > 0 {
            -error
        } else if request.imported.row.spec.ret == abi::Ret::Bytes {
            request.imported.call.args[2].min(i64::MAX as u64) as i64
        } else {
            0
        };
        request.imported.set_returned(time, result);
        add_unrecorded_data(&mut request.imported);
        self.idle_threads.entry(self.import.process_of(tid)).or_default().push(tid);
        self.import.add_call(request.imported)?;
        if request.durable && error == 0 { self.import_flush(tid, fd, time) } else { Ok(()) }
    }

    /// Returns a thread of the process that waits for no request. Adds one if there is none.
    fn idle_thread(&mut self, pid: u32, time: u64) -> Result<u32, Error> {
        let is_first = !self.idle_threads.contains_key(&pid);
        if let Some(tid) = self.idle_threads.entry(pid).or_default().pop() {
            return Ok(tid);
        }
        if is_first {
            return Ok(pid);
        }
        let tid = self.next_virtual_thread;
        self.next_virtual_thread = tid.saturating_add(1);
        self.import.add_fork(tid, Fork { parent: pid, flags: THREAD_FLAGS, time })?;
        Ok(tid)
    }

    /// Returns the process's descriptor of the device, which is open from its first request on.
    fn device_descriptor(&mut self, pid: u32, line: Line<'_>) -> Result<i32, Error> {
        if let Some(fd) = self.descriptors.get(&(pid, line.device)) {
            return Ok(*fd);
        }
        let next = self.next_descriptor.entry(pid).or_insert(3);
        while self.import.has_descriptor(pid, *next) {
            *next += 1;
        }
        let fd = *next;
        let path = format!("/block/{}:{}", line.device.0, line.device.1);
        self.import.add_open_descriptor(pid, line.time, fd, path.as_bytes(), O_RDWR)?;
        self.descriptors.insert((pid, line.device), fd);
        Ok(fd)
    }
}
