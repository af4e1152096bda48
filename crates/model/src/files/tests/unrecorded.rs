//! Checks which changes by unrecorded processes calls show.

use super::*;

/// Returns the changes by unrecorded processes, as `KIND PATH CALL`, and the origins of bytes, as
/// (file, offset, length). `whole` is whether the trace holds all that the program did.
fn unrecorded_changes_and_origins(
    calls: Vec<Call>,
    whole: bool,
) -> (Vec<String>, Vec<(u32, u64, u64)>) {
    let dir = tempfile::tempdir().unwrap();
    let initial = dir.path().join("initial");
    let file = std::fs::File::create(&initial).unwrap();
    let mut origins = OriginSorter::new(OriginWriter::new(Box::new(file)));
    let about = InferenceInput { began: BEGAN, whole, ..InferenceInput::default() };
    let (facts, _) =
        apply_items(items_of_new_process(calls).into_iter().map(Ok), &about, &mut origins).unwrap();
    origins.finish().unwrap();
    let origins = Origins::open(std::fs::File::open(initial).unwrap()).unwrap();
    let origins = origins.map(Result::unwrap).map(|o| (o.file, o.offset, o.len)).collect();
    let changes = facts.changes();
    let shown = changes
        .iter()
        .map(|c| format!("{} {} {}", c.done.name(), c.path.escape_ascii(), c.before))
        .collect();
    (shown, origins)
}

/// Returns the changes by unrecorded processes, as `KIND PATH CALL`.
fn unrecorded_changes(calls: Vec<Call>) -> Vec<String> {
    unrecorded_changes_and_origins(calls, true).0
}

/// Returns an open of `/w/f` that did not create the file, and showed this size.
fn open_with_size(fd: i64, size: u64) -> Call {
    open_call(0, fd, Identity { size, created: CREATED_KNOWN, ..Identity::default() })
}

/// Returns a pread64(2) of the first `len` bytes.
fn pread_call(fd: u64, len: u64) -> Call {
    let mut read = call("pread64", [fd, 1, len, 0, 0, 0], len as i64, &[]);
    read.payloads.push(payload(1, PayloadKind::Data, &vec![b'x'; len as usize]));
    read
}

/// Returns a pwrite64(2) of `len` bytes at `offset`.
fn pwrite_call(fd: u64, offset: u64, len: u64) -> Call {
    let mut write = call("pwrite64", [fd, 1, len, offset, 0, 0], len as i64, &[]);
    write.payloads.push(payload(1, PayloadKind::Data, &vec![b'x'; len as usize]));
    write
}

/// Returns an access(2) of `f` with this result.
fn access_call(ret: i64) -> Call {
    call("access", [1, 0, 0, 0, 0, 0], ret, &[(0, "f")])
}

/// Returns an unlink(2) of `f` that succeeded.
fn unlink_call() -> Call {
    call("unlink", [1, 0, 0, 0, 0, 0], 0, &[(0, "f")])
}

/// Returns an open that created `/w/f`.
fn creating_open(fd: i64) -> Call {
    open_call(O_CREAT, fd, Identity { created: CREATED_KNOWN | CREATED, ..Identity::default() })
}

/// Returns the call with this time of return.
fn returning_at(exited: u64, call: Call) -> Call {
    Call { exited: Some(exited), ..call }
}

#[test]
fn what_grew_was_shorter_at_first() {
    let (shown, origins) = unrecorded_changes_and_origins(
        vec![open_with_size(3, 6), open_with_size(4, 13), pread_call(4, 13)],
        true,
    );
    assert_eq!(shown, ["resized /w/f 2"]);
    assert_eq!(origins.iter().map(|o| (o.1, o.2)).collect::<Vec<_>>(), [(0, 6), (6, 7)]);
    assert_ne!(origins[0].0, origins[1].0, "what came is no initial content");
    // Bytes beyond the end show it as well.
    assert_eq!(
        unrecorded_changes(vec![open_with_size(3, 6), pread_call(3, 13)]),
        ["resized /w/f 2"]
    );
    // What was cut is new from its beginning.
    let (shown, origins) = unrecorded_changes_and_origins(
        vec![open_with_size(3, 13), pread_call(3, 13), open_with_size(4, 6), pread_call(4, 6)],
        true,
    );
    assert_eq!(shown, ["resized /w/f 3"]);
    assert_eq!(origins.iter().map(|o| (o.1, o.2)).collect::<Vec<_>>(), [(0, 13), (0, 6)]);
}

