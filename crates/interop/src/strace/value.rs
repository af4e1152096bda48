//! Arguments out of text, each by its kind.

use super::line::skip_string;
use abi::{Flags, Form, Is, Kind, Layout};
use ahash::HashMap;
use std::sync::LazyLock;
use trace::Told;
use trace::record::PieceKind;

/// Splits at commas that stand in nothing else. Comments go.
pub(crate) fn split(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let (mut parts, mut part, mut deep, mut at) = (Vec::new(), Vec::new(), 0i32, 0);
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => (skip_string(bytes, at) + 1).min(bytes.len()),
            b'/' if bytes[at..].starts_with(b"/*") => {
                at = text[at..].find("*/").map_or(bytes.len(), |end| at + end + 2);
                continue;
            }
            // A descriptor's path: up to the bracket that a separator follows.
            b'<' if part.last().is_some_and(|b: &u8| b.is_ascii_alphanumeric()) => {
                let close = (at..bytes.len()).find(|i| {
                    bytes[*i] == b'>'
                        && matches!(
                            bytes.get(i + 1),
                            None | Some(b',' | b')' | b'}' | b']' | b' ' | b'|')
                        )
                });
                close.map_or(at + 1, |i| i + 1)
            }
            _ => at + 1,
        };
        match bytes[at] {
            b'(' | b'[' | b'{' => deep += 1,
            b')' | b']' | b'}' => deep -= 1,
            b',' if deep == 0 => {
                parts.push(String::from_utf8_lossy(&part).trim().to_owned());
                part.clear();
                at += 1;
                continue;
            }
            _ => {}
        }
        part.extend_from_slice(&bytes[at..end]);
        at = end;
    }
    let last = String::from_utf8_lossy(&part).trim().to_owned();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}

/// A string in quotes: its bytes, and whether it was cut.
pub(crate) fn string(text: &str) -> Option<(Vec<u8>, bool)> {
    let bytes = text.strip_prefix('@').unwrap_or(text).as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let end = skip_string(bytes, 0);
    let rest = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
    Some((unescape(bytes.get(1..end)?), rest.starts_with("...")))
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        at += 1;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some(&c) = text.get(at) else { break };
        at += 1;
        match c {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'v' => out.push(0x0b),
            b'f' => out.push(0x0c),
            b'a' => out.push(0x07),
            b'b' => out.push(0x08),
            b'x' => {
                let digits: Vec<u8> =
                    text[at..].iter().copied().take(2).take_while(u8::is_ascii_hexdigit).collect();
                at += digits.len();
                out.push(
                    std::str::from_utf8(&digits)
                        .ok()
                        .and_then(|d| u8::from_str_radix(d, 16).ok())
                        .unwrap_or(0),
                );
            }
            b'0'..=b'7' => {
                let digits: Vec<u8> = text[at - 1..]
                    .iter()
                    .copied()
                    .take(3)
                    .take_while(|d| (b'0'..=b'7').contains(d))
                    .collect();
                at += digits.len() - 1;
                out.push(digits.iter().fold(0u32, |v, d| v * 8 + u32::from(d - b'0')) as u8);
            }
            other => out.push(other),
        }
    }
    out
}

/// The path in `3</path>` and `AT_FDCWD</path>`.
pub(crate) fn path(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once('<')?;
    Some(unescape(rest.strip_suffix('>')?.as_bytes()))
}

