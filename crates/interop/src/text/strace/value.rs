//! Parses arguments, each by its kind.

mod form;
mod text;
mod words;

pub(crate) use self::text::{parse_path, parse_string};
pub(crate) use self::words::sum_known;
use self::words::sum_words;
pub(crate) use self::words::{errno_by_name, parse_number, signal_by_name};
pub(crate) use super::lexer::split::split;
use super::lexer::{TokenKind, Tokens};
use ::import::ImportedCall;
use abi::{Flags, Form, Kind, Layout};
use trace::record::PayloadKind;

/// How much of an argument the text of strace tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// All of it.
    Whole,
    /// strace cut a string in it.
    Cut,
    /// Not all of it: a name in it is not known here.
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
            // The argument is nothing but an address.
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

/// Parses a struct, or something else that a pointer leads to, and adds it as a payload, or as two
/// if strace prints it from before and after the call. Else sets the address only.
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
    let mut add = |text: &str, at_exit: bool| -> Option<()> {
        let mut bytes = form::parse_pointee(layout, text)?;
        // getcwd(2) counts the NUL that strace leaves out.
        if layout.form == Form::Text && bytes.len() as u64 + 1 == moved {
            bytes.push(0);
        }
        imported.add_payload(arg, PayloadKind::Bytes, at_exit, &bytes, bytes.len() as u64);
        Some(())
    };
    let added = match kind {
        // The text after the arrow is what the call wrote elsewhere (clone3).
        Kind::In(..) => add(before, false),
        // strace prints only what is there after the call, and not what was there before (F_GETLK).
        Kind::InOut(..) if after.is_none() && filled_by_kernel(layout) => {
            let _known = add(before, true);
            imported.set_pointer_if_null(arg);
            return Parsed::Abbreviated;
        }
        Kind::InOut(..) => {
            add(before, false).and_then(|()| after.map_or(Some(()), |after| add(after, true)))
        }
        _ => add(after.unwrap_or(before), true),
    };
    match added {
        Some(()) => Parsed::Whole,
        None => parse_address(imported, arg, before),
    }
}

/// Returns whether the kernel fills in all fields of a struct.
fn filled_by_kernel(layout: &Layout) -> bool {
    let is_filled = |f: &abi::Field| matches!(f.kind, abi::FieldKind::Host | abi::FieldKind::Pid);
    layout.fields.len() > 1 && layout.fields.iter().all(is_filled)
}

/// Splits `[0] => [11]` into the values before and after the call. Returns `None` if the text is
/// only one value.
fn split_before_after(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (kind, start, end) in Tokens::new(text) {
        match kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth -= 1,
            TokenKind::Arrow if depth == 0 => {
                return Some((text[..start].trim_end(), text[end..].trim_start()));
            }
            _ => {}
        }
    }
    None
}

/// Returns the result of a call as the kernel returns it, from the text after `=`: a negative errno
/// if it failed. Returns `None` if it did not return.
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

/// Returns the id in strace's own pid namespace of the thread whose id is the call's result, if
/// strace prints it since the two differ (`--decode-pids=pidns`).
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

/// Sets the argument to an address, whatever that points to; to an unknown address if the text is
/// none.
fn parse_address(imported: &mut ImportedCall, arg: usize, text: &str) -> Parsed {
    match parse_number(text.split(' ').next().unwrap_or_default(), None) {
        Some(v) => imported.set_number(arg, v),
        None => imported.set_unknown_pointer(arg),
    }
    Parsed::Abbreviated
}

/// Returns the strings of `["a", "b"]`, each with a NUL after it. Returns `None` if strace left out
/// some of them or cut one.
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

/// Parses `[{iov_base="abc", iov_len=3}, ...]`. Returns the bytes of the `struct iovec[]`, the data
/// up to the first that strace cut, and whether it cut any.
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
