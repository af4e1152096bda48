//! What the structs of the kernel show of files: results of stat(2) and listings of directories,
//! decoded by their layouts.

use crate::files::node::{Attributes, Observed};
use crate::files::row::FileType;
use abi::{Field, FieldKind, Form, Layout};

/// Returns the value of an integer field of a struct. Returns `None` if the bytes do not reach that
/// far.
fn read_field(field: &Field, bytes: &[u8]) -> Option<u64> {
    let offset = field.at as usize;
    let raw = bytes.get(offset..offset + field.size as usize)?;
    let mut le_bytes = [0; 8];
    le_bytes.get_mut(..raw.len())?.copy_from_slice(raw);
    Some(u64::from_le_bytes(le_bytes))
}

/// Returns what a struct with a file's mode (`struct stat`, `struct statx`) shows of the file.
/// Returns `None` if the layout is that of another struct, or the mode is missing.
pub fn observed_by_struct(layout: &Layout, bytes: &[u8]) -> Option<Observed> {
    if layout.form != Form::Struct {
        return None;
    }
    let field_of_kind = |kind: FieldKind| {
        layout.fields.iter().find(|f| f.kind == kind).and_then(|f| read_field(f, bytes))
    };
    let mode = field_of_kind(FieldKind::Mode)? as u32;
    let device_field = |name: &str| {
        layout
            .fields
            .iter()
            .find(|f| f.kind == FieldKind::Dev && f.name == name)
            .and_then(|f| read_field(f, bytes))
    };
    let dev = device_field("st_dev").or_else(|| {
        Some(rustix::fs::makedev(
            device_field("stx_dev_major")? as u32,
            device_field("stx_dev_minor")? as u32,
        ))
    });
    Some(Observed {
        kind: FileType::of_mode(mode),
        attributes: Attributes {
            mode: Some(mode & 0o7777),
            uid: field_of_kind(FieldKind::Uid).map(|v| v as u32),
            gid: field_of_kind(FieldKind::Gid).map(|v| v as u32),
            size: field_of_kind(FieldKind::Size),
        },
        id: dev.zip(field_of_kind(FieldKind::Ino)).filter(|id| id.1 != 0),
        links: field_of_kind(FieldKind::Links).map(|v| v as u32),
        target: None,
        not_directory: false,
    })
}

/// Returns the names and types in a buffer of getdents(2) or getdents64(2), without `.` and `..`.
/// An entry that is cut off ends the listing.
pub fn parse_listing(form: Form, bytes: &[u8]) -> Vec<(&[u8], FileType)> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 19 {
        let len = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
        let Some(entry) = rest.get(..len).filter(|e| e.len() >= 19) else { break };
        let (d_type, name) = match form {
            Form::Dirents64 => (entry[18], &entry[19..]),
            _ => (entry[len - 1], &entry[18..len - 1]),
        };
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        if !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') {
            entries.push((name, FileType::of_mode(u32::from(d_type) << 12)));
        }
        rest = &rest[len..];
    }
    entries
}
