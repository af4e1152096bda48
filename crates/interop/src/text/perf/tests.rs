//! Lines that perf 6.1 wrote.

use super::import;
use super::line::{Called, Line, is_perf};
use crate::tests_support::imported;
use trace::Call;
use trace::record::PayloadKind;

pub(crate) const SCRIPT: &str = "\
            dash 19918 [001] 66745.453955:  raw_syscalls:sys_exit: NR 59 = 0
            dash 19918 [001] 66745.454184: raw_syscalls:sys_enter: NR 257 (ffffff9c, 7f07e47480b1, 80000, 0, 0, 55e72e6380ca)
            dash 19918 [001] 66745.454188:  raw_syscalls:sys_exit: NR 257 = 3
            dash 19918 [001] 66745.454213: raw_syscalls:sys_enter: NR 0 (3, 7ffe461453b8, 340, 0, 7ffe46145397, 0)
            dash 19918 [001] 66745.454216:  raw_syscalls:sys_exit: NR 0 = 832
            dash 19918 [001] 66745.454670: raw_syscalls:sys_enter: NR 58 (55e72e6445aa, 7ffe46145d80, 0, 8, 2, 1)
            dash 19925 [000] 66745.454793:  raw_syscalls:sys_exit: NR 58 = 0
            dash 19918 [001] 66745.454837:  raw_syscalls:sys_exit: NR 58 = 19925
     tmux: server 19925 [000] 66745.455000: raw_syscalls:sys_enter: NR 21 (7f07e47492a0, 4, 0, fff, 7f07e471f040, 1f8)
     tmux: server 19925 [000] 66745.455004:  raw_syscalls:sys_exit: NR 21 = -2
     tmux: server 19925 [000] 66745.456198: raw_syscalls:sys_enter: NR 231 (0, e7, 3c, 7ffc2b2e9130, fffffffffffffe98, 7ffc2b2e91bf)
            dash 19918 [001] 66745.456350: raw_syscalls:sys_enter: NR 15 (7ffe46145340, 0, 8, 0, 0, 0)
            dash 19918 [001] 66745.456353:  raw_syscalls:sys_exit: NR -1 = 19925
            dash 19918 [001] 66745.456401: raw_syscalls:sys_enter: NR 1 (1, 55e7369e9d80, 6, 0, 2, 55e72e658915)
";

pub(crate) const TRACE: &str = "\
         ? (         ): dash/19871  ... [continued]: execve())                                           = 0
     0.281 ( 0.014 ms): dash/19871 access(filename: 0x1a9b52a0, mode: R)                                 = -1 ENOENT (No such file or directory)
     0.309 ( 0.014 ms): dash/19871 openat(dfd: CWD, filename: \"/etc/ld.so.cache\", flags: RDONLY|CLOEXEC) = 4
     0.452 ( 0.012 ms): dash/19871 read(fd: 4</etc/other>, buf: 0x7ffd4df09c68, count: 832)              = 832
     0.474 ( 0.011 ms): dash/19871 pread64(fd: 4</etc/other>, buf: 0x7ffd4df09880, count: 784, pos: 64)  = 784
         ? (         ): dash/19874  ... [continued]: vfork())                                            = 0
     2.383 (         ): dash/19871 vfork()                                                            ...
     2.559 ( 0.013 ms): dash/19874 close(fd: 4</etc/other>)                                              = 0
     2.383 ( 0.271 ms): dash/19871  ... [continued]: vfork())                                            = 19874
     2.697 (         ): dash/19871 wait4(upid: -1, stat_addr: 0x7ffd4df0a5cc)                         ...
     9.529 (         ): mkdir/19874 exit_group()                                                          = ?
     2.697 ( 6.900 ms): dash/19871  ... [continued]: wait4())                                            = 19874 (mkdir)
    10.077 ( 0.030 ms): dash/19871 write(fd: 1</tmp/x>, buf: 0x55fee5440d50, count: 6)                   = 6
