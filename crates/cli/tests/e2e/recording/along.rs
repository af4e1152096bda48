//! A trace is sealed while its program runs: segments are there before it ends, and are those of a
//! whole trace afterwards.

use crate::harness::place::{Place, REANIMATOR, Watch, number};
use crate::harness::proof::same_again;
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::fs;
use std::path::Path;

/// Seals when there is little, into small segments.
pub const EARLY: [&str; 2] = ["--seal-at", "65536"];

/// A program that works now and then, until it is [`enough`]: each time it writes and copies a
/// file.
pub fn now_and_then() -> [String; 3] {
    let work = format!(
        "{} out$i 3000 2; cp out$i copy$i; sleep 0.3; i=$((i + 1))",
        tracee("count").display()
    );
    let script = format!(
        "trap enough=1 USR1; echo $$ > up; i=0; while [ -z \"$enough\" ]; do {work}; done; echo \
            done"
    );
    ["/bin/dash".to_owned(), "-c".to_owned(), script]
}

/// Tells the program that has left its number in the file `up` that it is enough.
#[track_caller]
pub fn enough(place: &Place) {
    let program = fs::read_to_string(place.work().join("up")).unwrap();
    kill(Pid::from_raw(program.trim().parse().unwrap()), Signal::SIGUSR1).unwrap();
}

/// Files of calls in a trace.
pub fn segments(trace: &Path) -> usize {
    let names = fs::read_dir(trace)
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().into_string().ok());
    names.filter(|n| n.starts_with("calls-")).count()
}

#[test]
fn segments_are_there_before_the_program_ends() {
    Place::each(|place| {
        let trace = place.trace("t");
        let mut recorder = start(&mut place.record(&trace, &EARLY, now_and_then()));
        wait_for("segments", || segments(&trace) > 2);
        assert!(recorder.try_wait().unwrap().is_none(), "the program was to be running");
        assert!(fs::read_to_string(trace.join("trace.json")).unwrap().contains("recording"));
        enough(&place);
        let ran = finish(recorder, "the program").ok("record");
        assert!(ran.stdout.ends_with("done\n"), "{ran:?}");
        let info = place.info(&trace);
        assert_eq!(info["verdict"], "complete", "{info}");
        assert!(!trace.join("journal").exists());
        run(place.reanimator(["verify"]).arg(&trace)).ok("verify");
        same_again(&place, &trace, &place.directory("root"));
    });
}

/// The same work, sealed along and sealed afterwards, is the same calls with the same files and
/// paths.
#[test]
fn what_is_told_of_calls_is_the_same() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let told = |options: &[&str]| {
            let place = Place::watched_by(watch);
            let trace = place.trace("t");
            let gate = place.work().join("gate");
            mkfifo(&gate, Mode::S_IRWXU).unwrap();
            let script = "i=0; while [ $i -lt 6 ]; do j=0; while [ $j -lt 300 ]; do echo $j >> \
                log; read x < log; j=$((j + 1)); done; i=$((i + 1)); done; read x < gate";
            let recorder = start(&mut place.record(&trace, options, ["/bin/dash", "-c", script]));
            if options == EARLY {
                wait_for("segments", || segments(&trace) > 2);
            }
            fs::write(gate, "on\n").unwrap();
            finish(recorder, "the program").ok("record");
            assert_eq!(place.info(&trace)["verdict"], "complete");
            let work = place.work().display().to_string();
            let rows = place.rows(&trace, &["-e", "open,openat,write,read,close,dup2,fcntl"]);
            // A pipe's number is another each time.
            let named = rows.iter().filter(|r| !r["file"].to_string().contains("pipe:"));
            let row = |r: &serde_json::Value| {
                let of = |key: &str| r[key].to_string().replace(&work, "W");
                format!(
                    "{} {} {} {} {}",
                    of("call"),
                    of("fd"),
                    of("file"),
                    of("path"),
                    of("result")
                )
            };
            (named.map(row).collect::<Vec<_>>(), segments(&trace))
        };
        let ((along, many), (afterwards, one)) = (told(&EARLY), told(&["--seal-at", "0"]));
        assert!(many > 2 && one == 1, "{watch:?}: {many} and {one} segments");
        assert!(along.len() > 5000);
        let different = along.iter().zip(&afterwards).find(|(a, b)| a != b);
        assert!(along.len() == afterwards.len() && different.is_none(), "{watch:?}: {different:?}");
    }
}

/// What is sealed along takes room that the journal needs: it gives it back, and everything is
/// recorded.
#[test]
fn the_recording_comes_first() {
    let place = Place::new();
    let small = place.directory("small").display().to_string();
    // The program moves 2 x 110 MiB that do not compress.
    let program = "i=0; while [ $i -lt 11 ]; do head -c 10M /dev/urandom > f; sleep 0.3; [ $i -ne \
        5 ] || while [ ! -e some ]; do sleep 0.1; done; i=$((i + 1)); done";
    let script = format!(
        "mount -t tmpfs -o size=360m none {small}
         {REANIMATOR} record --seal-at 1000000 -o {small}/t.ra -- /bin/dash -c '{program}' & \
         recorder=$!
         most=0
         while kill -0 $recorder 2>/dev/null; do
           now=$(ls {small}/t.ra 2>/dev/null | grep -c calls-); [ $now -gt $most ] && most=$now; [ \
           $most -gt 2 ] && : > some; sleep 0.05
         done
         wait $recorder; echo \"status $? most $most\"
         mount -o remount,size=900m {small}
         {REANIMATOR} -q info --json {small}/t.ra"
    );
    let namespace = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-rm" };
    let ran = run(&mut place.command(["unshare", namespace, "/bin/sh", "-c", &script]));
    let (talk, json): (Vec<_>, Vec<_>) = ran.stdout.lines().partition(|l| l.starts_with("status "));
    let most: u32 = talk[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!(most > 2, "some segments were to be there: {ran:?}");
    let info: serde_json::Value =
        serde_json::from_str(&json.concat()).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(info["verdict"], "complete", "{info}\n{}", ran.stderr);
    assert!(number(&info, "bytes_captured") > 220 << 20, "{info}");
}
