//! Calls that a seccomp filter answers: the kernel does not make them, whatever their result says.

use crate::harness::place::{Watch, number};
use crate::harness::proof::Program;
use crate::harness::tracee::tracee;

/// Call, its (or its new) path, result and error of what the filters answer.
type Told<'a> = (&'a str, Option<&'a str>, Option<i64>, Option<&'a str>);

/// Those without a result of their own are known to ptrace, too; the others look as if the kernel
/// had answered.
#[test]
fn what_was_refused_with_a_signal_was_not_made() {
    let program = tracee("filtered");
    let proved = Program::new([program.to_str().unwrap(), "signals"]).proved();
    let rows = proved.place.rows(&proved.trace, &[]);
    let not_made = rows.iter().filter(|row| row["made"] == false);
    let told: Vec<_> = not_made.map(|row| (&row["call"], &row["result"])).collect();
    let wanted = ["mkdir", "unlink", "unlink"];
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    for ((call, result), wanted) in told.into_iter().zip(wanted) {
        assert!(call == wanted && result.is_null(), "{call} = {result}");
    }
}

#[test]
fn answers_are_not_effects() {
    for watch in [Watch::Ebpf, Watch::Chunked] {
        let program = tracee("filtered");
        let proved = Program::new([program.to_str().unwrap()]).proved_with(watch);
        let rows = proved.place.rows(&proved.trace, &[]);
        let told: Vec<Told<'_>> = rows
            .iter()
            .filter(|row| row["made"] == false)
            .map(|row| {
                let path = row["args"].as_object().unwrap().values().find_map(|a| a.as_str());
                let call = row["call"].as_str().unwrap();
                // Of a thread that is gone the memory may be gone, too.
                let path = path.filter(|_| call != "ftruncate" && call != "rmdir");
                (call, path, row["result"].as_i64(), row["error"].as_str())
            })
            .collect();
        let wanted: [Told<'_>; 9] = [
            ("mkdir", Some("brokered"), None, None),
            ("unlink", Some("kept"), None, None),
            ("ftruncate", None, Some(0), None),
            ("rename", Some("gone"), Some(-1), Some("EPERM")),
            ("link", Some("second"), Some(-38), Some("ENOSYS")),
            ("symlink", Some("pointer"), Some(0), None),
            ("unlink", Some("kept"), None, None),
            ("rmdir", None, None, None),
            ("rmdir", None, None, None),
        ];
        assert_eq!(told, wanted);
        let skipped = &proved.report["skipped_by"];
        assert_eq!(number(skipped, "answered by a seccomp filter"), 9, "{skipped}");
    }
}
