use super::tests_support::{call, file, make, row};
use super::*;
use rustix::fs::OFlags;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn restrictive_modes_are_set_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = [
        row("/", FileType::Directory),
        row("/closed", FileType::Directory),
        file("/closed/f", b"secret", 3),
    ];
    rows[1].initial.as_mut().unwrap().mode = Some(0);
    rows[2].initial.as_mut().unwrap().mode = Some(0o4000);
    let done = make(&rows, &[(3, b"secret")], dir.path()).unwrap();
    assert_eq!(done.names, 2);
    let meta = std::fs::metadata(dir.path().join("closed")).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0);
    std::fs::set_permissions(dir.path().join("closed"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("closed/f")).unwrap().mode() & 0o7777, 0o4000);
    std::fs::set_permissions(dir.path().join("closed/f"), PermissionsExt::from_mode(0o600))
        .unwrap();
    assert_eq!(std::fs::read(dir.path().join("closed/f")).unwrap(), b"secret");
}

#[test]
fn holes_stay_holes_and_data_is_allocated() {
    let dir = tempfile::tempdir().unwrap();
    let mut sparse = row("/s", FileType::Regular);
    sparse.file = Some(1);
    sparse.initial.as_mut().unwrap().size = Some(3 << 20);
    sparse.holes = vec![(1 << 20, 1 << 20)];
    sparse.allocated = vec![(2 << 20, 1 << 20)];
    let zeros = vec![0u8; 2 << 20];
    make(&[row("/", FileType::Directory), sparse], &[(1, &zeros)], dir.path()).unwrap();
    let file = std::fs::File::open(dir.path().join("s")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 3 << 20);
    assert_eq!(rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap(), 1 << 20);
    assert_eq!(rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(1 << 20)).unwrap(), 2 << 20);
}

#[test]
fn content_comes_from_parts_of_calls() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [row("/", FileType::Directory), file("/f", b"0123456789", 5)];
    let mut split = call(4, b"56xx");
    split.payloads.push(call(4, b"789").payloads.remove(0));
    let items = || {
        Ok([
            Ok(Item::Call(call(1, b"ab01234"))),
            Ok(Item::Call(call(2, b"other"))),
            Ok(Item::Call(split)),
        ]
        .into_iter())
    };
    let origin = |offset, len, seq, at| Ok(Origin { file: 5, offset, len, seq, at });
    prepare_from(
        &rows,
        None,
        Contents {
            copied: std::iter::empty(),
            origins: [origin(0, 5, 1, 2), origin(5, 2, 4, 0), origin(7, 3, 4, 4)].into_iter(),
            items,
        },
        dir.path(),
        CreateOptions::default(),
        &crate::Quiet,
    )
    .unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"0123456789");
}

#[test]
fn nothing_is_made_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let mut link = row("/out", FileType::Link);
    link.initial.as_mut().unwrap().target = Some(outside.path().as_os_str().as_bytes().to_vec());
    let rows = [row("/", FileType::Directory), link, file("/out/f", b"x", 1)];
    assert!(matches!(make(&rows, &[(1, b"x")], dir.path()), Err(PrepareError::Make { .. })));
    for hostile in ["/a/../../f", "/..", "/.", "//", "relative"] {
        assert!(
            make(
                &[row("/", FileType::Directory), file(hostile, b"x", 1)],
                &[(1, b"x")],
                dir.path()
            )
            .is_err(),
            "{hostile}"
        );
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn long_paths_are_reached_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = vec![row("/", FileType::Directory)];
    let mut path = String::new();
    for _ in 0..30 {
        path += "/";
        path += &"n".repeat(200);
        rows.push(row(&path, FileType::Directory));
    }
    let mut tree = {
        make(&rows, &[], dir.path()).unwrap();
        Tree::open(dir.path()).unwrap()
    };
    assert!(tree.get(path.as_bytes(), OFlags::PATH | OFlags::DIRECTORY).is_ok());
}
