use super::*;
use crate::initial::tests_support::{file, make, row};
use model::files::{Known, digest};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// A prepared tree, and the manifest of just this tree.
fn tree() -> (tempfile::TempDir, Vec<Row>) {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = vec![
        row("/", FileType::Directory),
        row("/d", FileType::Directory),
        file("/d/a", b"hello", 1),
        file("/d/b", b"world", 2),
        row("/d/dangling", FileType::Link),
        row("/d/fifo", FileType::Fifo),
        row("/d/hard", FileType::Regular),
        row("/d/lonely", FileType::Regular),
    ];
    rows[4].initial.as_mut().unwrap().target = Some(b"/nowhere".to_vec());
    for i in [2, 6] {
        let state = rows[i].initial.as_mut().unwrap();
        (state.group, state.size) = (Some(7), Some(5));
    }
    rows[3].initial.as_mut().unwrap().mode = Some(0o600);
    make(&rows, &[(1, b"hello"), (2, b"world")], dir.path()).unwrap();
    for row in &mut rows {
        let path = dir.path().join(std::str::from_utf8(&row.path[1..]).unwrap());
        let mut state = row.initial.clone().unwrap();
        let mut content = Content::None;
        if state.kind == FileType::Regular {
            state.links = Some(if state.group.is_some() { 2 } else { 1 });
            let file = std::fs::File::open(&path).unwrap();
            let size = file.metadata().unwrap().len();
            content = Content::Hash(digest(&file, Known::Whole, size).unwrap());
        }
        row.last = Final::Present(state, content);
    }
    (dir, rows)
}

fn differences(change: impl FnOnce(PathBuf)) -> Vec<String> {
    let (dir, rows) = tree();
    change(dir.path().to_owned());
    compare_tree(&rows, dir.path(), CompareOptions::default(), &mut |_, _| {})
        .unwrap()
        .differences
        .iter()
        .map(|d| format!("{} {}", d.path.escape_ascii(), d.what))
        .collect()
}

#[test]
fn a_prepared_tree_is_equal() {
    let (dir, rows) = tree();
    let report =
        compare_tree(&rows, dir.path(), CompareOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(report.differences, []);
    assert_eq!(report.compared, 8);
}

#[test]
fn each_change_is_named() {
    assert_eq!(differences(|d| std::fs::write(d.join("d/b"), b"worle").unwrap()), ["/d/b content"]);
    assert_eq!(differences(|d| std::fs::write(d.join("d/b"), b"worlds").unwrap()), ["/d/b size"]);
    assert_eq!(differences(|d| std::fs::write(d.join("d/new"), b"").unwrap()), ["/d/new presence"]);
    assert_eq!(differences(|d| std::fs::create_dir_all(d.join("x/y")).unwrap()), ["/x presence"]);
    assert_eq!(
        differences(|d| std::fs::remove_file(d.join("d/fifo")).unwrap()),
        ["/d/fifo presence"]
    );
    assert_eq!(
        differences(
            |d| std::fs::set_permissions(d.join("d/b"), PermissionsExt::from_mode(0o640)).unwrap()
        ),
        ["/d/b mode"]
    );
    assert_eq!(
        differences(
            |d| std::fs::set_permissions(d.join("d"), PermissionsExt::from_mode(0o1755)).unwrap()
        ),
        ["/d mode"]
    );
    assert_eq!(
        differences(|d| std::fs::hard_link(d.join("d/b"), d.join("d/c")).unwrap()),
        ["/d/b links", "/d/c presence"]
    );
    let unlinked = |d: PathBuf| {
        std::fs::remove_file(d.join("d/hard")).unwrap();
        std::fs::write(d.join("d/hard"), b"hello").unwrap();
        std::fs::set_permissions(d.join("d/hard"), PermissionsExt::from_mode(0o644)).unwrap();
    };
    assert_eq!(differences(unlinked), ["/d/a links", "/d/hard names", "/d/hard links"]);
    let linked = |d: PathBuf| {
        std::fs::remove_file(d.join("d/lonely")).unwrap();
        std::fs::hard_link(d.join("d/a"), d.join("d/lonely")).unwrap();
    };
    assert_eq!(
        differences(linked),
        ["/d/a links", "/d/hard links", "/d/lonely names", "/d/lonely links", "/d/lonely size"]
    );
    let retarget = |d: PathBuf| {
        std::fs::remove_file(d.join("d/dangling")).unwrap();
        symlink("/somewhere", d.join("d/dangling")).unwrap();
    };
    assert_eq!(differences(retarget), ["/d/dangling target"]);
    let retype = |d: PathBuf| {
        std::fs::remove_file(d.join("d/b")).unwrap();
        std::fs::create_dir(d.join("d/b")).unwrap();
    };
    assert_eq!(differences(retype), ["/d/b type"]);
    let attribute = |d: PathBuf| {
        let file = std::fs::File::open(d.join("d/b")).unwrap();
        rustix::fs::fsetxattr(&file, "user.note", b"x", rustix::fs::XattrFlags::empty()).unwrap();
    };
    assert_eq!(differences(attribute), ["/d/b xattr user.note"]);
}

#[test]
fn a_link_is_not_followed_out() {
    let (dir, rows) = tree();
    std::fs::remove_dir_all(dir.path().join("d")).unwrap();
    symlink("/etc", dir.path().join("d")).unwrap();
    let report =
        compare_tree(&rows, dir.path(), CompareOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(report.differences[0].what, "type");
    assert!(
        report.differences.iter().skip(1).all(|d| d.what == "presence")
            || report.excluded.len() == 6,
        "{report:?}"
    );
}
