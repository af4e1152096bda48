//! Parses a line.

use crate::text::lines::{SECOND, most_lines_match, parse_nanos};

/// A line. Times are nanoseconds of perf's clock, or since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'t> {
    /// `perf script`: thread, time, number of the call, registers.
    Enter(u32, u64, u32, [u64; 6]),
    /// Thread, time, number of the call, result. `u32::MAX`: after a signal handler's return perf
    /// does not know the number.
    Leave(u32, u64, u32, i64),
    /// `perf trace`: a call that has returned.
    Call(Called<'t>, &'t str),
    /// One that has begun.
    Begin(Called<'t>),
    /// One that began in an earlier line has returned.
    End(Called<'t>, &'t str),
    /// This many events are missing here, as perf reports.
    Lost(u64),
    /// An event that is neither entry nor exit of a system call.
    Event,
    /// Something else.
    Other,
}

/// A call in a line of `perf trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'t> {
    /// The thread; 1 if all lines are about one.
    pub tid: u32,
    /// When it was entered; unknown if that was before perf started.
    pub entered: Option<u64>,
    /// How long it took.
    pub spent: Option<u64>,
    pub name: &'t str,
    pub args: &'t str,
}

/// The thread of lines that name none.
const ONLY: u32 = 1;
const RAW_SYSCALLS: &str = "raw_syscalls:sys_";

impl<'t> Line<'t> {
    /// Parses a line of any of perf's formats.
    pub fn parse(text: &'t str) -> Self {
        parse_raw(text)
            .or_else(|| parse_lost(text).map(Line::Lost))
            .or_else(|| parse_trace(text))
            .or_else(|| is_other_event(text).then_some(Self::Event))
            .unwrap_or(Self::Other)
    }
}

/// Parses `COMM TID [CPU] SECONDS: raw_syscalls:sys_enter: NR N (A, B, C, D, E, F)`, with registers
/// in base 16, and `…sys_exit: NR N = RESULT`.
fn parse_raw(text: &str) -> Option<Line<'_>> {
    let (head, event) = text.split_once(RAW_SYSCALLS)?;
    let mut words = head.trim_end().trim_end_matches(':').split_whitespace().rev();
    let time = parse_nanos(words.next()?, SECOND)?;
    let tid = words.find(|w| !w.starts_with('['))?;
    let tid = tid.rsplit('/').next()?.parse().ok()?;
    let (number, rest) = event.split_once(": NR ")?.1.split_once(' ')?;
    let number = number.parse::<i32>().ok()?.cast_unsigned();
    if let Some(result) = rest.strip_prefix("= ") {
        return Some(Line::Leave(tid, time, number, result.trim().parse().ok()?));
    }
    let mut registers = [0; 6];
    for (register, word) in
        registers.iter_mut().zip(rest.trim().strip_prefix('(')?.strip_suffix(')')?.split(", "))
    {
        *register = u64::from_str_radix(word, 16).ok()?;
    }
    Some(Line::Enter(tid, time, number, registers))
}

/// Returns the number of lost events in `LOST N events!` (perf trace), `PERF_RECORD_LOST lost N`
/// and `PERF_RECORD_LOST_SAMPLES lost N` (perf script --show-lost-events), or `Processed M events
/// and lost N chunks!` (perf report).
fn parse_lost(text: &str) -> Option<u64> {
    let words = || text.split_whitespace();
    let is_report = text.trim_start().starts_with("LOST ")
        || words().any(|w| w.starts_with("PERF_RECORD_LOST"))
        || text.starts_with("Processed ");
    let number = words().skip_while(|w| !w.eq_ignore_ascii_case("lost")).nth(1)?;
    number.parse().ok().filter(|_| is_report)
}

/// Returns whether the line is another event of perf's: `COMM TID [CPU] SECONDS: SYSTEM:NAME: …` or
/// `… PERF_RECORD_COMM …`.
fn is_other_event(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|w| !w.starts_with('['));
    let cpu = words.next().is_some_and(|w| w.ends_with(']'));
    let time = words.next().and_then(|w| parse_nanos(w.strip_suffix(':')?, SECOND));
    let mut rest = words.skip_while(|w| w.bytes().all(|b| b.is_ascii_digit()));
    cpu && time.is_some()
        && rest.next().is_some_and(|w| w.ends_with(':') || w.starts_with("PERF_RECORD_"))
}

/// Parses a line of `perf trace`: `MS ( MS ms): [COMM/TID ]NAME(ARGS) = RESULT`. A call without a
/// result has ` ...` instead, and ` ... [continued]: NAME()) = RESULT` follows later.
fn parse_trace(text: &str) -> Option<Line<'_>> {
    let (time, rest) = text.trim_start().split_once(" (")?;
    let (spent, rest) = rest.split_once("): ")?;
    let entered = if time == "?" { None } else { Some(parse_nanos(time, 1_000_000)?) };
    let spent = spent.trim().trim_end_matches("ms").trim();
    let spent = if spent.is_empty() { None } else { Some(parse_nanos(spent, 1_000_000)?) };
    let tid = |thread: &str| {
        thread.trim_end().rsplit('/').next().and_then(|tid| tid.parse().ok()).unwrap_or(ONLY)
    };
    if let Some((thread, call)) = rest.split_once(" ... [continued]: ") {
        let (name, result) = call.split_once("()")?;
        return Some(Line::End(
            Called { tid: tid(thread), entered, spent, name, args: "" },
            result.split_once("= ")?.1.trim(),
        ));
    }
    let is_name = |n: &str| {
        !n.is_empty()
            && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let open = rest
        .match_indices('(')
        .map(|(at, _)| at)
        .find(|at| is_name(rest[..*at].rsplit(' ').next().unwrap_or_default()))?;
    let (thread, name) = rest[..open].rsplit_once(' ').unwrap_or(("", &rest[..open]));
    let args = &rest[open + 1..];
    let called = |args| Called { tid: tid(thread), entered, spent, name, args };
    if let Some((args, result)) =
        args.rsplit_once(" = ").filter(|(args, _)| args.trim_end().ends_with(')'))
    {
        return Some(Line::Call(called(args.trim_end().strip_suffix(')')?), result.trim()));
    }
    let args = args.trim_end().strip_suffix("...")?.trim_end();
    Some(Line::Begin(called(args.strip_suffix(')').unwrap_or(args))))
}

/// Returns whether a file that starts with these bytes is output of perf.
pub fn is_perf(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    let known = |line: &str| match Line::parse(line) {
        Line::Lost(_) => true,
        Line::Call(c, _) | Line::Begin(c) | Line::End(c, _) => abi::by_name(c.name).is_some(),
        Line::Enter(..) | Line::Leave(..) => true,
        Line::Event | Line::Other => false,
    };
    most_lines_match(lines, known)
}
