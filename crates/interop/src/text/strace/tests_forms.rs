//! Lines of more of strace's options, and what they become.

use super::import;
use super::lexer::split::split;
use super::line::{Body, Line, When};
use crate::tests_support::imported;
use trace::record::PayloadKind;
use trace::{Call, Item, RecordKind};

/// A log of calls by one thread, a millisecond apart.
fn log(calls: &[&str]) -> String {
    let line = |(i, call): (usize, &&str)| format!("100 1700000000.{:06} {call}\n", i * 1000);
    calls.iter().enumerate().map(line).collect()
}

fn calls(lines: &[&str]) -> Vec<Call> {
    let (outcome, calls, _) = imported(&log(lines), import);
    assert_eq!(outcome.lost, Default::default(), "{lines:?}");
    calls
}

#[test]
fn what_stands_before_a_call() {
    let call = Body::Call("close", "3", "0");
    for (text, tid, when) in [
        ("100 1700000000 close(3) = 0", Some(100), When::Epoch(1_700_000_000_000_000_000)),
        ("1700000000 close(3) = 0", None, When::Epoch(1_700_000_000_000_000_000)),
        ("100 1700000000.1 [   3] close(3) = 0", Some(100), When::Epoch(1_700_000_000_100_000_000)),
        ("100 [   3] [00007f9f5cdc6ad7] close(3) = 0", Some(100), When::Never),
        ("[00007f9f5cdc6ad7] close(3) = 0", None, When::Never),
        ("100<two words> 00:00:01.5 close(3) = 0", Some(100), When::Day(1_500_000_000)),
        ("[pid 7<a]b>] close(3) = 0", Some(7), When::Never),
        ("100 [u:r:t:s0:c1,c2] 00:00:01 close(3) = 0", Some(100), When::Day(1_000_000_000)),
        ("100 00:00:01 (+     0.000081) close(3) = 0", Some(100), When::Day(1_000_000_000)),
        ("     2 close(3) = 0", None, When::Since(2_000_000_000)),
    ] {
        let line = Line::parse(text);
        assert_eq!((line.tid, line.when, line.body), (tid, when, call), "{text}");
    }
    for text in [" > /usr/lib/libc.so.6(__write+0x10) [0xf8d10]", " | 00000  68 65 6c  hel |"] {
        assert_eq!(Line::parse(text).body, Body::Message);
    }
}

