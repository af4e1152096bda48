//! The lines of a log in the order of their times.

use crate::Error;
use crate::text::lines;
use crate::text::strace::line::{self, Line, When};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

/// Nanoseconds between lines without times.
const STEP: u64 = 1000;
/// Nanoseconds in a day.
const DAY: u64 = 86_400_000_000_000;

/// The lines of one log file, or of several files merged by time.
pub(crate) struct Lines {
    files: Vec<LogFile>,
    /// The files that have another line: its time, and the file's index in `files`.
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    /// The bytes of all files.
    pub bytes: u64,
}

/// A file of a log, and the time that its lines have reached.
struct LogFile {
    lines: lines::Lines,
    /// The thread that a file `NAME.PID` is about.
    tid: Option<u32>,
    /// The greatest time of a line so far, in nanoseconds.
    clock: u64,
    /// For logs whose times begin again at midnight: nanoseconds of the days that have passed.
    days: u64,
    /// The line that was read last.
    line: String,
}

impl Lines {
    /// Opens `path`, and the other files of the log if it is one of several; see [`log_files`].
    /// Fails if one of them cannot be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut this = Self { files: Vec::new(), queue: BinaryHeap::new(), bytes: 0 };
        for (path, tid) in log_files(path) {
            this.bytes += path.metadata().map_or(0, |m| m.len());
            let lines = lines::Lines::open(&path)?;
            this.files.push(LogFile { lines, tid, clock: 0, days: 0, line: String::new() });
            this.read_next(this.files.len() - 1)?;
        }
        Ok(this)
    }

    /// Reads the next line of the file with this index, and queues the file by the line's time.
    /// Does nothing at the end of the file.
    fn read_next(&mut self, file: usize) -> Result<(), Error> {
        if let Some(time) = self.files[file].read_next()? {
            self.queue.push(Reverse((time, file)));
        }
        Ok(())
    }

    /// Calls `each` with every line, its time and its number, in the order of time. Lines of all
    /// files are numbered together, from 1.
    pub fn for_each_line(
        &mut self,
        each: &mut dyn FnMut(Line<'_>, u64, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut number = 0;
        while let Some(Reverse((time, file))) = self.queue.pop() {
            let log_file = &self.files[file];
            let mut line = Line::parse(&log_file.line);
            line.tid = line.tid.or(log_file.tid);
            number += 1;
            each(line, time, number)?;
            self.read_next(file)?;
        }
        Ok(())
    }
}

/// Returns the files of the log to which `path` belongs, each with the id of the thread that it is
/// about. If `path` is `NAME.PID`, as `strace -ff -o NAME` names its files, these are all files
/// `NAME.PID` in the directory; else only `path` itself, without a thread.
fn log_files(path: &Path) -> Vec<(PathBuf, Option<u32>)> {
    let tid = |path: &Path| path.extension()?.to_str()?.parse::<u32>().ok();
    let (Some(_), Some(directory)) = (tid(path), path.parent()) else {
        return vec![(path.to_owned(), None)];
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let listing = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<(PathBuf, Option<u32>)> = listing
        .map(|entry| entry.path())
        .filter(|file| file.file_stem() == path.file_stem() && tid(file).is_some())
        .map(|file| (file.clone(), tid(&file)))
        .collect();
    files.sort();
    files
}

impl LogFile {
    /// Reads the next line into `self.line`. Returns its time, which is never before that of an
    /// earlier line, or `None` at the end of the file.
    fn read_next(&mut self) -> Result<Option<u64>, Error> {
        let Some(text) = self.lines.next_line()? else { return Ok(None) };
        let time = match line::parse_time(&text) {
            When::Epoch(t) => t,
            When::Day(t) => {
                let t = t.saturating_add(self.days);
                if t + DAY / 2 < self.clock {
                    self.days += DAY;
                    t + DAY
                } else {
                    t
                }
            }
            When::Since(t) => self.clock.saturating_add(t),
            When::Never => self.clock + STEP,
        };
        self.clock = self.clock.max(time);
        self.line = text;
        Ok(Some(self.clock))
    }
}
