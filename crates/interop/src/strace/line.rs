//! A line: who, when, and what.

/// When a line says it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing is said.
    Never,
    /// Nanoseconds since 1970.
    Epoch(u64),
    /// Nanoseconds since midnight.
    Day(u64),
    /// Nanoseconds since the line before.
    Since(u64),
}

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A whole call: name, arguments, and what stands behind them.
    Call(&'a str, &'a str, &'a str),
    /// The beginning of one.
    Begin(&'a str, &'a str),
    /// The end of one: name, the rest of its arguments, and what stands behind them.
    Resume(&'a str, &'a str, &'a str),
    /// A signal's name.
    Signal(&'a str),
    /// Exited with this status.
    Exited(u32),
    /// Killed by the signal of this name.
    Killed(&'a str),
    /// Replaced by an execve in the thread of this number.
    Superseded(u32),
    /// What strace says of itself.
    Talk,
    /// None of these.
    Unknown,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The thread, if the line names it.
    pub tid: Option<u32>,
    /// When.
    pub when: When,
    /// What.
    pub body: Body<'a>,
}

const UNFINISHED: &str = "<unfinished ...>";

/// When a line says it was written; the rest of it is not looked at.
pub(super) fn time(text: &str) -> When {
    when(thread(text).1).0
}

impl<'a> Line<'a> {
    /// Reads a line without its end.
    pub fn read(text: &'a str) -> Self {
        let (tid, rest) = thread(text);
        let (when, rest) = when(rest);
        // With -o and without -f the number may be missing, with -ff it always is.
        Self { tid, when, body: body(rest.trim_start()) }
    }
}

fn thread(text: &str) -> (Option<u32>, &str) {
    let bracketed = text.strip_prefix("[pid ").and_then(|rest| rest.split_once(']'));
    if let Some((tid, rest)) = bracketed {
        return (tid.trim().parse().ok(), rest.trim_start());
    }
    // `-o FILE -f`: the number, and blanks behind it; a time has other signs in it.
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match text[digits..].strip_prefix(' ') {
        Some(rest) if digits > 0 => (text[..digits].parse().ok(), rest.trim_start()),
        _ => (None, text),
    }
}

fn nanos(seconds: &str, fraction: &str) -> Option<u64> {
    let all = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all(seconds)
        || (!fraction.is_empty() && !all(fraction))
        || fraction.len() > 9
        || seconds.len() > 10
    {
        return None;
    }
    let part: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u64>().ok()? * 10u64.pow(9 - fraction.len() as u32)
    };
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + part)
}

fn when(text: &str) -> (When, &str) {
    let trimmed = text.trim_start();
    let Some((word, rest)) = trimmed.split_once(' ') else { return (When::Never, text) };
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let parts: Vec<&str> = whole.split(':').collect();
    let time = match parts[..] {
        [h, m, s] => {
            let seconds = [h, m, s].iter().try_fold(0u64, |sum, p| {
                Some(sum * 60 + p.parse::<u64>().ok().filter(|n| *n < 100)?)
            });
            seconds.and_then(|s| nanos(&s.to_string(), fraction)).map(When::Day)
        }
        [seconds] if word.contains('.') => nanos(seconds, fraction)
            .map(|t| if seconds.len() >= 9 { When::Epoch(t) } else { When::Since(t) }),
        _ => None,
    };
    time.map_or((When::Never, text), |t| (t, rest))
}

fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    (end > 0 && !text.as_bytes()[0].is_ascii_digit()).then(|| text.split_at(end))
}

fn body(text: &str) -> Body<'_> {
    if let Some(rest) = text.strip_prefix("+++ ") {
        // What `reanimator print` says beyond strace.
        if rest.starts_with("process started by ") || rest.starts_with("thread started by ") {
            return Body::Talk;
        }
        let number = |rest: &str| rest.split(' ').next().and_then(|n| n.parse().ok());
        return match (
            rest.strip_prefix("exited with "),
            rest.strip_prefix("killed by "),
            rest.strip_prefix("superseded by execve in pid "),
        ) {
            (Some(rest), _, _) => number(rest).map_or(Body::Unknown, Body::Exited),
            (_, Some(rest), _) => Body::Killed(rest.split(' ').next().unwrap_or_default()),
            (_, _, Some(rest)) => number(rest).map_or(Body::Unknown, Body::Superseded),
            _ => Body::Unknown,
        };
    }
    if let Some(rest) = text.strip_prefix("--- ") {
        let signal = rest.split(' ').next().unwrap_or_default();
        return if signal.starts_with("SIG") { Body::Signal(signal) } else { Body::Talk };
    }
    if text.starts_with("strace: ") || text.is_empty() {
        return Body::Talk;
    }
    if let Some((name, rest)) =
        text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
    {
        let rest = rest.trim_start();
        return match arguments(rest) {
            Some((args, after)) => Body::Resume(name, args, after),
            None => Body::Unknown,
        };
    }
    let Some((name, rest)) = name(text) else { return Body::Unknown };
    let Some(rest) = rest.strip_prefix('(') else { return Body::Unknown };
    if let Some(args) = rest.trim_end().strip_suffix(UNFINISHED) {
        return Body::Begin(name, args.trim_end());
    }
    match arguments(rest) {
        Some((args, after)) => Body::Call(name, args, after),
        // Its process was killed within it.
        None if rest.ends_with(')') => Body::Begin(name, rest.trim_end_matches(')')),
        None => Body::Unknown,
    }
}

/// Arguments up to the parenthesis that closes them, and what stands behind the sign of equality.
fn arguments(text: &str) -> Option<(&str, &str)> {
    // The last `) = `: a string may hold one too, but none stands behind the result, whose own remarks are in parentheses.
    let mut from = 0;
    let mut found = None;
    let mut deep = 0i32;
    let bytes = text.as_bytes();
    while from < bytes.len() {
        match bytes[from] {
            b'"' => from = skip_string(bytes, from),
            b'/' if bytes[from..].starts_with(b"/*") => {
                from = text[from..].find("*/").map_or(bytes.len(), |end| from + end + 1)
            }
            b'(' | b'[' | b'{' => deep += 1,
            b']' | b'}' => deep -= 1,
            b')' if deep > 0 => deep -= 1,
            b')' => {
                let after = text[from + 1..].trim_start();
                if let Some(after) = after.strip_prefix('=') {
                    found = Some((&text[..from], after.trim_start()));
                    break;
                }
            }
            _ => {}
        }
        from += 1;
    }
    found
}

/// The closing quote of the string that begins at `from`, or the end.
pub(super) fn skip_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// Whether text looks like strace's: most of its first lines are calls of the table.
pub fn is_strace(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let mut known = 0;
    let mut all = 0;
    for line in text.lines().take(50) {
        match Line::read(line).body {
            Body::Call(name, ..) | Body::Begin(name, _) | Body::Resume(name, ..)
                if abi::by_name(name).is_some() =>
            {
                known += 1
            }
            Body::Talk => continue,
            Body::Exited(_) | Body::Signal(_) | Body::Killed(_) | Body::Superseded(_) => known += 1,
            _ => {}
        }
        all += 1;
    }
    known > 0 && known * 2 > all
}