";

#[test]
fn lines_of_all_forms() {
    assert!(
        is_perf(SCRIPT.as_bytes())
            && is_perf(TRACE.as_bytes())
            && !is_perf(crate::text::strace::LOG.as_bytes())
            && !is_perf(b"int main(void) {}\n")
    );
    assert!(
        !crate::text::strace::is_strace(TRACE.as_bytes())
            && !crate::text::strace::is_strace(SCRIPT.as_bytes())
    );
    let lines: Vec<Line<'_>> = SCRIPT.lines().map(Line::parse).collect();
    assert_eq!(
        lines[3],
        Line::Enter(
            19918,
            66_745_454_213_000,
            0,
            [3, 0x7ffe_4614_53b8, 0x340, 0, 0x7ffe_4614_5397, 0]
        )
    );
    assert_eq!(lines[9], Line::Leave(19925, 66_745_455_004_000, 21, -2));
    assert!(!lines.contains(&Line::Other));
    let called =
        |name, args| Called { tid: 7, entered: Some(5_000), spent: Some(2_000), name, args };
    assert_eq!(
        Line::parse("     0.005 ( 0.002 ms): a (b)/7 read(fd: 4</x (1)>, count: 3) = 0x10"),
        Line::Call(called("read", "fd: 4</x (1)>, count: 3"), "0x10")
    );
    let alone = Called { tid: 1, entered: Some(5_000), spent: None, name: "fsync", args: "fd: 3" };
    assert_eq!(
        Line::parse("     0.005 (         ): fsync(fd: 3)           ..."),
        Line::Begin(alone)
    );
}

fn calls(text: &str) -> Vec<Call> {
    let (outcome, calls, _) = imported(text, import);
    assert_eq!((outcome.summary.processes, outcome.damage.is_none()), (2, true));
    assert_eq!(outcome.lost.values().sum::<u64>(), 1, "{:?}", outcome.lost);
    calls
}

#[test]
fn registers_become_calls() {
    let calls = calls(SCRIPT);
    let imported: Vec<_> = calls
        .iter()
        .map(|c| (c.spec().unwrap().name, c.tid, c.returned().then_some(c.ret)))
        .collect();
    let expected = [
        ("openat", 19918, Some(3)),
        ("read", 19918, Some(832)),
        ("vfork", 19918, Some(19925)),
        ("access", 19925, Some(-2)),
        ("exit_group", 19925, None),
        ("rt_sigreturn", 19918, Some(19925)),
        ("write", 19918, None),
    ];
    assert_eq!(imported, expected);
    // So many bytes, and none of them.
    let data = calls[1].payloads.iter().find(|p| p.kind == PayloadKind::Data).unwrap();
    assert_eq!((data.bytes.len(), data.wanted, calls[1].args[2]), (0, 832, 0x340));
}

#[test]
fn words_become_calls() {
    let calls = calls(TRACE);
    let imported: Vec<_> =
        calls.iter().map(|c| (c.spec().unwrap().name, c.tid, c.entered, c.exited)).collect();
    assert_eq!(imported[0], ("access", 19871, 281_000, Some(295_000)));
    assert_eq!(imported[4], ("vfork", 19871, 2_383_000, Some(2_654_000)));
    assert_eq!((calls[0].errno(), calls[0].args[1]), (Some(2), 4));
    let open = &calls[1];
    assert_eq!(
        (open.args[0] as i32, open.args[2], open.string(1)),
        (abi::AT_FDCWD, 0o2_000_000, Some(&b"/etc/ld.so.cache"[..]))
    );
    assert_eq!(calls[3].args[..4], [4, 0x7ffd_4df0_9880, 784, 64]);
    assert_eq!(
        imported.iter().map(|t| t.0).collect::<Vec<_>>(),
        ["access", "openat", "read", "pread64", "vfork", "close", "wait4", "exit_group", "write"]
    );
}
