//! Arguments out of text, each by its kind.

mod form;
mod text;
mod words;

pub(crate) use self::text::{path, string};
use self::words::sum;
pub(crate) use self::words::words;
pub(crate) use self::words::{errno, number, signal};
pub(crate) use super::lexer::split::split;
use super::lexer::{Scan, Sign};
use ::import::ImportedCall;
use abi::{Flags, Form, Kind, Layout};
use trace::record::PayloadKind;

/// What became of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is all there.
    Whole,
    /// A string of it was cut.
    Cut,
    /// A word in it means nothing to us.
    Unknown,
    /// What it points to is not told.
    Untold,
}

/// Takes the argument `text` of kind `kind` into `told`.
pub(crate) fn take(told: &mut ImportedCall, arg: usize, kind: Kind, text: &str) -> Taken {
    if text == "NULL" {
        told.number(arg, 0);
        return Taken::Whole;
    }
    match kind {
        Kind::Path(_) | Kind::Str => match string(text) {
            Some((bytes, cut)) => {
                let wanted = bytes.len() as u64 + u64::from(cut);
                told.payload(arg, PayloadKind::String, false, &bytes, wanted);
                if cut { Taken::Cut } else { Taken::Whole }
            }
            None => address(told, arg, text),
        },
        Kind::StrVec => match strings(text) {
            Some(bytes) => {
                told.payload(arg, PayloadKind::StrVec, false, &bytes, bytes.len() as u64);
                Taken::Whole
            }
            None => address(told, arg, text),
        },
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout)
            if layout.form == Form::Data =>
        {
            data(told, arg, text)
        }
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout) => {
            memory(told, arg, kind, layout, text)
        }
        Kind::InIov { .. } | Kind::OutIov { .. } => {
            let Some((vectors, data, cut)) = vectors(text) else { return address(told, arg, text) };
            told.payload(arg, PayloadKind::Iovecs, true, &vectors, vectors.len() as u64);
            let moved = told.call.ret.max(0).cast_unsigned();
            if told.call.succeeded() {
                told.data(arg, &data[..data.len().min(moved as usize)], moved);
            }
            let whole = !cut || data.len() as u64 >= moved;
            if whole { Taken::Whole } else { Taken::Cut }
        }
        Kind::InMsg
        | Kind::OutMsg
        | Kind::InMsgs { .. }
        | Kind::OutMsgs { .. }
        | Kind::Iocbs { .. } => {
            told.pointer(arg);
            Taken::Untold
        }
        Kind::Flags(set) => scalar(told, arg, text, Some(set)),
        Kind::Signal if text.starts_with("SIG") => match signal(text) {
            Some(n) => {
                told.number(arg, n);
                Taken::Whole
            }
            None => Taken::Unknown,
        },
        Kind::Int
        | Kind::Uint
        | Kind::Hex
        | Kind::Off
        | Kind::Pos
        | Kind::PosHigh
        | Kind::Size
        | Kind::Length
        | Kind::Fd
        | Kind::DirFd
        | Kind::Pid
        | Kind::Uid
        | Kind::Gid
        | Kind::Mode
        | Kind::Dev
        | Kind::Signal
        | Kind::Unused => scalar(told, arg, text, None),
        Kind::Addr => match address(told, arg, text) {
            // An address is all that it is.
            Taken::Untold => Taken::Whole,
            other => other,
        },
    }
}

fn data(told: &mut ImportedCall, arg: usize, text: &str) -> Taken {
    let Some((bytes, cut)) = string(text) else { return address(told, arg, text) };
    told.pointer(arg);
    let moved = told.call.ret.max(0).cast_unsigned();
    if !told.call.succeeded() {
        return Taken::Whole;
    }
    let bytes = &bytes[..bytes.len().min(moved as usize)];
    told.data(arg, bytes, moved);
    if cut && (bytes.len() as u64) < moved { Taken::Cut } else { Taken::Whole }
}

/// Structs, and whatever else a pointer leads to.
fn memory(told: &mut ImportedCall, arg: usize, kind: Kind, layout: &Layout, text: &str) -> Taken {
    let moved = told.call.ret.max(0).cast_unsigned();
    let (before, after) = match becomes(text) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let mut put = |text: &str, at_exit: bool| -> Option<()> {
        let mut bytes = form::pointed(layout, text)?;
        // getcwd(2) counts the NUL that strace leaves out.
        if layout.form == Form::Text && bytes.len() as u64 + 1 == moved {
            bytes.push(0);
        }
        told.payload(arg, PayloadKind::Bytes, at_exit, &bytes, bytes.len() as u64);
        Some(())
    };
    let done = match kind {
        // What stands behind it is what the call put elsewhere (clone3).
        Kind::In(..) => put(before, false),
        // What it found is told, and not what it asked for (F_GETLK).
        Kind::InOut(..) if after.is_none() && found(layout) => {
            let _told = put(before, true);
            told.pointer_if_none(arg);
            return Taken::Untold;
        }
        Kind::InOut(..) => {
            put(before, false).and_then(|()| after.map_or(Some(()), |after| put(after, true)))
        }
        _ => put(after.unwrap_or(before), true),
    };
    match done {
        Some(()) => Taken::Whole,
        None => address(told, arg, before),
    }
}

