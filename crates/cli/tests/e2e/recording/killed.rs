//! The recorder is killed, or its disk is full: the program does not notice, and the trace says
//! what it holds.

use crate::harness::place::{Place, REANIMATOR, Watch, number};
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use crate::recording::along::{EARLY, enough, now_and_then, segments};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use trace::{Item, Trace};

/// How long the program may take until a moment.
const PATIENCE: Duration = Duration::from_secs(120);
const THREADS: u64 = 2;
const WRITES: u64 = 6000;

/// What `count` has written according to the trace: each thread's writes in their order, with their
/// bytes.
#[track_caller]
fn check_writes(trace: &Path, when: &str) -> u64 {
    let opened = Trace::open(trace).unwrap_or_else(|e| panic!("{when}: {e}"));
    let mut next: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    let mut calls = 0;
    let until = opened.summary().complete_until;
    for item in opened.read(trace::ReadOptions { data: true }) {
        let Item::Call(call) = item.unwrap_or_else(|e| panic!("{when}: {e}")) else { continue };
        calls += 1;
        // What a thread did on another CPU just before may not be written.
        if call.is_after(until) || until.is_some() && !call.returned() {
            continue;
        }
        if call.nr != syscalls::x86_64::Sysno::pwrite64 as u32 {
            continue;
        }
        let number = call.args[3] / 64;
        let due = next.entry(call.tid).or_insert(None);
        assert!(
            due.is_none_or(|due| due == number),
            "{when}: thread {} wrote {number}, and the trace has no {due:?}",
            call.tid
        );
        assert!(due.is_some() || number < THREADS, "{when}: the first writes are missing");
        *due = Some(number + THREADS);
        let data = call.payloads.iter().find(|p| p.kind == trace::record::PayloadKind::Data);
        if call.returned() {
            let data = data.unwrap_or_else(|| panic!("{when}: write {number} has no data"));
            assert_eq!(
                (data.bytes.len(), &data.bytes[..8]),
                (64, &number.to_le_bytes()[..]),
                "{when}: write {number}"
            );
        }
    }
    calls
}

/// Kills the recorder when the program has made `writes` of its writes and has not ended, and looks
/// at what is left.
#[track_caller]
fn kill_at(watch: Watch, writes: u64) {
    let when = format!("{watch:?}, killed after {writes} writes");
    let place = Place::watched_by(watch);
    let trace = place.trace("t");
    run(&mut place.command(["mkfifo", "gate"])).ok("mkfifo");
    let count = tracee("count");
    let script = format!("{} out {WRITES} {THREADS}; read -r line <gate", count.display());
    let mut recorder = start(&mut place.record(&trace, &[], ["/bin/dash", "-c", &script]));
    let out = place.work().join("out");
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(&out).map_or(true, |meta| meta.len() < writes * 64) {
        assert!(Instant::now() < deadline, "{when}: the program does not write");
        std::thread::yield_now();
    }
    recorder.kill().unwrap();
    let gate = fs::File::options()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .clone();
    wait_for("the program to have written", || gate.open(place.work().join("gate")).is_ok());
    // The program holds the other end of our pipe: this ends when it has ended.
    let ran = finish(recorder, "the program");
    assert_eq!(ran.signal, Some(9), "{when}: {ran:?}");
    assert_eq!(ran.stdout, format!("{WRITES} writes, 0 failed\n"), "{when}: {ran:?}");
    let kept = journal_calls(&trace);
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "incomplete", "{when}: {info}");
    assert_eq!(number(&info, "calls"), kept, "{when}: calls in the trace, calls in the journal");
    assert_eq!(check_writes(&trace, &when), kept, "{when}");
    let until = Trace::open(&trace).unwrap().summary().complete_until;
    assert_eq!(until.is_some(), watch != Watch::Ptrace, "{when}: {until:?}");
}

#[test]
fn the_recorder_is_killed_at_fifty_moments() {
    for watch in Watch::ALL {
        let moments = if watch == Watch::Chunked { 10 } else { 50 };
        (0..moments).for_each(|i| kill_at(watch, WRITES * i / moments));
    }
}

/// While it seals what it records: nothing of that counts.
#[test]
fn killed_while_sealing_along() {
    for (watch, wait) in [
        (Watch::Ebpf, 0),
        (Watch::Ebpf, 90),
        (Watch::Ebpf, 230),
        (Watch::Ptrace, 0),
        (Watch::Ptrace, 90),
        (Watch::Ptrace, 230),
    ] {
        let when = format!("{watch:?}, killed after {wait} ms");
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let mut recorder = start(&mut place.record(&trace, &EARLY, now_and_then()));
        wait_for("segments", || segments(&trace) > 2);
        std::thread::sleep(Duration::from_millis(wait));
        recorder.kill().unwrap();
        enough(&place);
        let left = segments(&trace);
        assert!(
            left > 2 && fs::read_to_string(trace.join("trace.json")).unwrap().contains("recording"),
            "{when}: {left} segments"
        );
        let ran = finish(recorder, "the program");
        assert!(ran.stdout.ends_with("done\n"), "{when}: {ran:?}");
        let kept = journal_calls(&trace);
        let info = place.info(&trace);
        assert_eq!(info["verdict"], "incomplete", "{when}: {info}");
        assert_eq!(check_writes(&trace, &when), kept, "{when}");
        assert_eq!(segments(&trace), Trace::open(&trace).unwrap().segments().len(), "{when}");
        let (ran, report) = place.replay(&trace, &place.directory("root"));
        assert_eq!(number(&report, "divergences"), 0, "{when}: {report:#}\n{}", ran.stderr);
        assert!(number(&report, "performed") > 3000, "{when}: {report:#}");
    }
}

