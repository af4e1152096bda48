//! Symbolic links that only a listing of their directory tells of.

use super::*;

/// A listing of `/w` that holds the link `l`.
fn listed() -> Vec<Call> {
    let identity =
        Identity { dev: 1, ino: 5, mode: 0o40755, fs_type: 0xef53, ..Identity::default() };
    let mut opens = call("openat", [CWD, 1, 0o200_000, 0, 0, 0], 3, &[(1, ".")]);
    opens.payloads.push(payload(
        RESULT,
        PayloadKind::Identity,
        &[identity.as_bytes(), b"/w"].concat(),
    ));
    let mut entry = vec![0u8; 24];
    entry[0] = 9;
    entry[16] = 24;
    entry[18] = 10; // DT_LNK
    entry[19] = b'l';
    let mut lists = call("getdents64", [3, 1, 1024, 0, 0, 0], 24, &[]);
    lists.payloads.push(payload(1, PayloadKind::Bytes, &entry));
    vec![opens, lists]
}

fn after(calls: Vec<Call>) -> Vec<Call> {
    listed().into_iter().chain(calls).collect()
}

#[test]
fn a_link_that_nobody_read_has_no_target() {
    let link = first(listed(), "/w/l").unwrap();
    assert_eq!((link.kind, link.target), (FileType::Link, None));
}

#[test]
fn what_was_opened_through_it_tells_where_it_leads() {
    let opens = |path: &str, real: &str| {
        let identity =
            Identity { dev: 1, ino: 7, mode: 0o100_644, links: 1, ..Identity::default() };
        let bytes = [identity.as_bytes(), real.as_bytes()].concat();
        let mut open = call("openat", [CWD, 1, 0, 0, 0, 0], 4, &[(1, path)]);
        open.payloads.push(payload(RESULT, PayloadKind::Identity, &bytes));
        after(vec![open])
    };
    let target = |calls: Vec<Call>| first(calls, "/w/l").unwrap().target.unwrap();
    assert_eq!(target(opens("l", "/w/there")), b"there");
    assert_eq!(target(opens("l/x", "/v/there/x")), b"../v/there");
    assert_eq!(kind(opens("l/x", "/v/there/x"), "/v/there/x"), Some(FileType::Regular));
}

#[test]
fn what_was_found_through_it_is_there() {
    let found = |path: &str| after(vec![call("chmod", [1, 0o700, 0, 0, 0, 0], 0, &[(0, path)])]);
    let target = first(found("l/x"), "/w/l").unwrap().target.unwrap();
    // Not in the directory that was listed.
    let target = String::from_utf8(target).unwrap();
    let inside = format!("/{}/x", target.strip_prefix("../").unwrap());
    assert!(first(found("l/x"), &inside).is_some(), "{inside}");
    let target = first(found("l"), "/w/l").unwrap().target.unwrap();
    let target = String::from_utf8(target).unwrap();
    let there = format!("/{}", target.strip_prefix("../").unwrap());
    assert!(first(found("l"), &there).is_some(), "{there}");
}