const MODES: [(&str, u64); 7] = [
    ("S_IFREG", 0o100_000),
    ("S_IFDIR", 0o040_000),
    ("S_IFLNK", 0o120_000),
    ("S_IFCHR", 0o020_000),
    ("S_IFBLK", 0o060_000),
    ("S_IFIFO", 0o010_000),
    ("S_IFSOCK", 0o140_000),
];
const BITS: [(&str, u64); 27] = [
    ("AT_STATX_SYNC_AS_STAT", 0),
    ("S_ISUID", 0o4000),
    ("S_ISGID", 0o2000),
    ("S_ISVTX", 0o1000),
    ("S_IALLUGO", 0o7777),
    ("S_IRWXUGO", 0o777),
    ("S_IRUGO", 0o444),
    ("S_IWUGO", 0o222),
    ("S_IXUGO", 0o111),
    ("S_IRWXU", 0o700),
    ("S_IRUSR", 0o400),
    ("S_IWUSR", 0o200),
    ("S_IXUSR", 0o100),
    ("S_IRWXG", 0o70),
    ("S_IRGRP", 0o40),
    ("S_IWGRP", 0o20),
    ("S_IXGRP", 0o10),
    ("S_IRWXO", 0o7),
    ("S_IROTH", 0o4),
    ("S_IWOTH", 0o2),
    ("S_IXOTH", 0o1),
    ("UTIME_NOW", 0x3fff_ffff),
    ("UTIME_OMIT", 0x3fff_fffe),
    ("AT_FDCWD", -100i64 as u64),
    ("NULL", 0),
    ("INT_MAX", i32::MAX as u64),
    ("SIGCHLD", 17),
];

/// A number in any of strace's forms; names are those of `set`. `None`: something of it means nothing.
pub(crate) fn number(text: &str, set: Option<&Flags>) -> Option<u64> {
    let text = text.trim();
    if let Some(negated) = text.strip_prefix('~') {
        return number(negated, set).map(|v| !v);
    }
    let (sum, all) = sum(text, set);
    all.then_some(sum)
}

/// The sum of the words that mean something, and whether all do.
fn sum(text: &str, set: Option<&Flags>) -> (u64, bool) {
    let words = text.split('|').map(|word| word.split('<').next().unwrap_or_default().trim());
    words.fold((0, true), |(sum, all), word| match plain(word).or_else(|| named(word, set)) {
        Some(v) => (sum | v, all),
        None => (sum, false),
    })
}

fn plain(word: &str) -> Option<u64> {
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    if word.len() > 1 && word.starts_with('0') && word.bytes().all(|b| b.is_ascii_digit()) {
        return u64::from_str_radix(word, 8).ok();
    }
    if let Some((a, b)) = word.split_once('*') {
        return plain(a)?.checked_mul(plain(b)?);
    }
    word.parse::<u64>().ok().or_else(|| word.parse::<i64>().ok().map(i64::cast_unsigned))
}

fn named(word: &str, set: Option<&Flags>) -> Option<u64> {
    if let Some(inside) = word.strip_prefix("makedev(").and_then(|w| w.strip_suffix(')')) {
        let (major, minor) = inside.split_once(',')?;
        let (major, minor) = (plain(major.trim())?, plain(minor.trim())?);
        return Some(
            minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32,
        );
    }
    let of = |names: &[(u64, &str)]| names.iter().find(|(_, name)| *name == word).map(|(v, _)| *v);
    let known = set.and_then(|s| of(s.bits).or_else(|| s.field.and_then(|(_, names)| of(names))));
    known.or_else(|| MODES.iter().chain(&BITS).find(|(name, _)| *name == word).map(|(_, v)| *v))
}

