//! Names that another user changes, before and in between.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

const OTHER: u32 = 65534;

/// A directory that every user can reach.
fn place() -> tempfile::TempDir {
    let place = tempfile::Builder::new().prefix("reanimator-root-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_made_is_private() {
    let place = place();
    let root = Root::make(&place.path().join("a/b/r")).unwrap();
    assert_eq!(root.path(), place.path().join("a/b/r"));
    assert_eq!(mode(root.path()), 0o700);
    assert!(root.is_empty().unwrap() && !root.is_secluded());
    let fresh = Root::fresh(&place.path().join("f")).unwrap();
    assert_eq!(
        (fresh.path(), mode(&place.path().join("f"))),
        (&*place.path().join("f/root"), 0o700)
    );
    fs::set_permissions(fresh.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Root::open(fresh.path()).unwrap().is_secluded());
    assert!(Root::fresh(&place.path().join("f")).is_err(), "it is there already");
}

/// The name leads elsewhere after it was opened: what was opened is used.
#[test]
fn a_name_that_changes_afterwards() {
    let place = place();
    let (path, elsewhere) = (place.path().join("r"), place.path().join("elsewhere"));
    let root = Root::make(&path).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("precious"), "").unwrap();
    fs::rename(&path, place.path().join("moved")).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(root.is_empty().unwrap());
}

/// Links of our own are followed where no other user can change them; those of others are refused,
/// wherever they stand, and all of those in directories of others.
#[test]
fn links() {
    let place = place();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink("real", at("own")).unwrap();
    assert_eq!(Root::make(&at("own/new")).unwrap().path(), at("real/new"));
    assert!(rustix::process::geteuid().is_root(), "this test gives files away: it needs root");
    symlink("real", at("others")).unwrap();
    std::os::unix::fs::lchown(at("others"), Some(OTHER), None).unwrap();
    for name in ["others", "others/new"] {
        let refused = Root::make(&at(name)).unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
    }
    fs::create_dir_all(at("theirs/below")).unwrap();
    symlink("../../real", at("theirs/below/ours")).unwrap();
    chown(at("theirs"), Some(OTHER), None).unwrap();
    let refused = Root::open(&at("theirs/below/ours")).unwrap_err().to_string();
    assert!(refused.contains("symbolic link"), "{refused}");
    assert!(Root::make(&at("theirs/below/new")).is_ok(), "directories of others can be used");
}
