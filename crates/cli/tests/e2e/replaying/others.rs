//! What a program uses and did not make: files that others change while it is recorded, files that
//! had lost their names before; and files that are mostly holes, or lie very deep.

use crate::harness::place::{Place, Watch, number};
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::repository;
use crate::harness::tree::{describe, difference};
use crate::replaying::filesystems::Mounted;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// Performs a trace again in these orders: nothing differs, and the tree is the one that the
/// program left. Returns the last report.
#[track_caller]
fn same_tree(place: &Place, trace: &Path, orders: &[&str]) -> Value {
    let left = describe(&place.work());
    let mut last = Value::Null;
    for order in orders {
        let root = place.path(&format!("root-{order}"));
        let (ran, report) = place.replay_with(trace, &root, &["--order", order]);
        assert_eq!(ran.code, Some(0), "{order}: {report:#}\n{}", ran.stderr);
        let below = root.join(place.work().strip_prefix("/").unwrap());
        let again = describe(&below);
        assert_eq!(left, again, "{order}\n{}", difference(&left, &again));
        last = report;
    }
    last
}

/// A recorder that is started by a shell which has done something before.
fn after(place: &Place, setup: &str, recorder: &Command) -> Command {
    let script = format!("{setup}; exec \"$@\"");
    let mut command = place.command(["/bin/sh", "-c", &script, "sh"]);
    command.arg(recorder.get_program()).args(recorder.get_args());
    command.envs(recorder.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn what_others_do_is_done_again_before_it_is_found() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        what_others_do_in(&Place::watched_by(watch));
    }
}

#[track_caller]
fn what_others_do_in(place: &Place) {
    let work = place.work();
    let write = |name: &str, text: &str| fs::write(work.join(name), text).unwrap();
    write("log", "first\n");
    write("conf", "one\n");
    write("old", "old\n");
    write("cut", "a long line that others cut\n");
    fs::create_dir(work.join("d")).unwrap();
    let script = "exec 3<log; cat <&3 >log1; cat conf >conf1; cat old cut >old1; ls d >d1
        [ -e made ] || [ -e lock ] || echo none >made1
        : >ready1; until [ -e go1 ]; do sleep 0.02; done
        cat <&3 >log2; cat log >log2b; cat conf >conf2; cat made/deep/f >made2; cat cut >cut2
        mkdir lock 2>/dev/null || echo taken >lock2
        : >ready2; until [ -e go2 ]; do sleep 0.02; done
        cat log >log3; cat conf >conf3
        cat old >old3 2>/dev/null || echo gone >>old3
        [ -d d ] || echo gone >>old3; echo last >>log";
    let trace = place.trace("t");
    let recorder = start(&mut place.record(&trace, &[], ["sh", "-c", script]));
    wait_for("the program to have looked", || work.join("ready1").exists());
    let append = |text: &str| {
        use std::io::Write;
        let log = fs::OpenOptions::new().append(true).open(work.join("log"));
        log.unwrap().write_all(text.as_bytes()).unwrap();
    };
    append("second\n");
    write("conf.new", "two, and longer\n");
    fs::rename(work.join("conf.new"), work.join("conf")).unwrap();
    fs::create_dir_all(work.join("made/deep")).unwrap();
    write("made/deep/f", "made\n");
    write("cut", "short\n");
    fs::create_dir(work.join("lock")).unwrap();
    write("go1", "");
    wait_for("the program to have looked again", || work.join("ready2").exists());
    append("third\n");
    // Before anything is removed: its inode number is one that no file has had.
    write("go", "");
    write("conf", "three\n");
    fs::remove_file(work.join("old")).unwrap();
    fs::remove_dir(work.join("d")).unwrap();
    fs::rename(work.join("go"), work.join("go2")).unwrap();
    finish(recorder, "the recorder").ok("record");

    let info = place.info(&trace);
    let notes = info["notes"].to_string();
    assert!(notes.contains("changed by processes that were not recorded"), "{info:#}");
    let report = same_tree(place, &trace, &["overlap", "resource", "strict", "thread"]);
    assert_eq!(number(&report, "others.failed"), 0, "{report:#}");
    assert!(number(&report, "others.files") >= 9, "{report:#}");
}

