//! Symbolic links that only a listing of their directory tells of.

use super::*;

/// Returns an open of `/w` and a listing of it that shows the symbolic link `l`.
fn listing_with_link() -> Vec<Call> {
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

/// Returns these calls after [`listing_with_link`].
fn after_listing(calls: Vec<Call>) -> Vec<Call> {
    listing_with_link().into_iter().chain(calls).collect()
}

#[test]
fn a_link_that_nobody_read_has_no_target() {
    let link = initial_state_of(listing_with_link(), "/w/l").unwrap();
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
        after_listing(vec![open])
    };
    let target = |calls: Vec<Call>| initial_state_of(calls, "/w/l").unwrap().target.unwrap();
    assert_eq!(target(opens("l", "/w/there")), b"there");
    assert_eq!(target(opens("l/x", "/v/there/x")), b"../v/there");
    assert_eq!(initial_type_of(opens("l/x", "/v/there/x"), "/v/there/x"), Some(FileType::Regular));
}

#[test]
fn what_was_found_through_it_is_there() {
    let found =
        |path: &str| after_listing(vec![call("chmod", [1, 0o700, 0, 0, 0, 0], 0, &[(0, path)])]);
    let target = initial_state_of(found("l/x"), "/w/l").unwrap().target.unwrap();
    // Not in the directory that was listed.
    let target = String::from_utf8(target).unwrap();
    let inside = format!("/{}/x", target.strip_prefix("../").unwrap());
    assert!(initial_state_of(found("l/x"), &inside).is_some(), "{inside}");
    let target = initial_state_of(found("l"), "/w/l").unwrap().target.unwrap();
    let target = String::from_utf8(target).unwrap();
    let there = format!("/{}", target.strip_prefix("../").unwrap());
    assert!(initial_state_of(found("l"), &there).is_some(), "{there}");
}
