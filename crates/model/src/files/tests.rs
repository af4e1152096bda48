//! Checks what hand-made calls prove of the initial state.

mod links;
mod unrecorded;

use super::manifest;
use super::*;
use abi::plan::RESULT;
use row::State;
use std::path::Path;
use trace::Payload;
use trace::record::{AT_EXIT, CREATED, CREATED_KNOWN, Identity};
use zerocopy::IntoBytes;

const CWD: u64 = abi::AT_FDCWD as u64;
const BEGAN: u64 = 1_000_000_000_000;
const O_CREAT: u64 = 0o100;

/// A complete payload that was read at the exit.
fn payload(arg: u8, kind: PayloadKind, bytes: &[u8]) -> Payload {
    Payload {
        arg,
        kind,
        flags: AT_EXIT,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: bytes.into(),
    }
}

/// Returns the events of a new process whose working directory is `/w`, then these calls. They are
/// numbered from 1, and follow one another unless they have times.
fn items_of_new_process(calls: Vec<Call>) -> Vec<Item> {
    let directory = Identity { mode: 0o40755, fs_type: 0xef53, ..Identity::default() };
    let cwd =
        payload(WORKING_DIRECTORY, PayloadKind::Identity, &[directory.as_bytes(), b"/w"].concat());
    let event = |kind, payloads| {
        Item::Event(Event { time: 0, kind, pid: 1, tid: 1, args: [0; 6], payloads })
    };
    let mut items = vec![event(RecordKind::Start, Vec::new()), event(RecordKind::State, vec![cwd])];
    for (mut call, seq) in calls.into_iter().zip(1..) {
        (call.seq, call.entered) = (seq, call.entered.max(seq * 10));
        call.exited = call.exited.or(Some(call.entered + 5));
        items.push(Item::Call(call));
    }
    items
}

/// Returns a call with this result. `paths` are path arguments, by the index of the argument.
fn call(name: &str, args: [u64; 6], ret: i64, paths: &[(u8, &str)]) -> Call {
    let nr = abi::by_name(name).unwrap().number;
    let payloads = paths
        .iter()
        .map(|(arg, path)| payload(*arg, PayloadKind::String, path.as_bytes()))
        .collect();
    Call {
        seq: 0,
        entered: 0,
        exited: None,
        pid: 1,
        tid: 1,
        nr,
        flags: 0,
        args,
        ret,
        fd_snapshot: Default::default(),
        payloads,
    }
}

/// Returns an openat(2) of `f` in `/w` that returned `fd`, where the recorder saw this identity.
fn open_call(flags: u64, fd: i64, identity: Identity) -> Call {
    let identity =
        Identity { dev: 1, ino: 7, mode: 0o100_644, links: 1, fs_type: 0xef53, ..identity };
    let mut open = call("openat", [CWD, 1, flags, 0o644, 0, 0], fd, &[(1, "f")]);
    open.payloads.push(payload(
        RESULT,
        PayloadKind::Identity,
        &[identity.as_bytes(), b"/w/f"].concat(),
    ));
    open
}

/// Returns the initial state that follows from these calls for a path, without a live file system.
fn initial_state_of(calls: Vec<Call>, path: &str) -> Option<State> {
    let dir = tempfile::tempdir().unwrap();
    let mut origins = OriginSorter::new(OriginWriter::new(Box::new(
        std::fs::File::create(dir.path().join("initial")).unwrap(),
    )));
    let about = InferenceInput { began: BEGAN, ..InferenceInput::default() };
    let (mut facts, _) =
        apply_items(items_of_new_process(calls).into_iter().map(Ok), &about, &mut origins).unwrap();
    let rows = manifest::build(&mut facts.names, &facts.unnamed, None, false, None)
        .expect("nothing is written")
        .rows;
    rows.into_iter()
        .find(|row| Path::new(std::str::from_utf8(&row.path).unwrap()) == Path::new(path))
        .and_then(|row| row.initial)
}

#[test]
fn what_the_kernel_says_of_an_open_counts_for_more_than_births() {
    let opened = |created, born, size| {
        initial_state_of(
            vec![open_call(O_CREAT, 3, Identity { created, born, size, ..Identity::default() })],
            "/w/f",
        )
    };
    let (old, new) = (BEGAN - 1_000_000_000, BEGAN + 1_000_000_000);
    assert!(opened(0, new, 0).is_none(), "a birth tells, where nothing else does");
    assert!(opened(0, old, 0).is_some());
    assert!(opened(CREATED_KNOWN | CREATED, old, 0).is_none());
    assert!(opened(CREATED_KNOWN, new, 0).is_some());
    // Within a tick of the beginning, and with what another thread wrote at once.
    assert!(opened(CREATED_KNOWN | CREATED, BEGAN - 1, 5).is_none());
    assert_eq!(opened(CREATED_KNOWN, BEGAN - 1, 5).and_then(|s| s.size), Some(5));
    assert!(opened(CREATED, old, 0).is_some(), "the second bit means nothing without the first");
}