/// Takes the argument `text` of kind `kind` into `told`; false: it means nothing to us.
pub(super) fn take(told: &mut Told, arg: usize, kind: Kind, text: &str) -> bool {
    let done = told.call.succeeded();
    let moved = told.call.ret.max(0).cast_unsigned();
    if text == "NULL" {
        told.number(arg, 0);
        return true;
    }
    match kind {
        Kind::Path(_) | Kind::Str => match string(text) {
            Some((bytes, false)) => told.string(arg, &bytes),
            Some((bytes, true)) => {
                told.piece(arg, PieceKind::String, false, &bytes, bytes.len() as u64 + 1)
            }
            None => return address(told, arg, text),
        },
        Kind::StrVec => match strings(text) {
            Some(bytes) => told.piece(arg, PieceKind::StrVec, false, &bytes, bytes.len() as u64),
            None => return address(told, arg, text),
        },
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout) => {
            let at_exit = !matches!(kind, Kind::In(..)) || layout.form == Form::Data;
            if layout.form == Form::Data {
                let Some((bytes, _)) = string(text) else { return address(told, arg, text) };
                told.pointer(arg);
                if done {
                    let bytes = &bytes[..bytes.len().min(moved as usize)];
                    told.data(arg, bytes, moved);
                }
                return true;
            }
            // `[0] => [11]`: before and after.
            if let (Kind::InOut(..), Some((before, after))) = (kind, text.split_once("=>")) {
                let (before, after) =
                    (before.trim().trim_matches(['[', ']']), after.trim().trim_matches(['[', ']']));
                let one = |text: &str| pointed(layout, text);
                let (Some(before), Some(after)) = (one(before.trim()), one(after.trim())) else {
                    return address(told, arg, text);
                };
                told.piece(arg, PieceKind::Bytes, false, &before, before.len() as u64);
                told.piece(arg, PieceKind::Bytes, true, &after, after.len() as u64);
                return true;
            }
            match pointed(layout, text) {
                Some(bytes) if matches!(kind, Kind::InOut(..)) => {
                    told.piece(arg, PieceKind::Bytes, false, &bytes, bytes.len() as u64);
                    told.piece(arg, PieceKind::Bytes, true, &bytes, bytes.len() as u64);
                }
                // getcwd(2) counts the NUL that strace leaves out.
                Some(mut bytes) if layout.form == Form::Text && bytes.len() as u64 + 1 == moved => {
                    bytes.push(0);
                    told.piece(arg, PieceKind::Bytes, at_exit, &bytes, moved);
                }
                Some(bytes) => {
                    told.piece(arg, PieceKind::Bytes, at_exit, &bytes, bytes.len() as u64)
                }
                None => return address(told, arg, text),
            }
        }
        Kind::InIov { .. } | Kind::OutIov { .. } => {
            let Some((vectors, data)) = vectors(text) else { return address(told, arg, text) };
            told.piece(arg, PieceKind::Iovecs, true, &vectors, vectors.len() as u64);
            if done {
                told.data(arg, &data[..data.len().min(moved as usize)], moved);
            }
        }
        Kind::InMsg
        | Kind::OutMsg
        | Kind::InMsgs { .. }
        | Kind::OutMsgs { .. }
        | Kind::Iocbs { .. } => {
            told.pointer(arg);
        }
        Kind::Flags(set) => return scalar(told, arg, text, Some(set)),
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
        | Kind::Pid => {
            return scalar(told, arg, text, None);
        }
        Kind::Signal if text.starts_with("SIG") => match signal(text) {
            Some(n) => told.number(arg, n),
            None => return false,
        },
        Kind::Uid | Kind::Gid | Kind::Mode | Kind::Dev | Kind::Signal | Kind::Unused => {
            return scalar(told, arg, text, None);
        }
        Kind::Addr => return address(told, arg, text),
    }
    true
}

/// The error of this name.
pub(crate) fn errno(name: &str) -> Option<i64> {
    static ERRORS: LazyLock<HashMap<String, i64>> = LazyLock::new(|| {
        let mut errors: HashMap<String, i64> = (1..4096)
            .filter_map(|e| Some((abi::errno_name(e)?.to_owned(), i64::from(e))))
            .collect();
        errors.extend(
            (512..=516).filter_map(|e| Some((abi::print::restart(e)?.0.to_owned(), i64::from(e)))),
        );
        errors
    });
    ERRORS.get(name).copied()
}

/// The number of the signal of this name.
pub(crate) fn signal(name: &str) -> Option<u64> {
    (1..=64).find(|n| {
        let mut text = String::new();
        abi::print::signal_name(*n, &mut text);
        text == name
    })
}