/// Whether all of a struct is what the system fills in.
fn found(layout: &Layout) -> bool {
    let system = |f: &abi::Field| matches!(f.is, abi::Is::Host | abi::Is::Pid);
    layout.fields.len() > 1 && layout.fields.iter().all(system)
}

/// `[0] => [11]`: before and after.
fn becomes(text: &str) -> Option<(&str, &str)> {
    let mut deep = 0;
    for (sign, from, end) in Scan::new(text) {
        match sign {
            Sign::Open => deep += 1,
            Sign::Close => deep -= 1,
            Sign::Becomes if deep == 0 => {
                return Some((text[..from].trim_end(), text[end..].trim_start()));
            }
            _ => {}
        }
    }
    None
}

/// What a call returned; `None`: it did not.
pub(crate) fn result(after: &str) -> Option<i64> {
    let word = after.split([' ', '<']).next().unwrap_or_default();
    if word == "?" {
        let restart = after.strip_prefix("? ").and_then(|rest| rest.split(' ').next());
        return restart.and_then(errno).map(|e| -e);
    }
    let value = number(word, None)?.cast_signed();
    let name = after.strip_prefix("-1 ").and_then(|rest| rest.split(' ').next());
    Some(name.and_then(errno).map_or(value, |e| -e))
}

/// When a call returned that began then: `<0.000123>` at the end says how long it took (`-T`).
pub(crate) fn spent(after: &str, entered: u64) -> Option<u64> {
    let (_, seconds) = after.rsplit_once('<')?;
    let seconds: f64 = seconds.strip_suffix('>')?.parse().ok()?;
    (0.0..1e9).contains(&seconds).then(|| entered.saturating_add((seconds * 1e9) as u64))
}

/// A thread's number in strace's own pid namespace, where it is another than the program's
/// (`--decode-pids=pidns`).
pub(crate) fn translated(after: &str) -> Option<u32> {
    let (_, comment) = after.split_once("/* ")?;
    let (number, rest) = comment.split_once(' ')?;
    rest.starts_with("in strace's PID NS */").then(|| number.parse().ok())?
}

fn scalar(told: &mut ImportedCall, arg: usize, text: &str, set: Option<&Flags>) -> Taken {
    let value = number(text, set);
    told.number(arg, value.unwrap_or_else(|| sum(text, set).0));
    if value.is_some() { Taken::Whole } else { Taken::Unknown }
}

/// An address, or something at one that we do not read.
fn address(told: &mut ImportedCall, arg: usize, text: &str) -> Taken {
    match number(text.split(' ').next().unwrap_or_default(), None) {
        Some(v) => told.number(arg, v),
        None => told.pointer(arg),
    }
    Taken::Untold
}

/// `["a", "b"]`, each with a NUL behind it; `None` if some are left out.
fn strings(text: &str) -> Option<Vec<u8>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut all = Vec::new();
    for part in split(inside) {
        let (bytes, cut) = string(&part)?;
        if cut {
            return None;
        }
        all.extend_from_slice(&bytes);
        all.push(0);
    }
    Some(all)
}

/// `[{iov_base="abc", iov_len=3}, ...]`: the vectors, the data as far as they are whole, and
/// whether something of them was cut.
fn vectors(text: &str) -> Option<(Vec<u8>, Vec<u8>, bool)> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let (mut vectors, mut data, mut whole) = (Vec::new(), Vec::new(), true);
    for part in split(inside) {
        let fields = split(part.strip_prefix('{')?.strip_suffix('}')?);
        let field =
            |name: &str| fields.iter().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let len = number(field("iov_len")?, None)?;
        vectors.extend_from_slice(&::import::UNKNOWN_ADDRESS.to_le_bytes());
        vectors.extend_from_slice(&len.to_le_bytes());
        match string(field("iov_base")?) {
            Some((bytes, cut)) if whole => {
                whole = !cut;
                data.extend_from_slice(&bytes);
            }
            _ => whole = false,
        }
    }
    Some((vectors, data, !whole))
}
