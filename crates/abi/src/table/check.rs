//! Assertions about the table that are evaluated at compile time.

use crate::{CallSpec, Kind, Len, Row};

/// Panics, at compile time, unless the rows are sorted by unique numbers and each variant, length
/// and path refers to an argument of a suitable kind.
pub(super) const fn assert_valid(table: &[Row]) {
    let mut i = 0;
    while i < table.len() {
        let row = &table[i];
        assert!(
            i == 0 || table[i - 1].number < row.number,
            "the table must be sorted and unique by number"
        );
        assert_valid_shape(&row.spec);
        let mut v = 0;
        while v < row.variants.len() {
            assert!(
                (row.selector as usize) < row.spec.args.len(),
                "variants hang on an argument that exists"
            );
            assert_valid_shape(&row.variants[v].1);
            v += 1;
        }
        i += 1;
    }
}

/// Panics if a length, a count or a directory descriptor refers to an argument that is missing or
/// has an unsuitable kind.
const fn assert_valid_shape(spec: &CallSpec) {
    assert!(spec.args.len() <= 6, "at most six arguments");
    let mut a = 0;
    while a < spec.args.len() {
        match spec.args[a].kind {
            Kind::In(Len::Ret { .. }, _) => panic!("an input cannot be sized by the result"),
            Kind::In(len, _) | Kind::Out(len, _) | Kind::InOut(len, _) => {
                assert_valid_length(spec, len);
            }
            Kind::InIov { count }
            | Kind::OutIov { count }
            | Kind::InMsgs { count }
            | Kind::OutMsgs { count }
            | Kind::Iocbs { count } => {
                assert!(is_number(spec, count), "a vector is counted by a number");
            }
            Kind::Path(p) => {
                if let Some(dir) = p.dir {
                    assert!(
                        (dir as usize) < spec.args.len()
                            && matches!(spec.args[dir as usize].kind, Kind::DirFd),
                        "a path starts from a directory descriptor"
                    );
                }
            }
            _ => {}
        }
        a += 1;
    }
}

/// Panics if `len` refers to an argument that is missing or is not a number (for [`Len::Deref`]:
/// not a pointer to a `u32` that the call updates).
const fn assert_valid_length(spec: &CallSpec, len: Len) {
    match len {
        Len::Fixed(_) | Len::Head { .. } | Len::Ret { max: None, .. } => {}
        Len::Arg { n, .. } | Len::Ret { max: Some(n), .. } | Len::Bits { n } => {
            assert!(is_number(spec, n), "a length is a number");
        }
        Len::Deref { n, .. } => {
            assert!((n as usize) < spec.args.len(), "a length refers to an argument that exists");
            assert!(
                matches!(spec.args[n as usize].kind, Kind::InOut(Len::Fixed(4), _)),
                "a length in memory is a u32 going in and out"
            );
        }
    }
}

/// Returns whether argument `n` exists and is a number.
const fn is_number(spec: &CallSpec, n: u8) -> bool {
    (n as usize) < spec.args.len()
        && matches!(spec.args[n as usize].kind, Kind::Size | Kind::Int | Kind::Uint)
}
