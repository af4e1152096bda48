//! Parses a line (blkparse(1), "OUTPUT DESCRIPTION"; `kernel/trace/blktrace.c`).

use crate::text::lines::{SECOND, most_lines_match, parse_nanos};
use linux_raw_sys::errno::EIO;

/// An event: `MAJOR,MINOR CPU [SEQUENCE] SECONDS PID ACTION RWBS [SECTOR + SECTORS] [COMMAND]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// The time in nanoseconds.
    pub time: u64,
    /// The process.
    pub pid: u32,
    /// `Q` queued, `C` completed, and many more.
    pub action: &'t str,
    /// Reads, writes, discards, flushes, and how.
    pub rwbs: &'t str,
    /// First sector and how many, of 512 bytes; none for a flush.
    pub sectors: (u64, u64),
    /// Of a completion: the errno with which it failed, or 0.
    pub error: i64,
}

impl<'t> Line<'t> {
    /// Parses a line. Returns `None` if it is no event.
    pub fn parse(text: &'t str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (major, minor) = words.next()?.split_once(',')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        let _cpu: u32 = words.next()?.parse().ok()?;
        let mut word = words.next()?;
        if !word.contains('.') {
            let _sequence: u64 = word.parse().ok()?;
            word = words.next()?;
        }
        word.split_once('.').filter(|(_, fraction)| fraction.len() == 9)?;
        let time = parse_nanos(word, SECOND)?;
        let pid = words.next()?.parse().ok()?;
        let action =
            words.next().filter(|a| a.len() <= 2 && a.bytes().all(|b| b.is_ascii_alphabetic()))?;
        let rwbs = words.next()?;
        let from = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let count = words
            .next()
            .filter(|plus| *plus == "+")
            .and_then(|_| words.next()?.parse().ok())
            .unwrap_or(0);
        let error = if action == "C" { words.next_back().map_or(0, parse_error) } else { 0 };
        Some(Self { device, time, pid, action, rwbs, sectors: (from, count), error })
    }
}

/// Returns the errno in `[0]`, `[-5]` or `[65531]`: the field has 16 bits, and some versions print
/// it without its sign. What is no errno counts as EIO.
fn parse_error(word: &str) -> i64 {
    let inner = word.strip_prefix('[').and_then(|w| w.strip_suffix(']'));
    let Some(value) = inner.and_then(|w| w.parse::<i64>().ok()) else { return 0 };
    let errno =
        if value > i64::from(i16::MAX) { (1 << 16) - value } else { value.saturating_abs() };
    if (0..4096).contains(&errno) { errno } else { EIO.into() }
}

/// Returns whether blkparse's totals begin with this line. No events follow them.
pub fn begins_totals(text: &str) -> bool {
    text.starts_with("CPU") || text.starts_with("Total")
}

/// Returns how many events are missing according to this line: `Skips: 3 forward (1,200 -  98.5%)`
/// among the totals, or `You have 3 ( 0.5%) dropped events`, which blktrace prints.
pub fn parse_skipped(text: &str) -> Option<u64> {
    let number = |word: &str| word.replace([',', '.', '\'', ' '], "").parse::<u64>().ok();
    if let Some(rest) = text.trim_start().strip_prefix("Skips:") {
        return number(rest.split_once('(')?.1.split(" -").next()?);
    }
    let rest = text.trim_start().strip_prefix("You have ").filter(|r| r.contains("dropped"))?;
    number(rest.split(' ').next()?)
}

/// Returns whether a file that starts with these bytes is output of blkparse.
pub fn is_blktrace(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    most_lines_match(text.lines().take_while(|l| !begins_totals(l)), |l| Line::parse(l).is_some())
}
