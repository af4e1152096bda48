//! What the kernel's structs tell of files: stat results and directory listings, read by their
//! layouts.

use crate::files::node::{Attributes, Observed};
use crate::files::row::FileType;
use abi::{Field, FieldKind, Form, Layout};

/// Returns a field of a struct as a number.
fn number(field: &Field, bytes: &[u8]) -> Option<u64> {
    let at = field.at as usize;
    let raw = bytes.get(at..at + field.size as usize)?;
    let mut wide = [0; 8];
    wide.get_mut(..raw.len())?.copy_from_slice(raw);
    Some(u64::from_le_bytes(wide))
}

/// Returns what a struct with a file's mode (`struct stat`, `struct statx`) shows of the file.
pub fn seen(layout: &Layout, bytes: &[u8]) -> Option<Observed> {
    if layout.form != Form::Struct {
        return None;
    }
    let find = |kind: FieldKind| {
        layout.fields.iter().find(|f| f.kind == kind).and_then(|f| number(f, bytes))
    };
    let mode = find(FieldKind::Mode)? as u32;
    let device = |name: &str| {
        layout
            .fields
            .iter()
            .find(|f| f.kind == FieldKind::Dev && f.name == name)
            .and_then(|f| number(f, bytes))
    };
    let dev = device("st_dev").or_else(|| {
        Some(rustix::fs::makedev(device("stx_dev_major")? as u32, device("stx_dev_minor")? as u32))
    });
    Some(Observed {
        kind: FileType::of_mode(mode),
        attributes: Attributes {
            mode: Some(mode & 0o7777),
            uid: find(FieldKind::Uid).map(|v| v as u32),
            gid: find(FieldKind::Gid).map(|v| v as u32),
            size: find(FieldKind::Size),
        },
        id: dev.zip(find(FieldKind::Ino)).filter(|id| id.1 != 0),
        links: find(FieldKind::Links).map(|v| v as u32),
        target: None,
        leaf: false,
    })
}

/// Returns the names and types of a directory listing, without `.` and `..`.
pub fn listing(form: Form, bytes: &[u8]) -> Vec<(&[u8], FileType)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 19 {
        let len = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
        let Some(entry) = rest.get(..len).filter(|e| e.len() >= 19) else { break };
        let (kind, name) = match form {
            Form::Dirents64 => (entry[18], &entry[19..]),
            _ => (entry[len - 1], &entry[18..len - 1]),
        };
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        if !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') {
            found.push((name, FileType::of_mode(u32::from(kind) << 12)));
        }
        rest = &rest[len..];
    }
    found
}
