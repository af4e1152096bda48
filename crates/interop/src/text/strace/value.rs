//! Parses arguments, each by its kind.

mod form;
mod text;
mod words;

pub(crate) use self::text::{parse_path, parse_string};
pub(crate) use self::words::sum_known;
use self::words::sum_words;
pub(crate) use self::words::{errno_by_name, parse_number, signal_by_name};
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

/// Parses `text` as argument `arg` of kind `kind`, and sets it in `imported`. Returns how much of
/// it was known.
pub(crate) fn parse(imported: &mut ImportedCall, arg: usize, kind: Kind, text: &str) -> Parsed {
    if text == "NULL" {
        imported.set_number(arg, 0);
        return Parsed::Whole;
    }
    match kind {
        Kind::Path(_) | Kind::Str => match parse_string(text) {
            Some((bytes, cut)) => {
                let wanted = bytes.len() as u64 + u64::from(cut);
                imported.add_payload(arg, PayloadKind::String, false, &bytes, wanted);
                if cut { Parsed::Cut } else { Parsed::Whole }
            }
            None => parse_address(imported, arg, text),
        },
        Kind::StrVec => match parse_strings(text) {
            Some(bytes) => {
                imported.add_payload(arg, PayloadKind::StrVec, false, &bytes, bytes.len() as u64);
                Parsed::Whole
            }
            None => parse_address(imported, arg, text),
        },
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout)
            if layout.form == Form::Data =>
        {
            parse_data(imported, arg, text)
        }
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout) => {
            parse_memory(imported, arg, kind, layout, text)
        }
        Kind::InIov { .. } | Kind::OutIov { .. } => parse_buffers(imported, arg, text),
        Kind::InMsg
        | Kind::OutMsg
        | Kind::InMsgs { .. }
        | Kind::OutMsgs { .. }
        | Kind::Iocbs { .. } => {
            imported.set_unknown_pointer(arg);
            Parsed::Abbreviated
        }
        Kind::Flags(set) => parse_scalar(imported, arg, text, Some(set)),
        Kind::Signal if text.starts_with("SIG") => match signal_by_name(text) {
            Some(n) => {
                imported.set_number(arg, n);
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
        | Kind::Unused => parse_scalar(imported, arg, text, None),
        Kind::Addr => match parse_address(imported, arg, text) {
            // An address is all that it is.
            Parsed::Abbreviated => Parsed::Whole,
            other => other,
        },
    }
}

/// Parses the vector of buffers of readv(2) and the like, with their data.
fn parse_buffers(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    let Some((vectors, data, cut)) = parse_vectors(text) else {
        return parse_address(imported, arg, text);
    };
    imported.add_payload(arg, PayloadKind::Iovecs, true, &vectors, vectors.len() as u64);
    let moved = imported.call.ret.max(0).cast_unsigned();
    if imported.call.succeeded() {
        imported.add_data(arg, &data[..data.len().min(moved as usize)], moved);
    }
    let whole = !cut || data.len() as u64 >= moved;
    if whole { Parsed::Whole } else { Parsed::Cut }
}

/// Parses the data that the call read or wrote, and sets as much as its result says.
fn parse_data(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    let Some((bytes, cut)) = parse_string(text) else { return parse_address(imported, arg, text) };
    imported.set_unknown_pointer(arg);
    let moved = imported.call.ret.max(0).cast_unsigned();
    if !imported.call.succeeded() {
        return Parsed::Whole;
    }
    let bytes = &bytes[..bytes.len().min(moved as usize)];
    imported.add_data(arg, bytes, moved);
    if cut && (bytes.len() as u64) < moved { Parsed::Cut } else { Parsed::Whole }
}

/// Parses a struct, or something else that a pointer leads to.
fn parse_memory(
    imported: &mut ImportedCall,
    arg: usize,
    kind: Kind,
    layout: &Layout,
    text: &str,
) -> Parsed {
    let moved = imported.call.ret.max(0).cast_unsigned();
    let (before, after) = match split_before_after(text) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let mut put = |text: &str, at_exit: bool| -> Option<()> {
        let mut bytes = form::parse_pointee(layout, text)?;
        // getcwd(2) counts the NUL that strace leaves out.
        if layout.form == Form::Text && bytes.len() as u64 + 1 == moved {
            bytes.push(0);
        }
        imported.add_payload(arg, PayloadKind::Bytes, at_exit, &bytes, bytes.len() as u64);
        Some(())
    };
    let done = match kind {
        // What follows is what the call wrote elsewhere (clone3).
        Kind::In(..) => put(before, false),
        // strace prints what the call returned, and not what it was given (F_GETLK).
        Kind::InOut(..) if after.is_none() && filled_by_kernel(layout) => {
            let _told = put(before, true);
            imported.set_pointer_if_null(arg);
            return Parsed::Abbreviated;
        }
        Kind::InOut(..) => {
            put(before, false).and_then(|()| after.map_or(Some(()), |after| put(after, true)))
        }
        _ => put(after.unwrap_or(before), true),
    };
    match done {
        Some(()) => Parsed::Whole,
        None => parse_address(imported, arg, before),
    }
}

