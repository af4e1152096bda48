//! Resource limits and signal dispositions that the recorder was started with: they bind it as they
//! bind any program, they never kill it, and the program that it starts has its own.

use crate::harness::place::{Place, REANIMATOR, User};
use crate::harness::proof::same_again;
use crate::harness::run::{Ran, run};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// A program that `how` (a prefix of a command line) starts.
fn under(how: &[&str], command: &Command, place: &Place) -> Command {
    let how = how.iter().map(|word| OsStr::new(*word));
    let words = how.chain([command.get_program()]).chain(command.get_args());
    let mut whole = place.command(words);
    whole.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    whole
}

/// The program is started as the recorder was: dispositions, mask, and all limits.
#[test]
fn the_program_inherits_what_the_recorder_was_started_with() {
    // The first 31 signals: the C library has two of the others to itself.
    let shown = "sed -nE 's/^(Sig(Blk|Ign|Cgt)).*(.{8})$/\\1 \\3/p' /proc/self/status; \
                 cat /proc/self/limits";
    let argv = ["/bin/dash", "-c", shown];
    Place::each(|place| {
        for (name, how) in [
            ("plain", &["/usr/bin/env", "--"][..]),
            ("ignored", &["/usr/bin/env", "--ignore-signal=PIPE,XFSZ,XCPU,ALRM,USR1"]),
            ("blocked", &["/usr/bin/env", "--block-signal=ALRM,XFSZ,USR2"]),
            ("soft", &["/usr/bin/prlimit", "--nofile=77:4000", "--fsize=50000000:60000000"]),
            ("hard", &["/usr/bin/prlimit", "--nofile=300", "--memlock=0", "--core=4096:9000000"]),
        ] {
            let bare = run(&mut under(how, &place.command(argv), &place)).ok("bare");
            let record = place.record(&place.trace(name), &[], argv);
            let recorded = run(&mut under(how, &record, &place)).ok(name);
            assert_eq!(recorded.stdout, bare.stdout, "{name}");
        }
    });
}

/// It ends with the command's status or with 125 and a reason, and not by a signal.
#[track_caller]
fn lives(ran: &Ran, what: &str) {
    let told = ran.code == Some(0) || (ran.code == Some(125) && ran.stderr.contains("error: "));
    assert!(told && ran.signal.is_none(), "{what}: {ran:?}");
}

/// A limit on the length of files is a full disk to the recorder: what was kept is a trace, which
/// says that it is not complete.
#[test]
fn a_file_size_limit() {
    let script = "i=0; while [ $i -lt 1500 ]; do echo $i >f; i=$((i+1)); done; \
                  head -c 150000 /dev/urandom >g; cat g >h; echo done";
    Place::each(|place| {
        for limit in [200_000, 300_000] {
            let trace = place.trace(&limit.to_string());
            let record = place.record(&trace, &[], ["/bin/dash", "-c", script]);
            let how = format!("--fsize={limit}");
            let ran = run(&mut under(&["/usr/bin/prlimit", &how], &record, &place));
            lives(&ran, &how);
            assert!(ran.stdout.contains("done"), "the program goes on: {ran:?}");
            let info = place.info(&trace);
            assert_eq!(info["verdict"], "incomplete", "{info}");
        }
        // No room for trace.json: nothing was recorded, and nothing is left.
        let trace = place.trace("nothing");
        let record = place.record(&trace, &[], ["/bin/true"]);
        let ran = run(&mut under(&["/usr/bin/prlimit", "--fsize=0"], &record, &place));
        assert!(ran.code == Some(125) && ran.stderr.contains("error: "), "{ran:?}");
        assert!(!trace.exists(), "something is left of it");
    });
}

/// The other commands that write: an error, and no death.
#[test]
fn a_file_size_limit_for_what_reads_traces() {
    let place = Place::new();
    let trace = place.trace("t");
    let script = "head -c 300000 /dev/urandom >g; cat g >h";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");
    let trace = trace.to_str().unwrap();
    for arguments in [
        &["convert", trace, "out.csv"][..],
        &["convert", trace, "out.ds"],
        &["replay", "--root", "root", trace],
        &["prepare", "--root", "prepared", trace],
    ] {
        let command = place.reanimator(arguments);
        let ran = run(&mut under(&["/usr/bin/prlimit", "--fsize=1000"], &command, &place));
        assert!(
            ran.signal.is_none() && ran.code.is_some_and(|code| code == 1 || code == 2),
            "{arguments:?}: {ran:?}"
        );
    }
}

/// Limits of other kinds, each so low that something of the recorder may fail.
#[test]
fn other_limits() {
    let script = "i=0; while [ $i -lt 50 ]; do echo $i >f; i=$((i+1)); done; cat f";
    Place::each(|place| {
        for how in [
            "--nofile=64",
            "--nofile=8",
            "--memlock=0",
            "--sigpending=0",
            "--as=200000000",
            "--data=50000000",
            "--cpu=1:60",
        ] {
            let trace = place.trace(how.trim_start_matches('-'));
            let record = place.record(&trace, &[], ["/bin/dash", "-c", script]);
            let ran = run(&mut under(&["/usr/bin/prlimit", how], &record, &place));
            lives(&ran, how);
            assert_eq!(trace.exists(), ran.code == Some(0), "{how}: {ran:?}");
            if ran.code == Some(0) {
                assert_eq!(place.info(&trace)["verdict"], "complete", "{how}");
            }
        }
    });
}

/// A set-user-ID program runs without its privileges unless root records it.
#[test]
fn set_user_id_programs_have_no_privileges() {
    let place = Place::of(User::Ordinary);
    assert!(nix::unistd::geteuid().is_root(), "this test makes a set-user-ID program of root's");
    let program = place.path("id");
    std::fs::copy("/usr/bin/id", &program).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o4755))
        .unwrap();
    let argv = [program.as_os_str(), OsStr::new("-u")];
    assert_eq!(run(&mut place.command(argv)).ok("bare").stdout, "0\n");
    let trace = place.trace("t");
    assert_eq!(run(&mut place.record(&trace, &[], argv)).ok("record").stdout, "65534\n");
}

/// Files of a set-group-ID program, started by another, have its group again.
#[test]
fn set_group_id_programs_make_files_of_their_group() {
    Place::each(|place| {
        let trace = place.trace("t");
        let script = "cp /usr/bin/touch make; chown :65534 make; chmod 2755 make
            ./make f; stat -c %g f; ln -s f l; ./make -h l";
        let ran = run(&mut place.record(&trace, &[], ["/bin/sh", "-euc", script])).ok("record");
        assert_eq!(ran.stdout, "65534\n", "the file system must allow set-group-ID programs");
        let root = place.directory("root");
        same_again(&place, &trace, &root);
        let made = root.join(place.work().strip_prefix("/").unwrap()).join("f");
        assert_eq!(std::fs::metadata(made).unwrap().gid(), 65534);
    });
}

/// In a pid namespace of its own the recorder takes ptrace.
#[test]
fn a_pid_namespace_of_its_own() {
    let place = Place::new();
    let trace = place.trace("t");
    let apart = ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", REANIMATOR, "record", "-o"];
    run(place.command(apart).arg(&trace).args(["--", "/bin/true"])).ok("record");
    let info = place.info(&trace);
    assert_eq!(info["engine"], "ptrace");
    assert_eq!(info["verdict"], "complete");
}
