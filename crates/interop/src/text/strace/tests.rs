//! Lines as strace writes them, and text that is none.

use super::import;
use super::line::{Body, Line, When, is_strace};
use super::value::{parse_number, parse_string, split};
use crate::tests_support::imported;
use std::fs;
use trace::Item;
use trace::record::PayloadKind;

#[test]
fn lines_of_all_forms() {
    let read = |text| {
        let Line { tid, when, body } = Line::parse(text);
        (tid, when, body)
    };
    assert_eq!(read("close(3) = 0"), (None, When::Never, Body::Call("close", "3", "0")));
    assert_eq!(
        read("[pid  12] close(3)       = 0 <0.000005>"),
        (Some(12), When::Never, Body::Call("close", "3", "0 <0.000005>"))
    );
    assert_eq!(
        read("12    1795424076.413381 close(3) = 0"),
        (Some(12), When::Epoch(1_795_424_076_413_381_000), Body::Call("close", "3", "0"))
    );
    assert_eq!(
        read("12 09:01:02.5 close(3) = 0"),
        (Some(12), When::Day(32_462_500_000_000), Body::Call("close", "3", "0"))
    );
    assert_eq!(
        read("     0.000123 close(3) = 0"),
        (None, When::Since(123_000), Body::Call("close", "3", "0"))
    );
    assert_eq!(read("7 read(3,  <unfinished ...>").2, Body::Begin("read", "3,"));
    assert_eq!(
        read("7 <... read resumed>\"a) = 5\", 9) = 1").2,
        Body::Resume("read", "\"a) = 5\", 9", "1")
    );
    assert_eq!(read("7 <... exit_group resumed>) = ?").2, Body::Resume("exit_group", "", "?"));
    assert_eq!(read("7 +++ exited with 3 +++").2, Body::Exited(3));
    assert_eq!(read("7 +++ killed by SIGKILL (core dumped) +++").2, Body::Killed("SIGKILL", true));
    assert_eq!(read("--- SIGCHLD {si_signo=SIGCHLD, si_pid=5} ---").2, Body::Signal("SIGCHLD"));
    assert_eq!(read("strace: Process 5 attached").2, Body::Message);
    assert_eq!(read("The quick brown fox").2, Body::Unknown);
    assert!(is_strace(b"execve(\"/bin/ls\", [\"ls\"], 0x7ffe /* 3 vars */) = 0\nbrk(NULL) = 0x5\n+++ exited with 0 +++\n"));
    assert!(!is_strace(b"int main(void) {\n\treturn printf(\"read(3) = 4\");\n}\n"));
}