/// Returns whether the kernel fills in all fields of a struct.
fn filled_by_kernel(layout: &Layout) -> bool {
    let system = |f: &abi::Field| matches!(f.kind, abi::FieldKind::Host | abi::FieldKind::Pid);
    layout.fields.len() > 1 && layout.fields.iter().all(system)
}

/// Splits `[0] => [11]` into the values before and after the call.
fn split_before_after(text: &str) -> Option<(&str, &str)> {
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

/// Returns the result of a call. Returns `None` if it did not return.
pub(crate) fn parse_result(after: &str) -> Option<i64> {
    let word = after.split([' ', '<']).next().unwrap_or_default();
    if word == "?" {
        let restart = after.strip_prefix("? ").and_then(|rest| rest.split(' ').next());
        return restart.and_then(errno_by_name).map(|e| -e);
    }
    let value = parse_number(word, None)?.cast_signed();
    let name = after.strip_prefix("-1 ").and_then(|rest| rest.split(' ').next());
    Some(name.and_then(errno_by_name).map_or(value, |e| -e))
}

/// Returns when a call returned that was entered at `entered`, if its line ends with the duration:
/// `<0.000123>` (`-T`).
pub(crate) fn parse_return_time(after: &str, entered: u64) -> Option<u64> {
    let (_, seconds) = after.rsplit_once('<')?;
    let seconds: f64 = seconds.strip_suffix('>')?.parse().ok()?;
    (0.0..1e9).contains(&seconds).then(|| entered.saturating_add((seconds * 1e9) as u64))
}

/// Returns a thread id in strace's own pid namespace, if it differs from the program's
/// (`--decode-pids=pidns`).
pub(crate) fn parse_translated_id(after: &str) -> Option<u32> {
    let (_, comment) = after.split_once("/* ")?;
    let (number, rest) = comment.split_once(' ')?;
    rest.starts_with("in strace's PID NS */").then(|| number.parse().ok())?
}

/// Parses a number or the names of flags, and sets the argument.
fn parse_scalar(
    imported: &mut ImportedCall,
    arg: usize,
    text: &str,
    set: Option<&Flags>,
) -> Parsed {
    let value = parse_number(text, set);
    imported.set_number(arg, value.unwrap_or_else(|| sum_words(text, set).0));
    if value.is_some() { Parsed::Whole } else { Parsed::Unknown }
}

/// Sets an address, or the address of something that is not parsed.
fn parse_address(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    match parse_number(text.split(' ').next().unwrap_or_default(), None) {
        Some(v) => imported.set_number(arg, v),
        None => imported.set_unknown_pointer(arg),
    }
    Parsed::Abbreviated
}

/// Returns the strings of `["a", "b"]`, each with a NUL after it. Returns `None` if some are left
/// out.
fn parse_strings(text: &str) -> Option<Vec<u8>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut all = Vec::new();
    for part in split(inside) {
        let (bytes, cut) = parse_string(&part)?;
        if cut {
            return None;
        }
        all.extend_from_slice(&bytes);
        all.push(0);
    }
    Some(all)
}

/// Parses `[{iov_base="abc", iov_len=3}, ...]`. Returns the vectors, the data as far as they are
/// whole, and whether some of them were cut.
fn parse_vectors(text: &str) -> Option<(Vec<u8>, Vec<u8>, bool)> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let (mut vectors, mut data, mut whole) = (Vec::new(), Vec::new(), true);
    for part in split(inside) {
        let fields = split(part.strip_prefix('{')?.strip_suffix('}')?);
        let field =
            |name: &str| fields.iter().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let len = parse_number(field("iov_len")?, None)?;
        vectors.extend_from_slice(&::import::UNKNOWN_ADDRESS.to_le_bytes());
        vectors.extend_from_slice(&len.to_le_bytes());
        match parse_string(field("iov_base")?) {
            Some((bytes, cut)) if whole => {
                whole = !cut;
                data.extend_from_slice(&bytes);
            }
            _ => whole = false,
        }
    }
    Some((vectors, data, !whole))
}
