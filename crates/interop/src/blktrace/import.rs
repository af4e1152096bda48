//! A trace out of requests.

use super::line::Line;
use crate::forks::THREAD;
use crate::lines::Lines;
use crate::{Error, Outcome, unrecorded};
use ahash::HashMap;
use std::collections::BTreeMap;
use std::path::Path;
use trace::import::{Fork, Origin};
use trace::{About, Import, Told};

/// Bytes of a sector, whatever the device's own are.
const SECTOR: u64 = 512;
/// Threads that stand for requests under way are numbered from here on (`PID_MAX_LIMIT`): no real one is.
const STAND_INS: u32 = 1 << 22;
/// Requests under way on a device; of more the oldest count as never ended.
const MOST: usize = 1 << 16;
const O_RDWR: u32 = 2;
/// `FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE`: a discard.
const PUNCH: u64 = 1 | 2;

/// Makes the trace `to` of the text `from`. `progress`: bytes done, of how many. There is no working directory.
pub fn import(
    from: &Path,
    to: &Path,
    _directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut completes = false;
    each(from, &mut |line| {
        completes |= line.is_some_and(|l| l.action == "C");
        Ok(())
    })?;
    let about = About {
        engine: "blktrace".to_owned(),
        data: "none".to_owned(),
        machine: "x86_64".to_owned(),
        ..About::default()
    };
    let mut import = Import::new(to, Origin { about, ..Origin::default() })?;
    import
        .note("requests to block devices: each device is a file, /block/MAJOR:MINOR, and its data are not known (`replay --write-data random` makes some up)");
    if !completes {
        import.note("it does not tell when requests were completed: each counts as done at once");
    }
    let mut taking = Taking {
        import,
        completes,
        files: HashMap::default(),
        idle: HashMap::default(),
        stand_ins: STAND_INS,
        open: HashMap::default(),
        lost: BTreeMap::new(),
    };
    let all = each(from, &mut |line| taking.line(line))?;
    progress(all, all);
    let Taking { mut import, open, lost, .. } = taking;
    for request in open.into_values().flatten() {
        import.call(request.told)?;
    }
    let summary = import.finish(true, progress)?;
    Ok(Outcome { summary, lost, damage: None })
}

/// Reads all lines up to blkparse's sums; how many bytes they are.
fn each(
    from: &Path,
    each: &mut dyn FnMut(Option<Line<'_>>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut lines = Lines::open(from)?;
    while let Some(text) =
        lines.next()?.filter(|t| !t.starts_with("CPU") && !t.starts_with("Total"))
    {
        if !text.is_empty() {
            each(Line::read(&text))?;
        }
    }
    Ok(lines.bytes)
}

/// A request under way.
struct Request {
    told: Told,
    /// Sector behind its last one; 0: a flush.
    end: u64,
}

struct Taking {
    import: Import,
    completes: bool,
    /// Descriptors, by process and device.
    files: HashMap<(u32, (u32, u32)), i32>,
    /// By process: those of its threads that wait for no request.
    idle: HashMap<u32, Vec<u32>>,
    stand_ins: u32,
    open: HashMap<(u32, u32), Vec<Request>>,
    lost: BTreeMap<String, u64>,
}

impl Taking {
    fn line(&mut self, line: Option<Line<'_>>) -> Result<(), Error> {
        let Some(line) = line else {
            *self.lost.entry("lines that are no event".to_owned()).or_default() += 1;
            return Ok(());
        };
        match line.action {
            "Q" => self.queued(line),
            "C" => self.completed(line),
            // What becomes of a request on its way.
            _ => Ok(()),
        }
    }

    fn queued(&mut self, line: Line<'_>) -> Result<(), Error> {
        let (from, count) = line.sectors;
        let (at, len) = (from.saturating_mul(SECTOR), count.saturating_mul(SECTOR));
        let has = |letter| line.rwbs.contains(letter);
        let (name, args) = match count {
            0 if has('F') => ("fdatasync", [0; 3]),
            1.. if has('D') => ("fallocate", [PUNCH, at, len]),
            1.. if has('W') => ("pwrite64", [0, len, at]),
            1.. if has('R') => ("pread64", [0, len, at]),
            _ => {
                *self.lost.entry(format!("requests {}", line.rwbs)).or_default() += 1;
                return Ok(());
            }
        };
        // Work of the kernel's own may run as process 0, which no trace has.
        let pid = line.pid.max(1);
        let tid = self.thread(pid, line.time)?;
        let Some(mut told) = Told::new(name, tid, line.time) else { return Ok(()) };
        told.number(0, self.descriptor(pid, line)? as u64);
        args.into_iter().enumerate().for_each(|(i, v)| told.number(i + 1, v));
        self.import.meet(tid, line.time)?;
        let request =
            Request { told, end: if count == 0 { 0 } else { from.saturating_add(count) } };
        if !self.completes {
            return self.done(request, line.time);
        }
        let open = self.open.entry(line.device).or_default();
        open.push(request);
        if open.len() > MOST {
            let oldest = open.remove(0);
            self.import.call(oldest.told)?;
        }
        Ok(())
    }

    /// All requests whose last sector is among those of the completion: several may have been merged, and one may have been split.
    fn completed(&mut self, line: Line<'_>) -> Result<(), Error> {
        let (from, count) = line.sectors;
        let Some(open) = self.open.get_mut(&line.device) else { return Ok(()) };
        let flush = |r: &Request| count == 0 && r.end == 0;
        let among = |r: &Request| r.end > from && r.end <= from.saturating_add(count);
        let done: Vec<Request> = open.extract_if(.., |r| flush(r) || among(r)).collect();
        for request in done {
            self.done(request, line.time)?;
        }
        Ok(())
    }

    fn done(&mut self, mut request: Request, time: u64) -> Result<(), Error> {
        let tid = request.told.call.tid;
        // Only what moves bytes says how many.
        let moved = if request.told.row.shape.ret == abi::Ret::Bytes {
            request.told.call.args[2].min(i64::MAX as u64) as i64
        } else {
            0
        };
        request.told.returned(time, moved);
        unrecorded(&mut request.told);
        self.idle.entry(self.import.process(tid)).or_default().push(tid);
        Ok(self.import.call(request.told)?)
    }

    /// A thread of the process that waits for nothing.
    fn thread(&mut self, pid: u32, time: u64) -> Result<u32, Error> {
        let fresh = !self.idle.contains_key(&pid);
        if let Some(tid) = self.idle.entry(pid).or_default().pop() {
            return Ok(tid);
        }
        if fresh {
            return Ok(pid);
        }
        let tid = self.stand_ins;
        self.stand_ins = tid.saturating_add(1);
        self.import.fork(tid, Fork { parent: pid, flags: THREAD, time })?;
        Ok(tid)
    }

    /// The process's descriptor of the device, present from its first request on.
    fn descriptor(&mut self, pid: u32, line: Line<'_>) -> Result<i32, Error> {
        if let Some(fd) = self.files.get(&(pid, line.device)) {
            return Ok(*fd);
        }
        let fd = (3..).find(|fd| !self.import.has_descriptor(pid, *fd)).unwrap_or(3);
        let path = format!("/block/{}:{}", line.device.0, line.device.1);
        self.import.descriptor(pid, line.time, fd, path.as_bytes(), O_RDWR)?;
        self.files.insert((pid, line.device), fd);
        Ok(fd)
    }
}
