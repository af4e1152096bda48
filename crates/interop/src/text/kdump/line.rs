//! Parses a line (usr.bin/kdump/kdump.c of FreeBSD).

use crate::text::lines::{SECOND, most_lines_match, parse_nanos};

/// The first line of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// The thread with `-H`, the process without.
    pub tid: u32,
    /// Nanoseconds, with `-T`, `-E` or `-R`.
    pub time: Option<u64>,
    /// `CALL`, `RET`, `NAMI`, `GIO`, `PSIG` and others.
    pub kind: &'t str,
    /// What follows the kind.
    pub rest: &'t str,
}

const KINDS: [&str; 12] =
    ["CALL", "RET", "NAMI", "GIO", "PSIG", "CSW", "USER", "STRU", "SCTL", "CAP", "PFLT", "PRET"];

impl<'t> Line<'t> {
    /// Parses a line: `PID [TID] COMMAND [SECONDS] KIND REST`. Returns `None` for lines of data.
    pub fn parse(text: &'t str) -> Option<Self> {
        if is_data(text) {
            return None;
        }
        let (mut words, mut at) = (Vec::new(), 0);
        for word in text.split(' ') {
            if !word.is_empty() {
                words.push((word, at));
            }
            at += word.len() + 1;
            if words.len() > 2 && KINDS.contains(&word) {
                break;
            }
        }
        let (kind, begin) = words.pop().filter(|(word, _)| KINDS.contains(word))?;
        let pid: u32 = words.first()?.0.parse().ok()?;
        let fraction = words.last().filter(|(word, _)| words.len() > 2 && word.contains('.'));
        let time = fraction.and_then(|(word, _)| parse_nanos(word, SECOND));
        let named = words.len() - usize::from(time.is_some());
        // The second word is the thread, unless it is the command.
        let tid = if named > 2 { words[1].0.parse().unwrap_or(pid) } else { pid };
        Some(Self { tid, time, kind, rest: text[begin + kind.len()..].trim_start() })
    }
}

/// Returns whether a line continues the data of the record before. Text begins with a quote and
/// continues after tabs; bytes follow their offset.
pub fn is_data(text: &str) -> bool {
    text.starts_with('\t') || text.starts_with("       \"") || text.starts_with("       0x")
}

/// Returns the bytes in lines of data, at most `max_bytes`.
pub fn parse_data(lines: &[String], max_bytes: usize) -> Vec<u8> {
    let mut out = match lines.first() {
        Some(first) if first.starts_with("       0x") => {
            lines.iter().flat_map(|l| parse_hex_row(l)).collect()
        }
        _ => parse_text(lines),
    };
    out.truncate(max_bytes);
    out
}

/// Returns the bytes in `       0x0010 0001 0203 04  |....|`.
fn parse_hex_row(line: &str) -> Vec<u8> {
    let digits = line
        .trim_start()
        .split_once(' ')
        .map_or("", |(_, rest)| rest.split("  |").next().unwrap_or_default());
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte =
        |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    digits.chunks_exact(2).filter_map(byte).collect()
}

/// Returns the bytes of text in quotes, which is escaped as by vis(3). Lines continue after a tab;
/// long ones are folded with a backslash.
fn parse_text(lines: &[String]) -> Vec<u8> {
    let mut joined = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let line = line
            .strip_prefix("       \"")
            .filter(|_| i == 0)
            .or_else(|| line.strip_prefix('\t'))
            .unwrap_or(line.trim_start_matches(' '));
        joined.extend_from_slice(line.as_bytes());
        joined.push(b'\n');
    }
    let end = joined.iter().rposition(|b| *b == b'"').unwrap_or(joined.len());
    let mut out = Vec::new();
    let mut rest = &joined[..end];
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let [escape, after @ ..] = rest else { break };
        rest = after;
        match escape {
            b'\n' => {}
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b's' => out.push(b' '),
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|d| (b'0'..=b'7').contains(*d)).count();
                // A zero alone, or three digits.
                let more = if more == 2 { 2 } else { 0 };
                out.push(
                    rest[..more]
                        .iter()
                        .fold(escape - b'0', |v, d| v.wrapping_mul(8).wrapping_add(d - b'0')),
                );
                rest = &rest[more..];
            }
            other => out.push(*other),
        }
    }
    out
}

/// Returns whether a file that starts with these bytes is output of kdump.
pub fn is_kdump(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    most_lines_match(text.lines().filter(|l| !is_data(l)), |l| Line::parse(l).is_some())
}