#[test]
fn names_hold_any_sign() {
    for (text, parts) in [
        (r"3</w/smile:(>, 5", vec![r"3</w/smile:(>", "5"]),
        (r#"3</w/say \"hi>, "a)", 5"#, vec![r#"3</w/say \"hi>"#, r#""a)""#, "5"]),
        (r"3</w/*all /* x>, 5", vec![r"3</w/*all /* x>", "5"]),
        (r"3</w/a\76b, [c) = 7>, 5", vec![r"3</w/a\76b, [c) = 7>", "5"]),
        (r"3</dev/null<char 1:3>>, 5", vec![r"3</dev/null<char 1:3>>", "5"]),
        (r"3<TCPv6:[[::1]:80->[::1]:90]>, 5", vec![r"3<TCPv6:[[::1]:80->[::1]:90]>", "5"]),
        (r#"3<UNIX:[1->2,"/run/a>b"]>, 5"#, vec![r#"3<UNIX:[1->2,"/run/a>b"]>"#, "5"]),
        (r"3</w/x>(deleted), 5", vec![r"3</w/x>(deleted)", "5"]),
        (r"-100 /* AT_FDCWD */</w>, 5", vec!["-100</w>", "5"]),
        (r#"3 [u:r:t:s0], "f" [u:o:t:s0:c1,c2], [0] => [1]"#, vec!["3", "\"f\"", "[0] => [1]"]),
        (r"1<<3|1<<4, 5", vec!["1<<3|1<<4", "5"]),
        ("3</unclosed, 5", vec!["3</unclosed", "5"]),
    ] {
        assert_eq!(split(text), parts, "{text}");
        let line = format!("7 f({text}) = 0 <0.000010>");
        assert_eq!(Line::parse(&line).body, Body::Call("f", text, "0 <0.000010>"));
    }
}

#[test]
fn an_argument_decides_what_another_is() {
    let calls = calls(&[
        "fcntl(3, F_SETFL, O_RDONLY|O_APPEND) = 0",
        "fcntl(3, 0x4 /* F_SETFL */, 0x400 /* O_RDONLY|O_APPEND */) = 0",
        "fcntl(3, F_SETFD, FD_CLOEXEC) = 0",
        "fcntl(3, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_GROW) = 0",
        "fcntl(3, F_DUPFD_CLOEXEC, 200) = 200",
        "fcntl(3, F_SETLEASE, F_WRLCK) = 0",
        "fcntl(3, F_SETSIG, SIGRT_2) = 0",
    ]);
    let args: Vec<u64> = calls.iter().map(|c| c.args[2]).collect();
    assert_eq!(args, [0x400, 0x400, 1, 6, 200, 1, 34]);
}

#[test]
fn an_offset_is_printed_as_one() {
    let calls = calls(&[
        "preadv2(3, [{iov_base=\"more\", iov_len=4}], 1, 5, RWF_NOWAIT) = 4",
        "pwritev2(3, [{iov_base=\"more\", iov_len=4}], 1, -1, 0x10 /* RWF_APPEND */) = 4",
        "pwritev(3, [{iov_base=\"more\", iov_len=4}], 1, 4096) = 4",
    ]);
    let of: Vec<_> = calls.iter().map(|c| (c.args[3], c.args[5])).collect();
    assert_eq!(of, [(5, 8), (u64::MAX, 0x10), (4096, 0)]);
}

#[test]
fn structs_are_read_in_every_style() {
    let times = |text: &str| {
        let line = format!("utimensat(AT_FDCWD, \"f\", {text}, AT_SYMLINK_NOFOLLOW) = 0");
        calls(&[&line])[0].payload(2, PayloadKind::Bytes).unwrap().bytes.to_vec()
    };
    let words = times("[{tv_sec=5, tv_nsec=6} /* 1970 */, UTIME_OMIT]");
    let numbers = times("[{tv_sec=5, tv_nsec=6}, {tv_sec=0, tv_nsec=1073741822} /* UTIME_OMIT */]");
    assert_eq!(words, numbers);
    let one = &calls(&[
        "rt_sigprocmask(SIG_BLOCK, ~[INT RTMIN RT_1], [TERM], 8) = 0",
        "getdents64(3, [{d_ino=7, d_off=9, d_reclen=24, d_type=DT_REG, d_name=\"log\"}], 99) = 24",
        "lseek(3, 1*1024, SEEK_SET) = 1024",
    ]);
    let bytes =
        |call: usize, arg| one[call].payload(arg, PayloadKind::Bytes).unwrap().bytes.to_vec();
    let set = !(1u64 << 1 | 1 << 31 | 1 << 32);
    assert_eq!(
        (bytes(0, 1), bytes(0, 2)),
        (set.to_le_bytes().into(), (1u64 << 14).to_le_bytes().into())
    );
    let entry = [&7u64.to_le_bytes()[..], &9u64.to_le_bytes(), &[24, 0, 8], b"log\0\0"].concat();
    assert_eq!(bytes(1, 1), entry);
    assert_eq!(one[2].args[1], 1024);
}

/// The file of a descriptor that was open before, as its event describes it: links and path.
#[test]
fn a_file_that_was_deleted_has_no_name() {
    let lines = ["read(5</w/x>, \"a\", 1) = 1", "read(6</w/y>(deleted), \"a\", 1) = 1"];
    let (_, _, items) = imported(&log(&lines), import);
    let opened: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::Event(e) if e.kind == RecordKind::Descriptor => {
                let (identity, path) = e.identity(0).unwrap();
                Some((e.args[0], identity.links, path))
            }
            _ => None,
        })
        .collect();
    assert_eq!(opened, [(5, 1, &b"/w/x"[..]), (6, 0, &b"/w/y"[..])]);
}

/// The events of a kind, by thread: their first argument.
fn events(items: &[Item], kind: RecordKind) -> Vec<(u32, u64)> {
    let event = |i: &Item| match i {
        Item::Event(e) if e.kind == kind => Some((e.tid, e.args[0])),
        _ => None,
    };
    items.iter().filter_map(event).collect()
}

#[test]
fn a_process_dies_of_the_signal_that_killed_it() {
    for (name, status) in [
        ("SIGSEGV (core dumped)", 11 | 0x80),
        ("SIGTERM", 15),
        ("SIGKILL", 9),
        ("SIGRT_2", 34),
        ("SIGRT_32", 64),
    ] {
        let (outcome, _, items) =
            imported(&log(&["close(3) = 0", &format!("+++ killed by {name} +++")]), import);
        assert_eq!(events(&items, RecordKind::Exit), [(100, status)], "{name}");
        assert_eq!(outcome.lost, Default::default());
    }
}

/// A thread that is not the first one replaces the program, and takes the first one's number.
#[test]
fn an_execve_goes_on_under_another_number() {
    let (outcome, calls, items) = imported(
        "5 1.000001 execve(\"/bin/a\", [\"a\"], [\"X=1\"]) = 0\n\
         5 1.000002 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD, exit_signal=0} <unfinished ...>\n\
         6 1.000003 execve(\"/bin/b\", [\"b\"], [\"X=1\"] <unfinished ...>\n\
         5 1.000004 <... clone3 resumed> => {parent_tid=[6]}, 88) = 6\n\
         5 1.000005 pause( <unfinished ...>\n\
         5 1.000006 <... pause resumed>) = ?\n\
         5 1.000007 +++ superseded by execve in pid 6 +++\n\
         5 1.000008 <... execve resumed>) = 0\n\
         5 1.000009 close(3) = 0\n\
         5 1.000010 +++ exited with 0 +++\n",
        import,
    );
    assert_eq!(outcome.lost, Default::default());
    let of: Vec<_> = calls.iter().map(|c| (c.spec().unwrap().name, c.tid, c.pid)).collect();
    assert!(of.contains(&("execve", 6, 5)) && of.contains(&("close", 5, 5)), "{of:?}");
    assert_eq!(events(&items, RecordKind::Exec), [(5, 5), (5, 6)]);
    let clone = calls.iter().find(|c| c.spec().unwrap().name == "clone3").unwrap();
    let flags = clone.payload(0, PayloadKind::Bytes).unwrap().bytes.as_slice()[..8].to_vec();
    assert_eq!(flags, 0x10700u64.to_le_bytes());
}

/// What a line or a word leaves open is counted, and the trace is not called complete.
#[test]
fn what_is_not_read_is_counted() {
    for (line, what) in [
        ("The quick brown fox", "lines that are not calls"),
        ("<... read resumed>\"a\", 1) = 1", "returns of calls without a start"),
        ("nosuchcall(3) = 0", "calls of nosuchcall, which is not in the table of system calls"),
        ("lseek(3, 0, SEEK_NEW) = 0", "unknown words in arguments of lseek"),
        (
            "write(3, \"abc\"..., 30) = 30",
            "ends of strings that strace cut (a larger -s keeps them)",
        ),
        (
            "fstat(3, {st_mode=S_IFREG|0644, ...}) = 0",
            "structs and strings that strace abbreviated (-v prints them)",
        ),
        ("+++ killed by SIGNEW +++", "ends by signals with an unknown name"),
    ] {
        let text = log(&["close(3) = 0", line]);
        let (outcome, ..) = imported(&text, import);
        assert_eq!(outcome.lost.get(what), Some(&1), "{line}: {:?}", outcome.lost);
        assert_eq!(outcome.summary.verdict, trace::Verdict::Incomplete, "{line}");
    }
    let (outcome, ..) = imported(&log(&["close(3) = 0", "+++ exited with 0 +++"]), import);
    assert_eq!(outcome.summary.verdict, trace::Verdict::Complete);
}
