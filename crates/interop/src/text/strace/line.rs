//! Parses a line: the thread, the time, and what happened.

use super::lexer::{TokenKind, Tokens};
use crate::text::lines::{SECOND, parse_nanos};

/// The time in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The line has no time.
    Never,
    /// Nanoseconds since 1970.
    Epoch(u64),
    /// Nanoseconds since midnight.
    Day(u64),
    /// Nanoseconds since the line before.
    Since(u64),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A whole call: name, arguments, and what follows the `=`.
    Call(&'a str, &'a str, &'a str),
    /// The beginning of a call: name and arguments so far.
    Begin(&'a str, &'a str),
    /// The end of a call: name, the rest of its arguments, and what follows the `=`.
    Resume(&'a str, &'a str, &'a str),
    /// A signal's name.
    Signal(&'a str),
    /// Exited with this status.
    Exited(u32),
    /// Killed by the signal of this name, and whether a core was dumped.
    Killed(&'a str, bool),
    /// Replaced by the thread with this id, which called execve(2).
    Superseded(u32),
    /// A message of strace, or of options that dump data or stacks.
    Message,
    /// None of these.
    Unknown,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The thread id, if the line has it.
    pub tid: Option<u32>,
    /// The time.
    pub when: When,
    /// What happened.
    pub body: Body<'a>,
}

/// Times from here on are since 1970 (in 1973), lower ones since the line before.
const EPOCH: u64 = 100_000_000 * SECOND;
const UNFINISHED: &str = "<unfinished ...>";
/// strace detached from the thread in the middle of a call.
const DETACHED: &str = "<detached ...>";
/// No thread id is higher (`PID_MAX_LIMIT`): a higher number is a time in seconds.
const MAX_TID: u64 = 1 << 22;

/// Returns the time in a line; [`When::Never`] if it has none.
pub(crate) fn parse_time(text: &str) -> When {
    split_time(split_thread(text).1).0
}

impl<'a> Line<'a> {
    /// Parses a line without its newline.
    pub fn parse(text: &'a str) -> Self {
        // Stacks (-k) and dumps of data (-e read, -e write).
        if text.starts_with(" > ") || text.starts_with(" | ") {
            return Self { tid: None, when: When::Never, body: Body::Message };
        }
        let (tid, rest) = split_thread(text);
        let (when, rest) = split_time(rest);
        // With -o and without -f the number may be missing, with -ff it always is.
        Self { tid, when, body: parse_body(skip_prefixes(rest)) }
    }
}

/// Returns the thread id at the beginning of a line, and the rest of the line.
fn split_thread(text: &str) -> (Option<u32>, &str) {
    let (number, rest) = match text.strip_prefix("[pid ") {
        Some(rest) => split_digits(rest.trim_start()),
        None => split_digits(text),
    };
    // `--decode-pids=comm`: its program's name, in which angle brackets are escaped.
    let rest = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((_, rest)) => rest,
        None => rest,
    };
    let end = if text.starts_with("[pid ") { ']' } else { ' ' };
    let number = number.parse().ok().filter(|n| u64::from(*n) < MAX_TID);
    match (number, rest.strip_prefix(end)) {
        (Some(tid), Some(rest)) => (Some(tid), skip_prefixes(rest)),
        _ => (None, skip_prefixes(text)),
    }
}

/// Returns the digits at the beginning of a text, and the rest.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// Skips what stands before the call: a security context, the call's number, the instruction
/// pointer in brackets, and the time since the line before (`-tt -r`).
fn skip_prefixes(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let close = match text.as_bytes() {
            [b'[', ..] if !text.starts_with("[pid ") => ']',
            [b'(', b'+', ..] => ')',
            _ => return text,
        };
        match text.split_once(close) {
            Some((_, rest)) if rest.starts_with(' ') => text = rest,
            _ => return text,
        }
    }
}

/// Returns the time at the beginning of a text, and the rest of the text.
fn split_time(text: &str) -> (When, &str) {
    let Some((word, rest)) = text.split_once(' ') else { return (When::Never, text) };
    let two_digits = |part: &str| part.parse::<u64>().ok().filter(|n| *n < 100);
    let time = match word.splitn(4, ':').collect::<Vec<_>>()[..] {
        [h, m, s] => two_digits(h)
            .zip(two_digits(m))
            .zip(parse_nanos(s, SECOND).filter(|s| *s < 100 * SECOND))
            .map(|((h, m), s)| When::Day((h * 60 + m) * 60 * SECOND + s)),
        [seconds] => parse_nanos(seconds, SECOND)
            .map(|t| if t >= EPOCH { When::Epoch(t) } else { When::Since(t) }),
        _ => None,
    };
    time.map_or((When::Never, text), |time| (time, rest))
}

/// Returns the name of the call at the beginning of a text, and the rest after its parenthesis.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    (end > 0 && !text.as_bytes()[0].is_ascii_digit()).then(|| text.split_at(end))
}

