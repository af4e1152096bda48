//! Lines as FreeBSD's kdump writes them.

use super::import;
use super::line::{Line, is_kdump, parse_data};
use crate::tests_support::imported;
use trace::Call;
use trace::record::PayloadKind;

pub(crate) const LOG: &str = include_str!("../../../../../tests/fixtures/kdump.txt");

#[test]
fn lines_of_all_forms() {
    assert!(
        is_kdump(LOG.as_bytes())
            && !is_kdump(crate::text::strace::LOG.as_bytes())
            && !is_kdump(crate::text::perf::SCRIPT.as_bytes())
    );
    assert!(
        !crate::text::strace::is_strace(LOG.as_bytes())
            && !crate::text::perf::is_perf(LOG.as_bytes())
    );
    let line = |tid, time, kind, rest| Some(Line { tid, time, kind, rest });
    assert_eq!(
        Line::parse("   817 sixnix   RET   close -1 errno 9 Bad"),
        line(817, None, "RET", "close -1 errno 9 Bad")
    );
    assert_eq!(
        Line::parse("   817 100123 sh       1700000000.000001 CALL  fork"),
        line(100_123, Some(1_700_000_000_000_001_000), "CALL", "fork")
    );
    assert_eq!(
        Line::parse("   817 a b      0.000005 CALL  fork"),
        line(817, Some(5_000), "CALL", "fork")
    );
    assert_eq!(Line::parse("\tCALL RET"), None);
    let text = |lines: &[&str], most| {
        parse_data(&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>(), most)
    };
    assert_eq!(
        text(&["       \"one\\", "\ttwo\\0\\r\\\\", "\t\"q\"", "       \""], 99),
        b"onetwo\0\r\\\n\"q\"\n"
    );
    assert_eq!(text(&["       0x0000 0102 ff  |...|", "       0x0010 41  |A|"], 3), [1, 2, 0xff]);
}

#[test]
fn a_log_becomes_a_trace() {
    let (outcome, calls, _) = imported(LOG, import);
    assert_eq!(
        outcome.lost.keys().collect::<Vec<_>>(),
        ["calls of cap_enter, which Linux does not have"]
    );
    assert_eq!((outcome.summary.processes, outcome.damage.is_none()), (2, true));
    let imported: Vec<_> = calls.iter().map(|c| (c.spec().unwrap().name, c.tid, c.ret)).collect();
    let expected = [
        ("execve", 817, 0),
        ("mkdir", 817, 0),
        ("openat", 817, 3),
        ("write", 817, 9),
        ("pwrite64", 817, 3),
        ("close", 817, 0),
        ("fork", 817, 818),
        ("rmdir", 818, -39),
        ("symlink", 818, 0),
        ("exit_group", 818, 0),
        ("rename", 817, 0),
        ("exit_group", 817, 0),
    ];
    assert_eq!(imported, expected);
    assert_eq!(
        (calls[2].args[0] as i32, calls[2].args[2], calls[2].args[3]),
        (abi::AT_FDCWD, 0o1101, 0o644)
    );
    let data = |call: &Call| {
        call.payloads
            .iter()
            .find(|p| p.kind == PayloadKind::Data)
            .unwrap()
            .bytes
            .as_slice()
            .to_vec()
    };
    assert_eq!(
        (data(&calls[3]), data(&calls[4])),
        (b"BSD\\\n\n\ttab"[..9].to_vec(), vec![0xff, 0, b'\n'])
    );
    assert_eq!(
        (calls[10].string(0), calls[10].string(1)),
        (Some(&b"/d/f"[..]), Some(&b"/d/g"[..]))
    );
    assert_eq!(calls[8].string(1), Some(&b"/d/s"[..]));
}
