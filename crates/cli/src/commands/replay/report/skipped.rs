//! Which calls were not performed, and whether that matters.

use crate::output::units::format_count;
use std::collections::BTreeMap;

/// They failed, and so changed nothing.
const FAILED: [&str; 7] = [
    "interrupted",
    "limit of the recorded machine",
    "lock held by another process",
    "permission, without the owners",
    "refused by the recorded file system",
    "refused or cancelled by io_uring",
    "refused from outside the file system",
];
/// They were left out by the user.
pub const CHOSEN: [&str; 5] = [
    "after the chosen time",
    "call not chosen",
    "file not chosen",
    "process not chosen",
    "the replay ended",
];
/// They change nothing that is stored in files.
const ELSEWHERE: [&str; 17] = [
    "answered by a seccomp filter",
    "attribute of the recorded file system",
    "credentials",
    "descriptor without stored state",
    "device",
    "ipc",
    "memory",
    "network",
    "process",
    "ring of recorded operations",
    "security module",
    "signal",
    "special file",
    "system",
    "virtual file",
    "wait",
    "watch",
];

/// Returns lines about the calls that were not performed: grouped by what that means for the
/// result, with a count for each reason.
pub fn skipped_lines(skipped_by: &BTreeMap<&'static str, u64>) -> Vec<String> {
    let group = |why: &str| match why {
        why if ELSEWHERE.contains(&why) => 0,
        why if FAILED.contains(&why) => 1,
        why if CHOSEN.contains(&why) => 2,
        // What is not known to be harmless may matter.
        _ => 3,
    };
    let means = [
        "no effect on stored files",
        "failed when recorded, and changed nothing",
        "left out on request",
        "may matter, as files that they changed are compared only in part",
    ];
    let line = |(number, means): (usize, &&str)| {
        let of: Vec<_> = skipped_by.iter().filter(|(why, _)| group(why) == number).collect();
        let all: u64 = of.iter().map(|(_, n)| **n).sum();
        let list: Vec<String> =
            of.iter().map(|(why, n)| format!("{} {why}", format_count(**n))).collect();
        (all > 0).then(|| format!("{} {means}: {}", format_count(all), list.join(", ")))
    };
    means.iter().enumerate().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_say_whether_it_matters() {
        let by = BTreeMap::from([
            ("memory", 1000),
            ("descriptor without stored state", 210),
            ("refused from outside the file system", 2),
            ("unknown descriptor", 3),
            ("file not chosen", 4),
        ]);
        insta::assert_snapshot!(skipped_lines(&by).join("\n"), @"
        1,210 no effect on stored files: 210 descriptor without stored state, 1,000 memory
        2 failed when recorded, and changed nothing: 2 refused from outside the file system
        4 left out on request: 4 file not chosen
        3 may matter, as files that they changed are compared only in part: 3 unknown descriptor
        ");
    }
}
