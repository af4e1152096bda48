//! Random operations.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Open(String, u32),
    Read(usize, usize, Option<u64>),
    Write(usize, usize, Option<u64>),
    Seek(usize, u64),
    Resize(usize, u64),
    Truncate(String, u64),
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    Readlink(String),
    Stat(String, bool),
    List(usize),
    Chmod(String, u32),
    Close(usize),
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => Just("a"), 4 => Just("b"), 3 => Just("c"), 1 => Just(".")];
    (
        prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")],
        proptest::collection::vec(part, 0..3),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(first, rest, slash)| {
            let mut path = first.to_owned();
            for part in rest {
                path = path + "/" + part;
            }
            if slash { path + "/" } else { path }
        })
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![path(), path().prop_map(|p| format!("../{p}"))]
}

/// One operation.
pub(super) fn op() -> impl Strategy<Value = Op> {
    let flags = prop::sample::select(vec![
        0, 2, 1, 0o102, 0o302, 0o1102, 0o1001, 0o2001, 0o2101, 0o200_000, 0o400_000,
    ]);
    let at = || prop::option::of(0u64..50);
    prop_oneof![
        6 => (path(), flags).prop_map(|(p, f)| Op::Open(p, f)),
        5 => (0usize..4, 1usize..40, at()).prop_map(|(s, n, at)| Op::Read(s, n, at)),
        5 => (0usize..4, 1usize..40, at()).prop_map(|(s, n, at)| Op::Write(s, n, at)),
        1 => (0usize..4, 0u64..40).prop_map(|(s, to)| Op::Seek(s, to)),
        1 => (0usize..4, 0u64..40).prop_map(|(s, to)| Op::Resize(s, to)),
        1 => (path(), 0u64..40).prop_map(|(p, to)| Op::Truncate(p, to)),
        2 => path().prop_map(Op::Mkdir),
        1 => path().prop_map(Op::Rmdir),
        2 => path().prop_map(Op::Unlink),
        3 => (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
        2 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        1 => (target(), path()).prop_map(|(a, b)| Op::Symlink(a, b)),
        1 => path().prop_map(Op::Readlink),
        4 => (path(), any::<bool>()).prop_map(|(p, f)| Op::Stat(p, f)),
        2 => (0usize..4).prop_map(Op::List),
        1 => (path(), prop::sample::select(vec![0o600u32, 0o755, 0o4711]))
            .prop_map(|(p, m)| Op::Chmod(p, m)),
        2 => (0usize..4).prop_map(Op::Close),
    ]
}

/// An operation on names.
pub(super) fn name() -> impl Strategy<Value = Op> {
    let flags = prop::sample::select(vec![0, 0o102, 0o302, 0o2101, 0o200_000, 0o400_000]);
    prop_oneof![
        3 => (path(), flags).prop_map(|(p, f)| Op::Open(p, f)),
        3 => path().prop_map(Op::Mkdir),
        1 => path().prop_map(Op::Rmdir),
        2 => path().prop_map(Op::Unlink),
        6 => (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
        3 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        4 => (target(), path()).prop_map(|(a, b)| Op::Symlink(a, b)),
        1 => path().prop_map(Op::Readlink),
        3 => (path(), any::<bool>()).prop_map(|(p, f)| Op::Stat(p, f)),
    ]
}