#[test]
fn an_open_that_found_what_an_overlapping_one_made() {
    let mut makes =
        open_call(O_CREAT, 3, Identity { created: CREATED_KNOWN | CREATED, ..Identity::default() });
    makes.exited = Some(100);
    let finds =
        open_call(O_CREAT, 4, Identity { created: CREATED_KNOWN, size: 3, ..Identity::default() });
    let mut reads = call("pread64", [4, 1, 3, 0, 0, 0], 3, &[]);
    reads.payloads.push(payload(1, PayloadKind::Data, b"new"));
    assert!(initial_state_of(vec![makes, finds, reads], "/w/f").is_none());
}

/// Returns the initial type of a file, as [`initial_state_of`] does.
fn initial_type_of(calls: Vec<Call>, path: &str) -> Option<FileType> {
    initial_state_of(calls, path).map(|state| state.kind)
}

/// Returns a rename(2) with this result.
fn rename_call(from: &str, to: &str, ret: i64) -> Call {
    call("rename", [1, 1, 0, 0, 0, 0], ret, &[(0, from), (1, to)])
}

#[test]
fn what_was_followed_and_then_unlinked_was_a_link() {
    let chmod = || call("chmod", [1, 0o700, 0, 0, 0, 0], 0, &[(0, "l")]);
    let inside = || call("chmod", [1, 0o600, 0, 0, 0, 0], 0, &[(0, "l/f")]);
    let unlink = || call("unlink", [1, 0, 0, 0, 0, 0], 0, &[(0, "l")]);
    let link = initial_state_of(vec![chmod(), inside(), unlink()], "/w/l").unwrap();
    assert_eq!(link.kind, FileType::Link);
    let target = format!("/w/{}", String::from_utf8(link.target.unwrap()).unwrap());
    assert_eq!(
        initial_type_of(vec![chmod(), inside(), unlink()], &target),
        Some(FileType::Directory)
    );
    assert!(
        initial_type_of(vec![chmod(), inside(), unlink()], &format!("{target}/f")).is_some(),
        "what was in it is where it leads to"
    );
    // A file that could be unlinked need not have been a link.
    assert_eq!(initial_type_of(vec![chmod(), unlink()], "/w/l"), Some(FileType::Regular));
}

#[test]
fn renames_that_failed() {
    assert_eq!(
        initial_type_of(vec![rename_call("f", "d", -21)], "/w/d"),
        Some(FileType::Directory)
    );
    assert_eq!(initial_type_of(vec![rename_call("f", "d", -21)], "/w/f"), Some(FileType::Regular));
    assert_eq!(
        initial_type_of(vec![rename_call("d", "d/e/g", -22)], "/w/d/e"),
        Some(FileType::Directory)
    );
    assert_eq!(
        initial_type_of(vec![rename_call("d", "f", -20)], "/w/d"),
        Some(FileType::Directory)
    );
    assert_eq!(initial_type_of(vec![rename_call("d", "f", -20)], "/w/f"), Some(FileType::Regular));
    // Which of two paths was in the way shows later.
    let later = call("chmod", [1, 0o700, 0, 0, 0, 0], 0, &[(0, "e/")]);
    assert_eq!(
        initial_type_of(vec![rename_call("d", "e/f", -20), later], "/w/e/f"),
        Some(FileType::Regular)
    );
    // What moved into a place below itself was a link to a directory.
    assert_eq!(initial_type_of(vec![rename_call("l", "l/m", 0)], "/w/l"), Some(FileType::Link));
}

#[test]
fn a_directory_that_was_not_empty_holds_something() {
    let rmdir = |ret| call("rmdir", [1, 0, 0, 0, 0, 0], ret, &[(0, "d")]);
    assert!(initial_type_of(vec![rmdir(-39)], "/w/d/?").is_some());
    let unlink = call("unlink", [1, 0, 0, 0, 0, 0], 0, &[(0, "d/f")]);
    assert!(
        initial_type_of(vec![rmdir(-39), unlink, rmdir(0)], "/w/d/?").is_none(),
        "what was found in it later"
    );
}