#[test]
fn values_of_all_forms() {
    assert_eq!(
        split(r#"3</a,b>, "x, \"y\"", [{a=1, b=2}, 3] /* 2, entries */, f(1, 2)"#),
        ["3</a,b>", r#""x, \"y\"""#, "[{a=1, b=2}, 3]", "f(1, 2)"]
    );
    assert_eq!(parse_string(r#""\x41\0017\n\t\"\\"..."#), Some((b"A\x017\n\t\"\\".to_vec(), true)));
    assert_eq!(
        parse_number("O_RDWR|O_CREAT|0x80000", Some(&abi::flags::file::OPEN)),
        Some(0o2_000_102)
    );
    assert_eq!(parse_number("S_IFREG|0644", None), Some(0o100_644));
    assert_eq!(parse_number("makedev(0xfe, 0)", None), Some(0xfe00));
    assert_eq!(parse_number("AT_FDCWD</tmp>", None), Some(-100i64 as u64));
    assert_eq!(parse_number("O_SOMETHING", None), None);
}

pub(crate) const LOG: &str = r#"100 1000000000.000001 execve("/bin/x", ["x", "-v"], 0x7ffe /* 3 vars */) = 0 <0.000100>
100 1000000000.000200 openat(AT_FDCWD</home>, "f", O_RDWR|O_CREAT, 0644) = 3</home/f> <0.000010>
100 1000000000.000300 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 101 <0.000050>
101 1000000000.000400 write(3</home/f>, "ab\0", 3 <unfinished ...>
100 1000000000.000410 fstat(3</home/f>, {st_mode=S_IFREG|0644, st_size=0, ...}) = 0 <0.000002>
101 1000000000.000420 <... write resumed>) = 3 <0.000020>
101 1000000000.000500 writev(3</home/f>, [{iov_base="cd", iov_len=2}, {iov_base="e"..., iov_len=70}], 2) = 72 <0.000020>
101 1000000000.000600 +++ exited with 7 +++
100 1000000000.000610 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101} ---
100 1000000000.000700 utimensat(AT_FDCWD</home>, "f", [{tv_sec=5, tv_nsec=6} /* 1970 */, UTIME_OMIT], 0) = 0 <0.000001>
100 1000000000.000800 read(3</home/f>, "", 10) = -1 EINTR (Interrupted system call) <0.000001>
100 1000000000.000900 exit_group(0) = ?
100 1000000000.001000 +++ exited with 0 +++
"#;

#[test]
fn a_log_becomes_a_trace() {
    let (outcome, calls, items) = imported(LOG, import);
    assert_eq!(
        (
            outcome.lost.len(),
            outcome.damage.is_none(),
            outcome.summary.calls,
            outcome.summary.processes
        ),
        // A string that was cut, and a struct that was abbreviated.
        (2, true, 9, 2)
    );
    let named = |name: &str| calls.iter().find(|c| c.spec().unwrap().name == name).unwrap();
    let payload = |name: &str, kind| named(name).payloads.iter().find(|p| p.kind == kind).unwrap();
    assert_eq!(
        (named("write").entered, named("write").exited),
        (1_000_000_000_000_400_000, Some(1_000_000_000_000_420_000))
    );
    assert_eq!(payload("write", PayloadKind::Data).bytes.as_slice(), b"ab\0");
    let cut = payload("writev", PayloadKind::Data);
    assert_eq!((cut.bytes.as_slice(), cut.wanted), (&b"cde"[..], 72));
    assert_eq!(
        payload("utimensat", PayloadKind::Bytes).bytes.as_slice(),
        [5u64, 6, 0, 0x3fff_fffe].map(u64::to_le_bytes).concat()
    );
    assert_eq!(named("read").errno(), Some(4));
    // What strace abbreviates is not known.
    assert!(named("fstat").payloads.is_empty());
    assert_eq!(named("openat").identity(abi::plan::RESULT).unwrap().1, b"/home/f");
    assert!(items.iter().any(|i| matches!(i, Item::Event(e) if e.kind == trace::RecordKind::Start && e.tid == 101 && e.args[0] == 100)));
}

/// A rename that is not there is worked out where only one is possible, and nowhere else.
#[test]
fn renames_are_worked_out_from_inode_numbers() {
    let stat = |name: &str, ino: u32, links: u32| {
        format!(
            "stat(\"{name}\", {{st_dev=makedev(0xfe, 0), st_ino={ino}, st_mode=S_IFREG|0644, st_nlink={links}, st_size=0}}) = 0\n"
        )
    };
    let make = |name: &str| {
        format!("openat(AT_FDCWD, \"{name}\", O_WRONLY|O_CREAT|O_EXCL, 0644) = 3\nclose(3) = 0\n")
    };
    let begin = format!(
        "mkdir(\"/d\", 0777) = 0\n{}{}link(\"/x\", \"/y\") = 0\n{}",
        make("/x"),
        stat("/x", 7, 1),
        make("/d/known")
    );
    let cases = [
        // /y went there: /x is still used.
        (
            format!(
                "{}chmod(\"/d/z\", 0600) = 0\n{}{}",
                stat("/d/known", 8, 1),
                stat("/d/z", 7, 2),
                stat("/x", 7, 2)
            ),
            vec![("/y", "/d/z")],
        ),
        // Either of them may have.
        (stat("/d/z", 7, 2), vec![]),
        // It is a third name.
        (format!("{}{}", stat("/d/z", 7, 3), stat("/x", 7, 3)), vec![]),
        // Nobody knows what was in that directory before; or the number belongs to another file
        // now.
        (format!("{}{}", stat("/e/z", 7, 2), stat("/x", 7, 2)), vec![]),
        (
            format!(
                "unlink(\"/x\") = 0\nunlink(\"/y\") = 0\n{}{}",
                make("/d/z"),
                stat("/d/z", 7, 1)
            ),
            vec![],
        ),
    ];
    for (text, expected) in cases {
        let (_, calls, _) = imported(&format!("{begin}{text}"), import);
        let renames: Vec<_> = calls
            .iter()
            .filter(|c| c.spec().unwrap().name == "rename")
            .map(|c| [c.string(0).unwrap(), c.string(1).unwrap()])
            .collect();
        assert_eq!(
            renames,
            expected.iter().map(|(from, to)| [from.as_bytes(), to.as_bytes()]).collect::<Vec<_>>(),
            "{text}"
        );
    }
}

/// Text that ends anywhere gives what stands before that.
#[test]
fn cut_text_is_read_as_far_as_it_goes() {
    let dir = crate::tests_support::scratch();
    let log = dir.path().join("log");
    for len in 0..LOG.len() {
        fs::write(&log, &LOG.as_bytes()[..len]).unwrap();
        let outcome =
            import(&log, &dir.path().join(format!("{len}.ra")), None, &mut |_, _| {}).unwrap();
        let whole = LOG[..len].matches(") = ").count() as u64;
        assert!(outcome.summary.calls <= 9 && outcome.summary.calls + 2 >= whole, "{len}");
    }
}