/// ext4 gives the inode number of a removed file to the next one. Found under a name that no call
/// had looked for, it is no second link to the first file.
#[test]
fn a_number_that_is_given_again() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        for finds in ["cat g", "ls -l g", "[ -s g ]; cat g", "cat d/g"] {
            let place = Place::watched_by(watch);
            let on = Mounted::image(&place, "ext4");
            let path = |name: &str| on.0.join(name);
            fs::write(path("f"), "first\n").unwrap();
            fs::create_dir(path("d")).unwrap();
            let trace = place.trace("t");
            let script = format!(
                "cd \"$0\"; cat f >f1; : >ready; until [ -e go ]; do sleep 0.02; done
                {finds} >g1; cat f >f2 2>&1; ls >l1"
            );
            let argv = ["sh", "-c", &script, on.0.to_str().unwrap()];
            let recorder = start(&mut place.record(&trace, &[], argv));
            wait_for("the program to have looked", || path("ready").exists());
            let number = fs::metadata(path("f")).unwrap().ino();
            fs::remove_file(path("f")).unwrap();
            let again = path(if finds.ends_with("d/g") { "d/g" } else { "g" });
            let tries = (0..1000).map(|i| path(&format!("x{i}"))).find(|x| {
                fs::write(x, "another one\n").unwrap();
                fs::metadata(x).unwrap().ino() == number
            });
            fs::rename(tries.expect("ext4 gives the number again"), again).unwrap();
            fs::write(path("go"), "").unwrap();
            finish(recorder, "the recorder").ok("record");
            let (ran, report) = place.replay(&trace, &place.path("root"));
            assert_eq!(ran.code, Some(0), "{finds}: {report:#}");
            let told = report["others"]["lines"].to_string();
            assert!(told.contains("/f: removed") && told.contains("/g: made"), "{finds}: {told}");
        }
    }
}

/// Where others are not looked for: a name that a listing had, and that others removed later, is
/// not compared. The program did not remove it.
#[test]
fn a_name_that_was_only_listed_and_is_gone() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let work = place.work();
        fs::create_dir(work.join("d")).unwrap();
        fs::write(work.join("d/x"), "x").unwrap();
        run(&mut place.command(["mkfifo", "pipe"])).ok("mkfifo");
        let trace = place.trace("t");
        let script = "ls d >l; : >ready; read x <pipe; echo $x >end";
        let options = ["-e", "!getpid"];
        let recorder = start(&mut place.record(&trace, &options, ["sh", "-c", script]));
        wait_for("the listing", || work.join("ready").exists());
        fs::remove_file(work.join("d/x")).unwrap();
        fs::write(work.join("pipe"), "on\n").unwrap();
        finish(recorder, "the recorder").ok("record");
        let (ran, report) = place.replay(&trace, &place.path("root"));
        assert_eq!(ran.code, Some(0), "{report:#}");
        let partly = report["state"]["excluded_lines"].to_string();
        assert!(partly.contains("work/d/x: it was only seen in a listing"), "{report:#}");
    }
}

/// Processes that meet on the same names and sizes, all of them recorded: no change is put down to
/// others.
#[test]
fn what_the_program_does_itself_is_its_own() {
    let script = "i=0; while [ $i -lt 40 ]; do
        (echo a >>log; echo t$i >t; mv t f; [ -e f ] && cat f >/dev/null; rm -f f; mkdir d; rmdir \
        d) &
        (echo b >>log; echo u$i >u; mv u f; wc -c <log >/dev/null; rm -f f; ls >/dev/null; mkdir \
        d) &
        i=$((i + 1)); wait; done 2>/dev/null; wc -c <log";
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        run(&mut place.record(&trace, &[], ["sh", "-c", script])).ok("record");
        let info = place.info(&trace);
        assert!(!info["notes"].to_string().contains("not recorded"), "{info:#}");
    }
}

