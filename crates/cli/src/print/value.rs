//! Scalars and structs: what an argument's kind and a buffer's layout make of a number and of bytes.

use abi::{Field, Flags, Is, Kind, Layout};

/// An argument that is not followed, as text.
pub fn scalar(kind: Kind, raw: u64) -> String {
    match kind {
        Kind::Int | Kind::Fd | Kind::Pid => (raw as i32).to_string(),
        Kind::DirFd if raw as i32 == abi::AT_FDCWD => "AT_FDCWD".to_owned(),
        Kind::DirFd => (raw as i32).to_string(),
        Kind::Off | Kind::Pos | Kind::Length => (raw as i64).to_string(),
        Kind::Uint | Kind::Size | Kind::PosHigh => raw.to_string(),
        Kind::Uid | Kind::Gid => (raw as i32).to_string(),
        Kind::Mode => format!("{:#05o}", raw as u32).replace("0o", "0"),
        Kind::Signal => super::event::signal_name(raw & 0xffff_ffff),
        Kind::Flags(set) => flags(set, raw),
        _ if raw == 0 => "NULL".to_owned(),
        _ => format!("{raw:#x}"),
    }
}

/// Bits or a value by their names.
pub fn flags(set: &Flags, raw: u64) -> String {
    if set.one_of {
        return set.bits.iter().find(|(v, _)| *v == raw).map_or_else(|| format!("{raw:#x}"), |(_, name)| (*name).to_owned());
    }
    let mut left = raw;
    let mut names = Vec::new();
    if let Some((mask, values)) = set.field {
        if let Some((_, name)) = values.iter().find(|(v, _)| *v == raw & mask) {
            names.push((*name).to_owned());
            left &= !mask;
        }
    }
    for (bits, name) in set.bits {
        if *bits != 0 && left & bits == *bits {
            names.push((*name).to_owned());
            left &= !bits;
        }
    }
    if left != 0 || names.is_empty() {
        names.push(if left == 0 { "0".to_owned() } else { format!("{left:#x}") });
    }
    names.join("|")
}

/// A field's number, or none if the bytes end before it.
pub fn field(f: &Field, bytes: &[u8]) -> Option<u64> {
    let at = f.at as usize;
    let part = bytes.get(at..at + usize::from(f.size))?;
    let mut word = [0; 8];
    word.get_mut(..part.len())?.copy_from_slice(part);
    Some(u64::from_le_bytes(word))
}

/// A struct as text.
pub fn fields(layout: &Layout, bytes: &[u8]) -> String {
    let show = |f: &Field| {
        let raw = field(f, bytes)?;
        let signed = raw.cast_signed() << (64 - u32::from(f.size) * 8) >> (64 - u32::from(f.size) * 8);
        let text = match f.is {
            Is::Pad => return None,
            Is::Int | Is::Fd | Is::Pid | Is::Time => signed.to_string(),
            Is::Mode => format!("{raw:#08o}").replace("0o", "0"),
            Is::Flags(set) => flags(set, raw),
            Is::Addr | Is::Dev => format!("{raw:#x}"),
            _ => raw.to_string(),
        };
        Some(format!("{}={text}", f.name))
    };
    let shown: Vec<String> = layout.fields.iter().filter_map(show).collect();
    format!("{{{}}}", shown.join(", "))
}
