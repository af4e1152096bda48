//! Converts directory entries: the original library records those of `getdents`, current programs
//! call `getdents64`. Entries have the same length in both: the type is before the name in
//! `getdents64`, and at the end of the entry in `getdents`.

use abi::{Arg, Form, Kind, Row};
use std::borrow::Cow;

/// The offset in an entry of its length in bytes (`d_reclen`).
const LENGTH_OFFSET: usize = 16;
/// The offset in an entry of the name in the older format.
const OLD_NAME_OFFSET: usize = 18;

/// Returns the offset and the length of each directory entry, up to the first that is damaged or
/// cut.
fn entry_ranges(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let len = bytes.get(start + LENGTH_OFFSET..start + LENGTH_OFFSET + 2)?;
        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
        next = start + len;
        (len > OLD_NAME_OFFSET + 1 && next <= bytes.len()).then_some((start, len))
    })
}

/// Returns whether these are entries of getdents(2). They have the first letter of the name where
/// those of getdents64(2) have the type, and the type where those have the end of the padding.
pub(crate) fn is_old_format(bytes: &[u8]) -> bool {
    let mut has_letter = false;
    entry_ranges(bytes)
        .for_each(|(start, len)| has_letter |= bytes[start + OLD_NAME_OFFSET] > 15 && len > 0);
    has_letter
}

/// Converts directory entries to the format that the call of this row returns.
pub(crate) fn convert_for_call<'a>(row: &Row, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    let is_old = |a: &Arg| matches!(a.kind, Kind::Out(_, l) if l.form == Form::Dirents);
    let old = row.spec.args.iter().any(is_old);
    match (old, is_old_format(bytes)) {
        (false, true) => Cow::Owned(convert(bytes, false)),
        (true, false) => Cow::Owned(convert(bytes, true)),
        _ => Cow::Borrowed(bytes),
    }
}

/// Converts directory entries to the other format: to that of getdents(2) if `to_old`, else to that
/// of getdents64(2).
pub(crate) fn convert(bytes: &[u8], to_old: bool) -> Vec<u8> {
    let mut converted = bytes.to_vec();
    for (start, len) in entry_ranges(bytes) {
        let (name, last) = (start + OLD_NAME_OFFSET, start + len - 1);
        if to_old {
            converted[name..last].copy_from_slice(&bytes[name + 1..=last]);
            converted[last] = bytes[name];
        } else {
            converted[name + 1..=last].copy_from_slice(&bytes[name..last]);
            converted[name] = bytes[last];
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: u8, old: bool) -> Vec<u8> {
        let len = (name.len() + 20).next_multiple_of(8);
        let mut bytes = vec![7; LENGTH_OFFSET];
        bytes.extend_from_slice(&(len as u16).to_le_bytes());
        if !old {
            bytes.push(kind);
        }
        bytes.extend_from_slice(name);
        bytes.resize(len, 0);
        if old {
            bytes[len - 1] = kind;
        }
        bytes
    }

    #[test]
    fn both_forms_tell_the_same() {
        let all = |old| {
            [(&b"."[..], 4), (b"a name", 8), (b"x", 0), (b"long enough for more", 10)]
                .iter()
                .flat_map(|(name, kind)| entry(name, *kind, old))
                .collect::<Vec<_>>()
        };
        let (old, new) = (all(true), all(false));
        assert!(is_old_format(&old) && !is_old_format(&new));
        assert_eq!((convert(&new, true), convert(&old, false)), (old.clone(), new));
        // What is cut or nonsense is left as it is.
        assert_eq!(convert(&old[..30], false)[24..], old[24..30]);
        assert!(!is_old_format(&[]) && convert(&[0; 40], true) == [0; 40]);
    }
}