fn scalar(told: &mut Told, arg: usize, text: &str, set: Option<&Flags>) -> bool {
    let value = number(text, set);
    told.number(arg, value.unwrap_or_else(|| sum(text, set).0));
    value.is_some()
}

/// An address, or something at one that we do not read.
fn address(told: &mut Told, arg: usize, text: &str) -> bool {
    match number(text.split(' ').next().unwrap_or_default(), None) {
        Some(v) => told.number(arg, v),
        None => told.pointer(arg),
    }
    true
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

/// `[{iov_base="abc", iov_len=3}, ...]`: the vectors, and the data as far as they are whole.
fn vectors(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let (mut vectors, mut data, mut whole) = (Vec::new(), Vec::new(), true);
    for part in split(inside) {
        let fields = split(part.strip_prefix('{')?.strip_suffix('}')?);
        let field =
            |name: &str| fields.iter().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let len = number(field("iov_len")?, None)?;
        vectors.extend_from_slice(&trace::told::SOMEWHERE.to_le_bytes());
        vectors.extend_from_slice(&len.to_le_bytes());
        match string(field("iov_base")?) {
            Some((bytes, cut)) if whole => {
                whole = !cut;
                data.extend_from_slice(&bytes);
            }
            _ => whole = false,
        }
    }
    Some((vectors, data))
}

/// The bytes of what a pointer leads to; `None` if something of it is left out.
fn pointed(layout: &Layout, text: &str) -> Option<Vec<u8>> {
    match layout.form {
        Form::Text | Form::Opaque => string(text).filter(|(_, cut)| !cut).map(|(bytes, _)| bytes),
        Form::Fds => {
            let parts = split(text.strip_prefix('[')?.strip_suffix(']')?);
            parts
                .iter()
                .map(|p| number(p, None).map(|v| (v as u32).to_le_bytes()))
                .collect::<Option<Vec<_>>>()
                .map(|b| b.concat())
        }
        Form::Struct if layout.fields.len() == 1 && layout.fields[0].name.is_empty() => {
            let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            let value = number(inside, None)?;
            Some(value.to_le_bytes()[..usize::from(layout.fields[0].size)].to_vec())
        }
        Form::Struct => structure(layout, text),
        Form::Array => {
            let parts = split(text.strip_prefix('[')?.strip_suffix(']')?);
            parts
                .iter()
                .map(|p| structure(layout, p))
                .collect::<Option<Vec<_>>>()
                .map(|b| b.concat())
        }
        Form::Sockaddr | Form::SocketName => {
            let fields = split(text.strip_prefix('{')?.strip_suffix('}')?);
            let path = fields.iter().find_map(|f| f.strip_prefix("sun_path="))?;
            let (path, cut) = string(path)?;
            (!cut && !fields.is_empty()).then(|| [&1u16.to_le_bytes()[..], &path, &[0]].concat())
        }
        Form::Data | Form::Host | Form::Dirents | Form::Dirents64 | Form::Names | Form::BitSet => {
            None
        }
    }
}

fn structure(layout: &Layout, text: &str) -> Option<Vec<u8>> {
    // `UTIME_NOW` stands for a whole struct.
    if let Some(v) = number(text, None).filter(|_| text.starts_with("UTIME_")) {
        return Some([0u64.to_le_bytes(), v.to_le_bytes()].concat());
    }
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut bytes = vec![0; layout.size as usize];
    let parts = split(inside);
    if parts.iter().any(|p| p.ends_with("...")) {
        return None;
    }
    for part in parts {
        let (name, value) = part.split_once('=')?;
        let Some(field) = layout.fields.iter().find(|f| f.name == name) else { continue };
        let set = if let Is::Flags(set) = field.is { Some(set) } else { None };
        let Some(value) = number(value, set) else { continue };
        let width = usize::from(field.size).min(8);
        bytes
            .get_mut(field.at as usize..field.at as usize + width)?
            .copy_from_slice(&value.to_le_bytes()[..width]);
    }
    Some(bytes)
}
