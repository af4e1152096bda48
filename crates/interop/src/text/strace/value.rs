//! Parses arguments, each by its kind.

mod form;
mod text;
mod words;

pub(crate) use self::text::{path, string};
use self::words::sum;
pub(crate) use self::words::words;
pub(crate) use self::words::{errno, number, signal};
pub(crate) use super::lexer::split::split;
use super::lexer::{Token, Tokens};
use ::import::ImportedCall;
use abi::{Flags, Form, Kind, Layout};
use trace::record::PayloadKind;

/// The result of parsing an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// All of it is known.
    Whole,
    /// strace cut a string in it.
    Cut,
    /// A name in it is unknown.
    Unknown,
    /// strace did not print what it points to, or not all of it.
    Abbreviated,
}

/// Parses `text` as argument `arg` of kind `kind`, and sets it in `imported`.
pub(crate) fn parse(imported: &mut ImportedCall, arg: usize, kind: Kind, text: &str) -> Parsed {
    if text == "NULL" {
        imported.number(arg, 0);
        return Parsed::Whole;
    }
    match kind {
        Kind::Path(_) | Kind::Str => match string(text) {
            Some((bytes, cut)) => {
                let wanted = bytes.len() as u64 + u64::from(cut);
                imported.payload(arg, PayloadKind::String, false, &bytes, wanted);
                if cut { Parsed::Cut } else { Parsed::Whole }
            }
            None => address(imported, arg, text),
        },
        Kind::StrVec => match strings(text) {
            Some(bytes) => {
                imported.payload(arg, PayloadKind::StrVec, false, &bytes, bytes.len() as u64);
                Parsed::Whole
            }
            None => address(imported, arg, text),
        },
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout)
            if layout.form == Form::Data =>
        {
            data(imported, arg, text)
        }
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout) => {
            memory(imported, arg, kind, layout, text)
        }
        Kind::InIov { .. } | Kind::OutIov { .. } => buffers(imported, arg, text),
        Kind::InMsg
        | Kind::OutMsg
        | Kind::InMsgs { .. }
        | Kind::OutMsgs { .. }
        | Kind::Iocbs { .. } => {
            imported.pointer(arg);
            Parsed::Abbreviated
        }
        Kind::Flags(set) => scalar(imported, arg, text, Some(set)),
        Kind::Signal if text.starts_with("SIG") => match signal(text) {
            Some(n) => {
                imported.number(arg, n);
                Parsed::Whole
            }
            None => Parsed::Unknown,
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
        | Kind::Unused => scalar(imported, arg, text, None),
        Kind::Addr => match address(imported, arg, text) {
            // An address is all that it is.
            Parsed::Abbreviated => Parsed::Whole,
            other => other,
        },
    }
}

/// The vectors of `readv` and the like, with their data.
fn buffers(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    let Some((vectors, data, cut)) = vectors(text) else {
        return address(imported, arg, text);
    };
    imported.payload(arg, PayloadKind::Iovecs, true, &vectors, vectors.len() as u64);
    let moved = imported.call.ret.max(0).cast_unsigned();
    if imported.call.succeeded() {
        imported.data(arg, &data[..data.len().min(moved as usize)], moved);
    }
    let whole = !cut || data.len() as u64 >= moved;
    if whole { Parsed::Whole } else { Parsed::Cut }
}

fn data(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    let Some((bytes, cut)) = string(text) else { return address(imported, arg, text) };
    imported.pointer(arg);
    let moved = imported.call.ret.max(0).cast_unsigned();
    if !imported.call.succeeded() {
        return Parsed::Whole;
    }
    let bytes = &bytes[..bytes.len().min(moved as usize)];
    imported.data(arg, bytes, moved);
    if cut && (bytes.len() as u64) < moved { Parsed::Cut } else { Parsed::Whole }
}

/// Parses a struct, or something else that a pointer leads to.
fn memory(
    imported: &mut ImportedCall,
    arg: usize,
    kind: Kind,
    layout: &Layout,
    text: &str,
) -> Parsed {
    let moved = imported.call.ret.max(0).cast_unsigned();
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
        imported.payload(arg, PayloadKind::Bytes, at_exit, &bytes, bytes.len() as u64);
        Some(())
    };
    let done = match kind {
        // What follows is what the call wrote elsewhere (clone3).
        Kind::In(..) => put(before, false),
        // strace prints what the call returned, and not what it was given (F_GETLK).
        Kind::InOut(..) if after.is_none() && filled_by_kernel(layout) => {
            let _told = put(before, true);
            imported.pointer_if_null(arg);
            return Parsed::Abbreviated;
        }
        Kind::InOut(..) => {
            put(before, false).and_then(|()| after.map_or(Some(()), |after| put(after, true)))
        }
        _ => put(after.unwrap_or(before), true),
    };
    match done {
        Some(()) => Parsed::Whole,
        None => address(imported, arg, before),
    }
}

/// Whether the kernel fills in all fields of a struct.
fn filled_by_kernel(layout: &Layout) -> bool {
    let system = |f: &abi::Field| matches!(f.kind, abi::FieldKind::Host | abi::FieldKind::Pid);
    layout.fields.len() > 1 && layout.fields.iter().all(system)
}

/// `[0] => [11]`: before and after.
fn becomes(text: &str) -> Option<(&str, &str)> {
    let mut deep = 0;
    for (sign, from, end) in Tokens::new(text) {
        match sign {
            Token::Open => deep += 1,
            Token::Close => deep -= 1,
            Token::Becomes if deep == 0 => {
                return Some((text[..from].trim_end(), text[end..].trim_start()));
            }
            _ => {}
        }
    }
    None
}

/// The result of a call; `None`: it did not return.
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

/// When a call returned that was entered at `entered`: `<0.000123>` at the end is its duration
/// (`-T`).
pub(crate) fn spent(after: &str, entered: u64) -> Option<u64> {
    let (_, seconds) = after.rsplit_once('<')?;
    let seconds: f64 = seconds.strip_suffix('>')?.parse().ok()?;
    (0.0..1e9).contains(&seconds).then(|| entered.saturating_add((seconds * 1e9) as u64))
}

/// A thread id in strace's own pid namespace, if it differs from the program's
/// (`--decode-pids=pidns`).
pub(crate) fn translated(after: &str) -> Option<u32> {
    let (_, comment) = after.split_once("/* ")?;
    let (number, rest) = comment.split_once(' ')?;
    rest.starts_with("in strace's PID NS */").then(|| number.parse().ok())?
}

fn scalar(imported: &mut ImportedCall, arg: usize, text: &str, set: Option<&Flags>) -> Parsed {
    let value = number(text, set);
    imported.number(arg, value.unwrap_or_else(|| sum(text, set).0));
    if value.is_some() { Parsed::Whole } else { Parsed::Unknown }
}

/// Sets an address, or the address of something that is not parsed.
fn address(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    match number(text.split(' ').next().unwrap_or_default(), None) {
        Some(v) => imported.number(arg, v),
        None => imported.pointer(arg),
    }
    Parsed::Abbreviated
}

/// The strings of `["a", "b"]`, each with a NUL after it; `None` if some are left out.
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
