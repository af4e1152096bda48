//! The lines of a log in the order of their times.

use crate::Error;
use crate::text::lines;
use crate::text::strace::line::{self, Line, When};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

/// Nanoseconds between lines without times.
const STEP: u64 = 1000;
const DAY: u64 = 86_400_000_000_000;

/// The lines of one file, or of several files merged.
pub(crate) struct Lines {
    files: Vec<Source>,
    /// Files that have another line, by its time.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    /// The bytes of all files.
    pub bytes: u64,
}

struct Source {
    lines: lines::Lines,
    /// The thread of a file `NAME.PID`.
    tid: Option<u32>,
    clock: u64,
    /// Nanoseconds of the midnights that passed in this log.
    days: u64,
    next: String,
}

impl Lines {
    /// Opens `path`, and its siblings if it is one file of `strace -ff -o NAME` (`NAME.PID`). Fails
    /// if one cannot be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut this = Self { files: Vec::new(), next: BinaryHeap::new(), bytes: 0 };
        for (path, tid) in sibling_files(path) {
            this.bytes += path.metadata().map_or(0, |m| m.len());
            let lines = lines::Lines::open(&path)?;
            this.files.push(Source { lines, tid, clock: 0, days: 0, next: String::new() });
            this.read_next(this.files.len() - 1)?;
        }
        Ok(this)
    }

    /// Reads the next line of a file, and queues the file by the line's time.
    fn read_next(&mut self, file: usize) -> Result<(), Error> {
        if let Some(time) = self.files[file].read_next()? {
            self.next.push(Reverse((time, file)));
        }
        Ok(())
    }

    /// Calls `each` with every line, its time and its number, in the order of time.
    pub fn for_each_line(
        &mut self,
        each: &mut dyn FnMut(Line<'_>, u64, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut number = 0;
        while let Some(Reverse((time, file))) = self.next.pop() {
            let source = &self.files[file];
            let mut line = Line::parse(&source.next);
            line.tid = line.tid.or(source.tid);
            number += 1;
            each(line, time, number)?;
            self.read_next(file)?;
        }
        Ok(())
    }
}

/// Returns the file itself, or all files of `strace -ff -o NAME` (`NAME.PID`) if it is one of them,
/// each with its thread.
fn sibling_files(path: &Path) -> Vec<(PathBuf, Option<u32>)> {
    let number =
        |p: &Path| p.extension().and_then(|e| e.to_str()).and_then(|e| e.parse::<u32>().ok());
    let (Some(_), Some(parent)) = (number(path), path.parent()) else {
        return vec![(path.to_owned(), None)];
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let siblings = std::fs::read_dir(parent).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<(PathBuf, Option<u32>)> = siblings
        .filter(|p| p.file_stem() == path.file_stem() && number(p).is_some())
        .map(|p| (p.clone(), number(&p)))
        .collect();
    found.sort();
    found
}

impl Source {
    /// Reads the next line, and returns its time.
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
        self.next = text;
        Ok(Some(self.clock))
    }
}