/// What can be recorded is what is written: the trace of a killed recorder can still be performed.
#[test]
fn what_is_left_can_be_replayed() {
    Place::each(|place| replayed_after_a_kill(&place));
}

#[track_caller]
fn replayed_after_a_kill(place: &Place) {
    let trace = place.trace("t");
    let script =
        "i=0; while [ ! -e stop ]; do echo $i >> log; cp log copy$i; i=$((i + 1)); done; echo done";
    let mut recorder = start(&mut place.record(&trace, &[], ["/bin/dash", "-c", script]));
    wait_for("the program", || place.work().join("copy100").exists());
    recorder.kill().unwrap();
    fs::write(place.work().join("stop"), "").unwrap();
    let ran = finish(recorder, "the program");
    assert_eq!(ran.stdout, "done\n");
    run(place.reanimator(["recover"]).arg(&trace)).ok("recover");
    assert_eq!(place.info(&trace)["verdict"], "incomplete");
    let (ran, report) = place.replay(&trace, &place.directory("root"));
    assert_eq!(number(&report, "divergences"), 0, "{report:#}\n{}", ran.stderr);
    assert!(number(&report, "performed") > 500, "{report:#}");
}

/// The trace's disk is full: said clearly, and nothing happens to the program.
#[test]
fn the_disk_is_full() {
    let place = Place::new();
    let small = place.directory("small");
    let (program, small) = (tracee("count"), small.display().to_string());
    // A frame that found no room is lost, and may be 1 MiB; what the program makes is some three
    // times what there is room for.
    let script = format!(
        "mount -t tmpfs -o size=4m none {small}
         {REANIMATOR} record -o {small}/t.ra -- {} out 60000 2
         echo \"status $?\"
         mount -o remount,size=64m {small}
         {REANIMATOR} -q info --json {small}/t.ra",
        program.display()
    );
    let namespace = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-rm" };
    let ran = run(&mut place.command(["unshare", namespace, "/bin/sh", "-c", &script]));
    // The recorder may well end before the program that it has left alone.
    let (talk, json): (Vec<_>, Vec<_>) =
        ran.stdout.lines().partition(|l| l.starts_with("status ") || l.ends_with(" failed"));
    assert!(talk.contains(&"60000 writes, 0 failed"), "{ran:?}");
    assert!(talk.contains(&"status 125"), "{ran:?}");
    assert!(ran.stderr.contains("o space left"), "the message names the reason: {ran:?}");
    assert!(!ran.stderr.contains("/proc/self/fd"), "the message names the trace: {ran:?}");
    let info: serde_json::Value =
        serde_json::from_str(&json.concat()).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(info["verdict"], "incomplete", "{info}");
    assert!(number(&info, "calls") > 1000, "{info}");
}

/// The kernel has room for the trace's directory and nothing else.
#[test]
fn the_disk_is_full_from_the_start() {
    let place = Place::new();
    let small = place.directory("small").display().to_string();
    let script = format!(
        "mount -t tmpfs -o size=4k,nr_inodes=4 none {small}; {REANIMATOR} record -o {small}/t.ra \
            -- {} out 5000 1; echo \"status $?\"",
        tracee("count").display()
    );
    let namespace = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-rm" };
    let ran = run(&mut place.command(["unshare", namespace, "/bin/sh", "-c", &script]));
    // The program is not started where nothing can be recorded.
    assert_eq!(ran.stdout, "status 125\n", "{ran:?}");
    assert!(ran.stderr.contains("o space left"), "the message names the reason: {ran:?}");
    assert!(!ran.stderr.contains("/proc/self/fd"), "the message names the trace: {ran:?}");
}

/// How many calls the intact frames of the journals hold, counted from their bytes alone.
#[track_caller]
fn journal_calls(trace: &Path) -> u64 {
    let journals = fs::read_dir(trace.join("journal")).unwrap();
    journals.map(|entry| stream_calls(&fs::read(entry.unwrap().path()).unwrap())).sum()
}

/// A journal file is frames: `RAJ3`, `RAR3` or `RAF3`, the CRC-32C of all that follows it, the
/// length of the records, stream, recording, sequence number, first record: 40 bytes; then the
/// records, in the latter two with 8 bytes of a BPF ring before each.
fn stream_calls(mut bytes: &[u8]) -> u64 {
    let word =
        |from: &[u8], at: usize| u32::from_le_bytes(from[at..at + 4].try_into().unwrap()) as usize;
    let mut calls = 0;
    while bytes.len() >= 40 && [b"RAJ3", b"RAR3", b"RAF3"].contains(&bytes.first_chunk().unwrap()) {
        let ring = &bytes[..4] != b"RAJ3";
        let end = 40 + word(bytes, 8);
        if bytes.len() < end || crc32c(&bytes[8..end]) as usize != word(bytes, 4) {
            break;
        }
        let mut records = &bytes[40..end];
        while !records.is_empty() {
            let (head, len) = if ring { (8, word(records, 0)) } else { (0, word(records, 0)) };
            let discarded = ring && len & (1 << 30) != 0;
            calls += u64::from(!discarded && records[head + 4] == 0);
            records = &records[(head + (len & !(1 << 30))).next_multiple_of(8)..];
        }
        bytes = &bytes[end..];
    }
    calls
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8)
            .fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 })
    })
}
