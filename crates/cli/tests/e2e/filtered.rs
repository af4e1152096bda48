//! Calls that a seccomp filter answers: the kernel does not make them, whatever their result says.

use crate::place::{Watch, number};
use crate::proof::Program;
use crate::tracee::tracee;

/// Call, its (or its new) path, result and error of what the filters answer.
type Told<'a> = (&'a str, Option<&'a str>, Option<i64>, Option<&'a str>);

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
                let path = path.filter(|_| call != "ftruncate");
                (call, path, row["result"].as_i64(), row["error"].as_str())
            })
            .collect();
        let wanted: [Told<'_>; 7] = [
            ("mkdir", Some("brokered"), None, None),
            ("unlink", Some("kept"), None, None),
            ("ftruncate", None, Some(0), None),
            ("rename", Some("gone"), Some(-1), Some("EPERM")),
            ("link", Some("second"), Some(-38), Some("ENOSYS")),
            ("symlink", Some("pointer"), Some(0), None),
            ("unlink", Some("kept"), None, None),
        ];
        assert_eq!(told, wanted);
        let skipped = &proved.report["skipped_by"];
        assert_eq!(number(skipped, "answered by a seccomp filter"), 7, "{skipped}");
    }
}