/// Parses what follows the thread and the time: a call or a part of one, a signal, an end, or a
/// message.
fn parse_body(text: &str) -> Body<'_> {
    if let Some(rest) = text.strip_prefix("+++ ") {
        // Lines of `reanimator print` that strace does not have.
        if rest.starts_with("process started by ") || rest.starts_with("thread started by ") {
            return Body::Message;
        }
        let number = |rest: &str| rest.split(' ').next().and_then(|n| n.parse().ok());
        return match (
            rest.strip_prefix("exited with "),
            rest.strip_prefix("killed by "),
            rest.strip_prefix("superseded by execve in pid "),
        ) {
            (Some(rest), _, _) => number(rest).map_or(Body::Unknown, Body::Exited),
            (_, Some(rest), _) => Body::Killed(
                rest.split(' ').next().unwrap_or_default(),
                rest.contains("(core dumped)"),
            ),
            (_, _, Some(rest)) => number(rest).map_or(Body::Unknown, Body::Superseded),
            _ => Body::Unknown,
        };
    }
    if let Some(rest) = text.strip_prefix("--- ") {
        let signal = rest.split(' ').next().unwrap_or_default();
        return if signal.starts_with("SIG") { Body::Signal(signal) } else { Body::Message };
    }
    if text.starts_with("strace: ") || text.is_empty() {
        return Body::Message;
    }
    if let Some((name, rest)) =
        text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
    {
        let rest = rest.trim_start();
        return match (split_arguments(rest), rest.trim_end().strip_suffix(DETACHED)) {
            (Some((args, after)), _) => Body::Resume(name, args, after),
            (None, Some(args)) => Body::Resume(name, args.trim_end(), "?"),
            (None, None) => Body::Unknown,
        };
    }
    let Some((name, rest)) = split_name(text) else { return Body::Unknown };
    let Some(rest) = rest.strip_prefix('(') else { return Body::Unknown };
    let whole = rest.trim_end();
    if let Some(args) = [UNFINISHED, DETACHED].iter().find_map(|end| whole.strip_suffix(end)) {
        return Body::Begin(name, args.trim_end());
    }
    match split_arguments(rest) {
        Some((args, after)) => Body::Call(name, args, after),
        // The process was killed in the call: strace closes the parenthesis and prints no result.
        None if rest.ends_with(')') => Body::Begin(name, rest.trim_end_matches(')')),
        None => Body::Unknown,
    }
}

/// Returns the arguments up to the parenthesis that closes them, and what follows the `=`. `text`
/// begins after the opening parenthesis. Returns `None` if the closing one or the `=` is missing.
fn split_arguments(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0i32;
    for (kind, start, end) in Tokens::new(text) {
        match (kind, text.as_bytes()[start]) {
            (TokenKind::Open, _) => depth += 1,
            (TokenKind::Close, b')') if depth <= 0 => {
                if let Some(after) = text[end..].trim_start().strip_prefix('=') {
                    let args = text[..start].trim_end();
                    // The thread ended in the middle of the call.
                    let args = args.strip_suffix(UNFINISHED).unwrap_or(args).trim_end();
                    return Some((args, after.trim_start()));
                }
            }
            (TokenKind::Close, _) => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns whether a file that starts with these bytes is output of strace: most of its first lines
/// must be calls of the table.
pub fn is_strace(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let mut matching = 0;
    let mut all = 0;
    for line in text.lines().take(50) {
        match Line::parse(line).body {
            Body::Call(name, ..) | Body::Begin(name, _) | Body::Resume(name, ..)
                if abi::by_name(name).is_some() =>
            {
                matching += 1;
            }
            Body::Message => continue,
            Body::Exited(_) | Body::Signal(_) | Body::Killed(..) | Body::Superseded(_) => {
                matching += 1;
            }
            _ => {}
        }
        all += 1;
    }
    matching > 0 && matching * 2 > all
}