#[test]
fn files_without_names_are_open_as_they_were() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let work = place.work();
        for (name, text) in [("del", "deleted data"), ("linked", "two names"), ("x (deleted)", "x")]
        {
            fs::write(work.join(name), text).unwrap();
        }
        fs::hard_link(work.join("linked"), work.join("other")).unwrap();
        fs::create_dir(work.join("gone")).unwrap();
        let trace = place.trace("t");
        let script = "cat <&4 >copy; echo extra >&4; cat <&6 >x; cat 'x (deleted)' >x2
            cat <&7 >linked2; echo more >&7; cat other >other2; cat <&8 >here";
        let recorder = place.record(&trace, &[], ["sh", "-c", script]);
        let setup = "exec 4<>del 5<gone 6<'x (deleted)' 7<>linked 8<<END
here
END
            rm del linked; rmdir gone";
        run(&mut after(&place, setup, &recorder)).ok("record");
        assert_eq!(fs::read_to_string(work.join("copy")).unwrap(), "deleted data");
        assert_eq!(fs::read_to_string(work.join("other2")).unwrap(), "two namesmore\n");
        same_tree(&place, &trace, &["overlap", "strict"]);
    }
}

#[test]
fn holes_cost_nothing() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let script =
        "truncate -s 1T f; printf x | dd of=f bs=1 seek=700000000000 conv=notrunc status=none
        truncate -s 64G g; [ -s was ]; dd if=was bs=1 skip=5000000000 count=3 status=none >part";
    let was = fs::File::create(place.work().join("was")).unwrap();
    was.set_len(8 << 30).unwrap();
    run(&mut place.record(&trace, &["--snapshot"], ["sh", "-c", script])).ok("record");
    let root = place.path("root");
    let (ran, report) = place.replay(&trace, &root);
    assert_eq!(ran.code, Some(0), "{report:#}");
    let excluded = report["state"]["excluded_lines"].to_string();
    assert!(!excluded.contains("/work/"), "{report:#}");
    let below = root.join(place.work().strip_prefix("/").unwrap());
    for (name, size) in [("f", 1 << 40), ("g", 64 << 30), ("was", 8 << 30)] {
        let made = fs::metadata(below.join(name)).unwrap();
        assert_eq!(made.len(), size, "{name}");
        assert!(made.blocks() < 1000, "{name}: {} blocks", made.blocks());
    }
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long() {
    let script = repository().join("tests/tracees/deep_tree.py");
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let python = OsStr::new("/usr/bin/python3");
        let argv = [python, OsStr::new("-S"), OsStr::new("-E"), script.as_os_str()];
        run(&mut place.record(&trace, &[], argv)).ok("record");
        let (ran, report) = place.replay(&trace, &place.path("root"));
        assert_eq!(ran.code, Some(0), "{report:#}");
        // 25 directories below the working directory, and two files in the deepest.
        assert!(number(&report, "state.compared") > 26, "{report:#}");
    }
}

/// The program works, and the root lies, in a directory that no path reaches.
#[test]
fn below_a_working_directory_that_no_path_reaches() {
    let below = |place: &Place, command: &Command| {
        let script = repository().join("tests/tracees/deep_below.py");
        let python = ["/usr/bin/python3", "-S", "-E"].map(OsStr::new);
        let mut all = place.command(python.into_iter().chain([script.as_os_str()]));
        all.arg(command.get_program()).args(command.get_args());
        all.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        all
    };
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let script = "echo x >f; mkdir s; mv f s/g; ls; cat s/g; rm -r s; echo y >h";
        let recorder = place.record(&trace, &[], ["sh", "-c", script]);
        run(&mut below(&place, &recorder)).ok("record");
        let (ran, report) = place.replay(&trace, &place.path("root"));
        assert_eq!(ran.code, Some(0), "{report:#}");
        assert!(number(&report, "state.compared") > 26, "{report:#}");
        let mut replay = place.reanimator(["replay", "--root", "root"]);
        replay.arg(&trace);
        run(&mut below(&place, &replay)).ok("replay in a deep root");
    }
}
