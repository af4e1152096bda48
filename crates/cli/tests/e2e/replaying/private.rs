//! What a replay leaves where others can reach it: nothing that lets them act as its owner, and
//! nothing more open than was recorded.

use crate::harness::place::{Place, number};
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Modes of all that is below `top`, and whether it has a file capability.
fn modes(top: &Path) -> BTreeMap<PathBuf, (u32, bool)> {
    let mut found = BTreeMap::new();
    let mut stack = vec![top.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let (path, stat) = (entry.path(), entry.metadata().unwrap());
            let mut value = [0; 64];
            let capability = rustix::fs::lgetxattr(&path, "security.capability", &mut value);
            let name = path.strip_prefix(top).unwrap().to_owned();
            if !stat.is_symlink() {
                found.insert(name, (stat.mode() & 0o7777, capability.is_ok()));
            }
            if stat.is_dir() {
                stack.push(path);
            }
        }
    }
    found
}

fn recorded(place: &Place) -> PathBuf {
    assert!(nix::unistd::Uid::effective().is_root(), "this test gives rights: it needs root");
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], [tracee("setid")])).ok("record");
    trace
}

/// Every call that can set such bits, in a root that others can reach: files have none of them, at
/// no time (`withhold::tests`), directories have all; and nothing else differs.
#[test]
fn nothing_that_others_could_use() {
    let place = Place::new();
    let trace = recorded(&place);
    let before = modes(&place.work());
    assert_eq!(before.values().filter(|(mode, _)| mode & 0o6000 != 0).count(), 14, "{before:?}");
    let root = place.path("r");
    let (ran, report) = place.replay(&trace, &root);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(number(&report, "withheld") >= 12, "{report}");
    assert!(report["notes"].to_string().contains("--allow-set-id"), "{report}");
    assert!(number(&report["skipped_by"], "file capability withheld") > 0, "{report}");
    let work = root.join(place.work().strip_prefix("/").unwrap());
    for (name, (mode, capability)) in modes(&work) {
        let was = before[&name].0;
        let directory = work.join(&name).is_dir();
        assert_eq!(mode, if directory { was } else { was & !0o6000 }, "{}", name.display());
        assert!(!capability, "{}", name.display());
    }
}

/// Below a directory that only its owner can enter, and on request, all is as it was.
#[test]
fn all_of_it_where_no_other_user_comes() {
    let place = Place::new();
    let trace = recorded(&place);
    let closed = place.directory("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    for (root, options) in
        [(closed.join("r"), &[][..]), (place.path("open"), &["--allow-set-id"][..])]
    {
        let (ran, report) = place.replay_with(&trace, &root, options);
        assert_eq!((ran.code, number(&report, "withheld")), (Some(0), 0), "{ran:?}");
        let work = root.join(place.work().strip_prefix("/").unwrap());
        assert_eq!(modes(&work), modes(&place.work()));
    }
}

/// What was there before: `prepare` withholds it, and a replay in what it made is the same.
#[test]
fn the_initial_state_too() {
    let place = Place::new();
    assert!(nix::unistd::Uid::effective().is_root(), "this test gives rights: it needs root");
    let program = place.work().join("program");
    fs::copy("/bin/true", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let trace = place.trace("t");
    let script = "stat program >/dev/null; cat program >copy; ls -l";
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", script])).ok("record");
    let root = place.path("r");
    let ran = run(place.reanimator(["prepare", "--root"]).arg(&root).arg(&trace)).ok("prepare");
    assert!(ran.stderr.contains("--allow-set-id"), "{ran:?}");
    let made = root.join(program.strip_prefix("/").unwrap());
    assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, 0o755);
    let (ran, _) = place.replay_with(&trace, &root, &["--prepared"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// Without a name the root is in a directory that only its owner can enter; a named one that is
/// made is its owner's, and so are directories of which no more is known.
#[test]
fn fresh_roots_are_private() {
    let place = Place::new();
    let trace = place.trace("t");
    let slow = "echo x >f; sleep 0.2; echo x >f";
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", slow])).ok("record");
    let temporary = place.directory("temporary");
    let mut replay = place.reanimator(["replay", "-q", "--pace=recorded*5"]);
    let replay = start(replay.env("TMPDIR", &temporary).arg(&trace));
    let made = || fs::read_dir(&temporary).unwrap().next().map(|entry| entry.unwrap().path());
    wait_for("the root", || made().is_some());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&made().unwrap()), 0o700);
    finish(replay, "replay").ok("replay");
    // `/` has a mode that the trace knows, and the program looks at it; the root that is made is
    // private before and after.
    let root = place.path("r");
    run(&mut place.record(&trace, &["--force"], ["/bin/sh", "-c", "stat / >f"])).ok("record");
    let (ran, _) = place.replay(&trace, &root);
    assert_eq!((ran.code, mode(&root)), (Some(0), 0o700), "{ran:?}");
    for dir in place.work().ancestors().skip(1) {
        let there = root.join(dir.strip_prefix("/").unwrap());
        assert!([0o700, mode(dir)].contains(&mode(&there)), "{}", there.display());
    }
    let prepared = place.path("prepared");
    run(place.reanimator(["prepare", "--root"]).arg(&prepared).arg(&trace)).ok("prepare");
    assert_eq!(mode(&prepared), 0o700);
    let (ran, _) = place.replay_with(&trace, &prepared, &["--prepared"]);
    assert_eq!((ran.code, mode(&prepared)), (Some(0), 0o700), "{ran:?}");
}

/// Root records a program that becomes another user: that user passes where it passed.
#[test]
fn other_users_pass() {
    let place = Place::new();
    assert!(nix::unistd::Uid::effective().is_root(), "this test changes users: it needs root");
    let deep = place.work().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f"), "content").unwrap();
    let trace = place.trace("t");
    let script = "setpriv --reuid=65534 --regid=65534 --clear-groups cat a/b/f";
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", script])).ok("record");
    let (ran, report) = place.replay(&trace, &place.path("r"));
    assert_eq!((ran.code, number(&report, "divergences")), (Some(0), 0), "{ran:?}");
}

/// The owner of the directory above puts a link in the root's place: nothing happens behind it.
#[test]
fn a_root_that_another_user_replaced() {
    let place = Place::new();
    assert!(nix::unistd::Uid::effective().is_root(), "this test gives files away: it needs root");
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", "echo x >f"])).ok("record");
    let (theirs, foreign) = (place.directory("theirs"), place.directory("foreign"));
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
    symlink(&foreign, theirs.join("r")).unwrap();
    // A link of root's that was moved there is no better.
    for owner in [65534, 0] {
        std::os::unix::fs::lchown(theirs.join("r"), Some(owner), Some(owner)).unwrap();
        for command in ["replay", "prepare"] {
            for root in [theirs.join("r"), theirs.join("r/new")] {
                let ran = run(place.reanimator([command, "--root"]).arg(root).arg(&trace));
                assert_eq!(ran.code, Some(2), "{ran:?}");
                assert!(ran.stderr.contains("symbolic link"), "{ran:?}");
            }
        }
    }
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 0);
    let ran = run(place.reanimator(["replay", "-q", "--root"]).arg(theirs.join("new")).arg(&trace));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
