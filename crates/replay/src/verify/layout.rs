//! Comparison of structs field by field, and of lists of names.

use super::{Mismatch, Rules, show_bytes};
use abi::{Field, FieldKind, Form, Layout};
use model::files::FileType;
use sandbox::{CAPABILITY, SET_ID};
use std::collections::BTreeSet;

/// Returns the value of a field. Returns `None` if the bytes do not reach so far.
fn field_value(field: &Field, bytes: &[u8]) -> Option<u64> {
    let at = field.at as usize;
    let mut word = [0; 8];
    let size = usize::from(field.size).min(8);
    word[..size].copy_from_slice(bytes.get(at..at + size)?);
    Some(u64::from_le_bytes(word))
}

/// Compares a struct, or an array of structs, field by field, as far as both are present.
pub(super) fn compare_structs(
    name: &str,
    layout: &Layout,
    recorded: &[u8],
    got: &[u8],
    rules: &Rules,
) -> Option<Mismatch> {
    let size = (layout.size as usize).max(1);
    let several = layout.form == Form::Array;
    let count = if several { recorded.len() / size } else { 1 };
    for n in 0..count {
        let (a, b) = (recorded.get(n * size..)?, got.get(n * size..)?);
        let directory = layout.fields.iter().filter(|f| f.kind == FieldKind::Mode).any(|f| {
            field_value(f, a).is_some_and(|m| FileType::of_mode(m as u32) == FileType::Directory)
        });
        let inode =
            layout.fields.iter().find(|f| f.kind == FieldKind::Ino).and_then(|f| field_value(f, b));
        let links_elsewhere_here =
            inode.and_then(|inode| rules.links_elsewhere.get(&inode).copied()).unwrap_or(0);
        for field in layout.fields {
            let (Some(expected), Some(found)) = (field_value(field, a), field_value(field, b))
            else {
                continue;
            };
            let compared = match field.kind {
                FieldKind::Int | FieldKind::Uint | FieldKind::Mode | FieldKind::Flags(_) => true,
                // Of network addresses and machine names, which no performed call brings back.
                FieldKind::Text => false,
                FieldKind::Size | FieldKind::Links => !directory,
                FieldKind::Uid | FieldKind::Gid => rules.owners,
                FieldKind::Dev
                | FieldKind::Ino
                | FieldKind::Time
                | FieldKind::Host
                | FieldKind::Fd
                | FieldKind::Pid
                | FieldKind::Addr
                | FieldKind::Pad => false,
            };
            let found =
                if field.kind == FieldKind::Links { found + links_elsewhere_here } else { found };
            // What is withheld was not set here; what is not withheld is compared.
            let withheld = field.kind == FieldKind::Mode
                && rules.withhold
                && !directory
                && expected & !u64::from(SET_ID) == found;
            if compared && expected != found && !withheld {
                let index = if several { format!("[{n}]") } else { String::new() };
                return Some(Mismatch::new(
                    format!("{name}{index}.{}", field.name),
                    show_field(field, expected),
                    show_field(field, found),
                ));
            }
        }
    }
    None
}

/// Formats the value of a field for the report.
fn show_field(field: &Field, value: u64) -> String {
    match field.kind {
        FieldKind::Mode => format!("0{value:o}"),
        FieldKind::Flags(_) => format!("{value:#x}"),
        FieldKind::Int if field.size == 4 => (value as u32 as i32).to_string(),
        FieldKind::Int => (value as i64).to_string(),
        _ => value.to_string(),
    }
}

/// Returns why an extended attribute of this name is neither performed nor compared, as no program
/// set it. Returns `None` for other names.
pub(crate) fn incomparable_xattr(name: &[u8]) -> Option<&'static str> {
    if name.starts_with(b"security.") && name != CAPABILITY {
        return Some("security module");
    }
    // How XFS shows ACLs to the superuser, beside the names that all file systems have for them.
    name.starts_with(b"trusted.SGI_ACL_").then_some("attribute of the recorded file system")
}

/// Compares lists of NUL-terminated names as sets. Names that no program set, and those that are
/// withheld, are left out.
pub(super) fn compare_names(
    name: &str,
    recorded: &[u8],
    got: &[u8],
    rules: &Rules,
) -> Option<Mismatch> {
    fn listed<'a>(bytes: &'a [u8], rules: &Rules) -> BTreeSet<&'a [u8]> {
        let compared = |n: &&[u8]| match *n {
            CAPABILITY => !rules.withhold,
            n => !n.is_empty() && incomparable_xattr(n).is_none(),
        };
        bytes.split(|b| *b == 0).filter(compared).collect()
    }
    let (expected, found) = (listed(recorded, rules), listed(got, rules));
    let line =
        |names: &BTreeSet<&[u8]>| names.iter().map(|n| show_bytes(n)).collect::<Vec<_>>().join(" ");
    (expected != found).then(|| Mismatch::new(name, line(&expected), line(&found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_set_are_left_out() {
        let xfs = b"user.a\0system.posix_acl_access\0trusted.SGI_ACL_FILE\0security.selinux\0";
        let ext4 = b"system.posix_acl_access\0user.a\0";
        let rules = Rules { owners: true, withhold: false, links_elsewhere: Default::default() };
        assert_eq!(compare_names("list", xfs, ext4, &rules), None);
        assert!(compare_names("list", xfs, b"user.a\0", &rules).is_some());
        assert!(incomparable_xattr(b"trusted.overlay.opaque").is_none());
        assert!(incomparable_xattr(b"security.capability").is_none());
    }
}