#[test]
fn what_calls_explain_nobody_else_did() {
    let none = Vec::<String>::new();
    let write = || open_call(1, 3, Identity { size: 6, ..Identity::default() });
    assert_eq!(
        unrecorded_changes(vec![write(), pwrite_call(3, 6, 7), open_with_size(4, 13)]),
        none
    );
    let cut = call("truncate", [1, 2, 0, 0, 0, 0], 0, &[(0, "f")]);
    assert_eq!(unrecorded_changes(vec![open_with_size(3, 6), cut, open_with_size(4, 2)]), none);
    // One that is still under way, and one that had returned when the finder did.
    assert_eq!(
        unrecorded_changes(vec![
            write(),
            returning_at(100, pwrite_call(3, 6, 7)),
            open_with_size(4, 13)
        ]),
        none
    );
    let finds = returning_at(80, open_with_size(4, 6));
    assert_eq!(
        unrecorded_changes(vec![
            write(),
            finds,
            returning_at(45, pwrite_call(3, 6, 7)),
            open_with_size(5, 13)
        ]),
        none
    );
    assert_eq!(unrecorded_changes(vec![access_call(-2), creating_open(3), access_call(0)]), none);
    assert_eq!(
        unrecorded_changes(vec![open_with_size(3, 6), unlink_call(), access_call(-2)]),
        none
    );
    assert_eq!(
        unrecorded_changes(vec![
            open_with_size(3, 6),
            rename_call("g", "f", 0),
            open_with_size(4, 6)
        ]),
        none
    );
}

#[test]
fn names_that_come_and_go() {
    assert_eq!(unrecorded_changes(vec![access_call(-2), open_with_size(3, 6)]), ["made /w/f 2"]);
    assert_eq!(unrecorded_changes(vec![open_with_size(3, 6), access_call(-2)]), ["removed /w/f 2"]);
    assert_eq!(
        unrecorded_changes(vec![open_with_size(3, 6), access_call(-2), access_call(0)]),
        ["removed /w/f 2", "made /w/f 3"]
    );
    let mkdir = call("mkdir", [1, 0o755, 0, 0, 0, 0], -17, &[(0, "f")]);
    assert_eq!(unrecorded_changes(vec![access_call(-2), mkdir]), ["made /w/f 2"]);
    let other = || {
        let mut other = open_with_size(4, 6);
        let identity = Identity {
            dev: 1,
            ino: 8,
            mode: 0o100_644,
            links: 1,
            fs_type: 0xef53,
            size: 6,
            created: CREATED_KNOWN,
            ..Identity::default()
        };
        let last = other.payloads.len() - 1;
        other.payloads[last] =
            payload(RESULT, PayloadKind::Identity, &[identity.as_bytes(), b"/w/f"].concat());
        other
    };
    assert_eq!(unrecorded_changes(vec![open_with_size(3, 6), other()]), ["replaced /w/f 2"]);
    let (shown, origins) = unrecorded_changes_and_origins(
        vec![open_with_size(3, 6), pread_call(3, 6), other(), pread_call(4, 6), pread_call(3, 6)],
        true,
    );
    assert_eq!(shown, ["replaced /w/f 3"]);
    assert_eq!(origins.len(), 2, "{origins:?}");
}

