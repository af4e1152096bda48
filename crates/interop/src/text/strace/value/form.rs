//! Parses what a pointer leads to.

use super::text::parse_string;
use super::words::{parse_number, signal_by_name};
use crate::text::strace::lexer::split::split;
use abi::{FieldKind, Form, Layout};
use linux_raw_sys::general::*;

/// Returns the bytes that a pointer leads to. Returns `None` if strace left some of them out.
pub(crate) fn parse_pointee(layout: &Layout, text: &str) -> Option<Vec<u8>> {
    match layout.form {
        Form::Text | Form::Opaque => {
            parse_string(text).filter(|(_, cut)| !cut).map(|(bytes, _)| bytes)
        }
        Form::Fds => {
            let parts = split(text.strip_prefix('[')?.strip_suffix(']')?);
            parts
                .iter()
                .map(|p| parse_number(p, None).map(|v| (v as u32).to_le_bytes()))
                .collect::<Option<Vec<_>>>()
                .map(|b| b.concat())
        }
        Form::Struct if layout.fields.len() == 1 && layout.fields[0].name.is_empty() => {
            let field = &layout.fields[0];
            let value = match field.kind {
                FieldKind::Flags(set) => parse_number(text, Some(set)),
                _ => parse_number(strip_brackets(text, '[', ']').unwrap_or(text), None),
            }?;
            Some(value.to_le_bytes()[..usize::from(field.size)].to_vec())
        }
        Form::Struct => parse_struct(layout, text),
        Form::Array => {
            let parts = split(text.strip_prefix('[')?.strip_suffix(']')?);
            parts
                .iter()
                .map(|p| parse_struct(layout, p))
                .collect::<Option<Vec<_>>>()
                .map(|b| b.concat())
        }
        Form::Sockaddr | Form::SocketName => {
            let fields = split(text.strip_prefix('{')?.strip_suffix('}')?);
            let path = fields.iter().find_map(|f| f.strip_prefix("sun_path="))?;
            let (path, cut) = parse_string(path)?;
            (!cut && !fields.is_empty()).then(|| [&1u16.to_le_bytes()[..], &path, &[0]].concat())
        }
        Form::Dirents64 => parse_dirents(text),
        Form::Host | Form::Names => {
            parse_string(text).filter(|(_, cut)| !cut).map(|(bytes, _)| bytes)
        }
        Form::Data | Form::Dirents | Form::BitSet => None,
    }
}

/// Returns the text between two brackets, or `None` if it is not between them.
fn strip_brackets(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// Returns the bytes of a struct. Returns `None` if a field has a value that is unknown or was cut.
fn parse_struct(layout: &Layout, text: &str) -> Option<Vec<u8>> {
    // `UTIME_NOW` stands for a whole struct.
    if let Some(v) = parse_number(text, None).filter(|_| text.starts_with("UTIME_")) {
        return Some([0u64.to_le_bytes(), v.to_le_bytes()].concat());
    }
    let mut bytes = vec![0; layout.size as usize];
    parse_fields(layout, "", text, &mut bytes)?;
    Some(bytes)
}

/// Writes the fields that `text` names into `bytes`. `prefix` is the path of the struct within the
/// outer struct, with a dot at its end. Fields that the layout lacks are skipped. Returns `None` if
/// `text` is no struct, or a field has a value that is unknown or was cut.
fn parse_fields(layout: &Layout, prefix: &str, text: &str, bytes: &mut [u8]) -> Option<()> {
    for part in split(strip_brackets(text, '{', '}')?) {
        let (name, value) = part.split_once('=')?;
        let name = format!("{prefix}{name}");
        let field = layout.fields.iter().find(|f| f.name == name || f.name == format!("{name}_"));
        let Some(field) = field else {
            let within = format!("{name}.");
            if layout.fields.iter().any(|f| f.name.starts_with(&within)) {
                parse_fields(layout, &within, value, bytes)?;
            }
            continue;
        };
        let (offset, width) = (field.at as usize, usize::from(field.size));
        let target = bytes.get_mut(offset..offset + width)?;
        if field.kind == FieldKind::Text {
            let (text, cut) = parse_string(value)?;
            let end = text.len().min(width);
            target[..end].copy_from_slice(&text[..end]);
            if cut {
                return None;
            }
            continue;
        }
        let set = if let FieldKind::Flags(set) = field.kind { Some(set) } else { None };
        let value = match field.kind {
            FieldKind::Flags(set) if set.name == "SIG" && value.starts_with("SIG") => {
                signal_by_name(value)
            }
            _ => parse_number(value, set).or_else(|| parse_fsid(value)),
        }?;
        let width = width.min(8);
        target[..width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    Some(())
}

/// Parses `{val=[0x1, 0x2]}`, as strace prints the id of a file system.
fn parse_fsid(text: &str) -> Option<u64> {
    let words = strip_brackets(strip_brackets(text, '{', '}')?.strip_prefix("val=")?, '[', ']')?;
    let (low, high) = words.split_once(", ")?;
    Some(parse_number(low, None)? & 0xffff_ffff | parse_number(high, None)? << 32)
}

/// Returns the entries of a directory, in the format of getdents64(2).
fn parse_dirents(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in split(strip_brackets(text, '[', ']')?) {
        let fields = split(strip_brackets(&part, '{', '}')?);
        let field =
            |name: &str| fields.iter().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| parse_number(field(name)?, None);
        let len = usize::try_from(number("d_reclen")?).ok().filter(|len| *len < 1 << 16)?;
        let (name, _) = parse_string(field("d_name")?).filter(|(_, cut)| !cut)?;
        let file_type = TYPES.iter().find(|(name, _)| Some(*name) == field("d_type"));
        let file_type =
            file_type.map(|(_, number)| *number).or_else(|| number("d_type")?.try_into().ok())?;
        let start = bytes.len();
        bytes.extend_from_slice(&number("d_ino")?.to_le_bytes());
        bytes.extend_from_slice(&number("d_off")?.to_le_bytes());
        bytes.extend_from_slice(&(len as u16).to_le_bytes());
        bytes.push(file_type);
        bytes.extend_from_slice(&name);
        if bytes.len() - start >= len {
            return None;
        }
        bytes.resize(start + len, 0);
    }
    Some(bytes)
}

macro_rules! types {
    ($($name:ident)+) => { &[$((stringify!($name), $name as u8)),+] };
}
const TYPES: &[(&str, u8)] =
    types! { DT_UNKNOWN DT_FIFO DT_CHR DT_DIR DT_BLK DT_REG DT_LNK DT_SOCK };
