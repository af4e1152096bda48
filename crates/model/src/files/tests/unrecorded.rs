//! What calls prove of changes that none of them made.

use super::*;

/// The changes that others made, as `done path before`, and where bytes came from, as `file offset
/// len`.
fn others(calls: Vec<Call>, whole: bool) -> (Vec<String>, Vec<(u32, u64, u64)>) {
    let dir = tempfile::tempdir().unwrap();
    let initial = dir.path().join("initial");
    let file = std::fs::File::create(&initial).unwrap();
    let mut origins = Origination::new(OriginWriter::new(Box::new(file)));
    let about = InferenceInput { began: BEGAN, whole, ..InferenceInput::default() };
    let (facts, _) = follow(told(calls).into_iter().map(Ok), &about, &mut origins).unwrap();
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

fn changes(calls: Vec<Call>) -> Vec<String> {
    others(calls, true).0
}

fn sized(fd: i64, size: u64) -> Call {
    open(0, fd, Identity { size, created: CREATED_KNOWN, ..Identity::default() })
}

fn pread(fd: u64, len: u64) -> Call {
    let mut read = call("pread64", [fd, 1, len, 0, 0, 0], len as i64, &[]);
    read.payloads.push(payload(1, PayloadKind::Data, &vec![b'x'; len as usize]));
    read
}

fn pwrite(fd: u64, offset: u64, len: u64) -> Call {
    let mut write = call("pwrite64", [fd, 1, len, offset, 0, 0], len as i64, &[]);
    write.payloads.push(payload(1, PayloadKind::Data, &vec![b'x'; len as usize]));
    write
}

fn access(ret: i64) -> Call {
    call("access", [1, 0, 0, 0, 0, 0], ret, &[(0, "f")])
}

fn unlink() -> Call {
    call("unlink", [1, 0, 0, 0, 0, 0], 0, &[(0, "f")])
}

fn makes(fd: i64) -> Call {
    open(O_CREAT, fd, Identity { created: CREATED_KNOWN | CREATED, ..Identity::default() })
}

fn until(left: u64, call: Call) -> Call {
    Call { exited: Some(left), ..call }
}

#[test]
fn what_grew_was_shorter_at_first() {
    let (shown, origins) = others(vec![sized(3, 6), sized(4, 13), pread(4, 13)], true);
    assert_eq!(shown, ["resized /w/f 2"]);
    assert_eq!(origins.iter().map(|o| (o.1, o.2)).collect::<Vec<_>>(), [(0, 6), (6, 7)]);
    assert_ne!(origins[0].0, origins[1].0, "what came is no initial content");
    // Bytes beyond the end show it as well.
    assert_eq!(changes(vec![sized(3, 6), pread(3, 13)]), ["resized /w/f 2"]);
    // What was cut is new from its beginning.
    let (shown, origins) = others(vec![sized(3, 13), pread(3, 13), sized(4, 6), pread(4, 6)], true);
    assert_eq!(shown, ["resized /w/f 3"]);
    assert_eq!(origins.iter().map(|o| (o.1, o.2)).collect::<Vec<_>>(), [(0, 13), (0, 6)]);
}

#[test]
fn what_calls_explain_nobody_else_did() {
    let none = Vec::<String>::new();
    let write = || open(1, 3, Identity { size: 6, ..Identity::default() });
    assert_eq!(changes(vec![write(), pwrite(3, 6, 7), sized(4, 13)]), none);
    let cut = call("truncate", [1, 2, 0, 0, 0, 0], 0, &[(0, "f")]);
    assert_eq!(changes(vec![sized(3, 6), cut, sized(4, 2)]), none);
    // One that is still under way, and one that had returned when the finder did.
    assert_eq!(changes(vec![write(), until(100, pwrite(3, 6, 7)), sized(4, 13)]), none);
    let finds = until(80, sized(4, 6));
    assert_eq!(changes(vec![write(), finds, until(45, pwrite(3, 6, 7)), sized(5, 13)]), none);
    assert_eq!(changes(vec![access(-2), makes(3), access(0)]), none);
    assert_eq!(changes(vec![sized(3, 6), unlink(), access(-2)]), none);
    assert_eq!(changes(vec![sized(3, 6), rename("g", "f", 0), sized(4, 6)]), none);
}

#[test]
fn names_that_come_and_go() {
    assert_eq!(changes(vec![access(-2), sized(3, 6)]), ["made /w/f 2"]);
    assert_eq!(changes(vec![sized(3, 6), access(-2)]), ["removed /w/f 2"]);
    assert_eq!(
        changes(vec![sized(3, 6), access(-2), access(0)]),
        ["removed /w/f 2", "made /w/f 3"]
    );
    let mkdir = call("mkdir", [1, 0o755, 0, 0, 0, 0], -17, &[(0, "f")]);
    assert_eq!(changes(vec![access(-2), mkdir]), ["made /w/f 2"]);
    let other = || {
        let mut other = sized(4, 6);
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
    assert_eq!(changes(vec![sized(3, 6), other()]), ["replaced /w/f 2"]);
    let (shown, origins) =
        others(vec![sized(3, 6), pread(3, 6), other(), pread(4, 6), pread(3, 6)], true);
    assert_eq!(shown, ["replaced /w/f 3"]);
    assert_eq!(origins.len(), 2, "{origins:?}");
}

/// A call like stat(2) about a file with the device and inode of [`open`]'s.
fn looks(how: &str, name: &str, size: u64, ret: i64) -> Call {
    let mut bytes = vec![0u8; 144];
    for (at, value) in [(0, 1), (8, 7), (16, 1), (48, size)] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes[24..28].copy_from_slice(&0o100_644u32.to_le_bytes());
    let mut stat = call(how, [1, 1, 0, 0, 0, 0], ret, &[(0, name)]);
    if ret == 0 {
        stat.payloads.push(payload(1, PayloadKind::Bytes, &bytes));
    }
    stat
}

/// A file that others removed, and whose number another file got that is found first.
#[test]
fn a_number_that_is_given_again() {
    let stat = |name: &str, size: u64, ret: i64| looks("stat", name, size, ret);
    let again = |size| vec![sized(3, 6), stat("g", 0, -2), stat("g", size, 0), access(-2)];
    assert_eq!(changes(again(0)), ["removed /w/f 3", "made /w/g 3"]);
    assert_eq!(changes(again(6)), ["removed /w/f 3", "made /w/g 3"]);
    // Another way to the same file.
    let other = |size| vec![sized(3, 6), stat("d/f", 0, -2), stat("d/f", size, 0)];
    assert_eq!(changes(other(6)), Vec::<String>::new());
}

/// The same for a name that no call had looked for.
#[test]
fn a_number_that_is_given_to_a_name_not_seen_before() {
    let none = Vec::<String>::new();
    let opened = |fd, name: &str, real: &str| {
        let mut other = sized(fd, 6);
        let last = other.payloads.len() - 1;
        let identity = other.payloads[last].bytes.slice_with_length(0, size_of::<Identity>());
        let bytes = [identity.as_slice(), real.as_bytes()].concat();
        other.payloads[last] = payload(RESULT, PayloadKind::Identity, &bytes);
        other.payloads[0] = payload(1, PayloadKind::String, name.as_bytes());
        other
    };
    let close = || call("close", [3, 0, 0, 0, 0, 0], 0, &[]);
    let first = || [sized(3, 6), pread(3, 6), close()].to_vec();
    let after = |calls: Vec<Call>| changes(first().into_iter().chain(calls).collect());
    // By the name that the kernel shows of what was opened, or by a look at the name itself.
    let told = ["removed /w/f 4", "made /w/g 4"];
    assert_eq!(after(vec![opened(4, "g", "/w/g"), access(-2)]), told);
    assert_eq!(after(vec![looks("lstat", "g", 6, 0), access(-2)]), told);
    assert_eq!(
        after(vec![opened(4, "d/g", "/w/d/g"), access(-2)]),
        ["removed /w/f 4", "made /w/d/g 4"]
    );
    let (_, origins) =
        others(first().into_iter().chain([opened(4, "g", "/w/g"), pread(4, 6)]).collect(), true);
    assert_eq!(origins.len(), 2, "{origins:?}");
    // What only leads to the same file.
    assert_eq!(after(vec![opened(4, "l", "/w/f")]), none);
    assert_eq!(after(vec![looks("stat", "l", 6, 0)]), none);
    assert_eq!(after(vec![looks("lstat", "d/f", 6, 0)]), none);
    // While the program has it open its number is not free: others gave it another name.
    let held = vec![sized(3, 6), opened(4, "g", "/w/g"), access(-2)];
    assert_eq!(changes(held), ["removed /w/f 3"]);
}

#[test]
fn what_overlapping_calls_can_have_done_is_left_open() {
    let none = Vec::<String>::new();
    // The one that makes it returns after the one that finds it.
    assert_eq!(changes(vec![access(-2), until(100, makes(3)), access(0)]), none);
    // Which of two overlapping calls was the last shows later, and no unrecorded process did it.
    let removes = until(100, unlink());
    assert_eq!(changes(vec![sized(3, 6), removes, makes(4), at(200, access(0))]), none);
    let (made, removes) = (until(40, makes(4)), until(45, unlink()));
    assert_eq!(changes(vec![sized(3, 6), made, removes, at(200, access(-2))]), none);
    // The one that removes it returns before the one that found it.
    let (removes, finds) = (until(40, unlink()), until(45, access(0)));
    assert_eq!(changes(vec![sized(3, 6), removes, finds, at(200, access(-2))]), none);
}

/// A call that begins later than its place says.
fn at(entered: u64, call: Call) -> Call {
    Call { entered, ..call }
}

#[test]
fn where_not_everything_is_followed_nobody_is_blamed() {
    let grew = || vec![sized(3, 6), sized(4, 13)];
    assert_eq!(others(grew(), false).0, Vec::<String>::new());
    let ring = call("io_uring_enter", [5, 1, 1, 0, 0, 0], 1, &[]);
    assert_eq!(changes(vec![sized(3, 6), ring, sized(4, 13)]), Vec::<String>::new());
}
