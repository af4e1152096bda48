//! Converts directory entries: the original library records those of `getdents`, current programs
//! call `getdents64`. Entries have the same length in both: the type is before the name in
//! `getdents64`, and at the end of the entry in `getdents`.

use abi::{Arg, Form, Kind, Row};
use std::borrow::Cow;

/// Where the number of bytes of an entry stands.
const LENGTH: usize = 16;
/// Where the name stands in the older form.
const NAME: usize = 18;

/// Returns the start and end of each directory entry. The last one may be cut.
fn entry_ranges(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let len = bytes.get(start + LENGTH..start + LENGTH + 2)?;
        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
        at = start + len;
        (len > NAME + 1 && at <= bytes.len()).then_some((start, len))
    })
}

/// Returns whether these are entries of getdents(2). They have the first letter of the name where
/// those of getdents64(2) have the type, and the type where those have the end of the padding.
pub(crate) fn is_old_format(bytes: &[u8]) -> bool {
    let mut some = false;
    entry_ranges(bytes).for_each(|(at, len)| some |= bytes[at + NAME] > 15 && len > 0);
    some
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

/// Converts directory entries to the other format.
pub(crate) fn convert(bytes: &[u8], to_old: bool) -> Vec<u8> {
    let mut converted = bytes.to_vec();
    for (at, len) in entry_ranges(bytes) {
        let (name, end) = (at + NAME, at + len - 1);
        if to_old {
            converted[name..end].copy_from_slice(&bytes[name + 1..=end]);
            converted[end] = bytes[name];
        } else {
            converted[name + 1..=end].copy_from_slice(&bytes[name..end]);
            converted[name] = bytes[end];
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: u8, old: bool) -> Vec<u8> {
        let len = (name.len() + 20).next_multiple_of(8);
        let mut bytes = vec![7; LENGTH];
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