/// Returns a stat(2) or similar call that shows a file with the device and inode of
/// [`open_call`]'s.
fn stat_call(call_name: &str, path: &str, size: u64, ret: i64) -> Call {
    let mut bytes = vec![0u8; 144];
    for (offset, value) in [(0, 1), (8, 7), (16, 1), (48, size)] {
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes[24..28].copy_from_slice(&0o100_644u32.to_le_bytes());
    let mut stat = call(call_name, [1, 1, 0, 0, 0, 0], ret, &[(0, path)]);
    if ret == 0 {
        stat.payloads.push(payload(1, PayloadKind::Bytes, &bytes));
    }
    stat
}

/// A file that others removed, and whose number another file got that is found first.
#[test]
fn a_number_that_is_given_again() {
    let stat = |name: &str, size: u64, ret: i64| stat_call("stat", name, size, ret);
    let again =
        |size| vec![open_with_size(3, 6), stat("g", 0, -2), stat("g", size, 0), access_call(-2)];
    assert_eq!(unrecorded_changes(again(0)), ["removed /w/f 3", "made /w/g 3"]);
    assert_eq!(unrecorded_changes(again(6)), ["removed /w/f 3", "made /w/g 3"]);
    // Another way to the same file.
    let other = |size| vec![open_with_size(3, 6), stat("d/f", 0, -2), stat("d/f", size, 0)];
    assert_eq!(unrecorded_changes(other(6)), Vec::<String>::new());
}

/// The same for a name that no call had looked for.
#[test]
fn a_number_that_is_given_to_a_name_not_seen_before() {
    let none = Vec::<String>::new();
    let opened = |fd, name: &str, real: &str| {
        let mut other = open_with_size(fd, 6);
        let last = other.payloads.len() - 1;
        let identity = other.payloads[last].bytes.slice_with_length(0, size_of::<Identity>());
        let bytes = [identity.as_slice(), real.as_bytes()].concat();
        other.payloads[last] = payload(RESULT, PayloadKind::Identity, &bytes);
        other.payloads[0] = payload(1, PayloadKind::String, name.as_bytes());
        other
    };
    let close = || call("close", [3, 0, 0, 0, 0, 0], 0, &[]);
    let first = || [open_with_size(3, 6), pread_call(3, 6), close()].to_vec();
    let after = |calls: Vec<Call>| unrecorded_changes(first().into_iter().chain(calls).collect());
    // By the name that the kernel shows of what was opened, or by a look at the name itself.
    let told = ["removed /w/f 4", "made /w/g 4"];
    assert_eq!(after(vec![opened(4, "g", "/w/g"), access_call(-2)]), told);
    assert_eq!(after(vec![stat_call("lstat", "g", 6, 0), access_call(-2)]), told);
    assert_eq!(
        after(vec![opened(4, "d/g", "/w/d/g"), access_call(-2)]),
        ["removed /w/f 4", "made /w/d/g 4"]
    );
    let (_, origins) = unrecorded_changes_and_origins(
        first().into_iter().chain([opened(4, "g", "/w/g"), pread_call(4, 6)]).collect(),
        true,
    );
    assert_eq!(origins.len(), 2, "{origins:?}");
    // What only leads to the same file.
    assert_eq!(after(vec![opened(4, "l", "/w/f")]), none);
    assert_eq!(after(vec![stat_call("stat", "l", 6, 0)]), none);
    assert_eq!(after(vec![stat_call("lstat", "d/f", 6, 0)]), none);
    // While the program has it open its number is not free: others gave it another name.
    let held = vec![open_with_size(3, 6), opened(4, "g", "/w/g"), access_call(-2)];
    assert_eq!(unrecorded_changes(held), ["removed /w/f 3"]);
}

#[test]
fn what_overlapping_calls_can_have_done_is_left_open() {
    let none = Vec::<String>::new();
    // The one that makes it returns after the one that finds it.
    assert_eq!(
        unrecorded_changes(vec![
            access_call(-2),
            returning_at(100, creating_open(3)),
            access_call(0)
        ]),
        none
    );
    // Which of two overlapping calls was the last shows later, and no unrecorded process did it.
    let removes = returning_at(100, unlink_call());
    assert_eq!(
        unrecorded_changes(vec![
            open_with_size(3, 6),
            removes,
            creating_open(4),
            entered_at(200, access_call(0))
        ]),
        none
    );
    let (made, removes) = (returning_at(40, creating_open(4)), returning_at(45, unlink_call()));
    assert_eq!(
        unrecorded_changes(vec![
            open_with_size(3, 6),
            made,
            removes,
            entered_at(200, access_call(-2))
        ]),
        none
    );
    // The one that removes it returns before the one that found it.
    let (removes, finds) = (returning_at(40, unlink_call()), returning_at(45, access_call(0)));
    assert_eq!(
        unrecorded_changes(vec![
            open_with_size(3, 6),
            removes,
            finds,
            entered_at(200, access_call(-2))
        ]),
        none
    );
}

/// Returns the call with this time of entry, instead of the one that follows from its position.
fn entered_at(entered: u64, call: Call) -> Call {
    Call { entered, ..call }
}

#[test]
fn where_not_everything_is_followed_nobody_is_blamed() {
    let grew = || vec![open_with_size(3, 6), open_with_size(4, 13)];
    assert_eq!(unrecorded_changes_and_origins(grew(), false).0, Vec::<String>::new());
    let ring = call("io_uring_enter", [5, 1, 1, 0, 0, 0], 1, &[]);
    assert_eq!(
        unrecorded_changes(vec![open_with_size(3, 6), ring, open_with_size(4, 13)]),
        Vec::<String>::new()
    );
}
