//! The recorder is killed, or its disk is full: the program does not notice, and the trace says what it holds.

use crate::harness::place::{Place, REANIMATOR, Watch, number};
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use crate::recording::along::{EARLY, enough, now_and_then, segments};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use trace::{Item, Trace};

const THREADS: u64 = 2;
const WRITES: u64 = 6000;

/// What `count` has written according to the trace: each thread's writes in their order, with their bytes.
#[track_caller]
fn check_writes(trace: &Path, when: &str) -> u64 {
    let opened = Trace::open(trace).unwrap_or_else(|e| panic!("{when}: {e}"));
    let mut next: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    let mut calls = 0;
    let until = opened.summary().complete_until;
    for item in opened.read(trace::Want { data: true }) {
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

/// One moment: kills the recorder `after` the program has begun, and looks at what is left.
#[track_caller]
fn kill_at(watch: Watch, after: Duration) -> &'static str {
    let when = format!("{watch:?}, killed after {after:?}");
    let place = Place::watched_by(watch);
    let trace = place.trace("t");
    let argv = [
        tracee("count").to_str().unwrap().to_owned(),
        "out".to_owned(),
        WRITES.to_string(),
        THREADS.to_string(),
    ];
    let mut recorder = start(&mut place.record(&trace, &[], &argv));
    wait_for("the program", || place.work().join("out").exists());
    std::thread::sleep(after);
    let over = fs::metadata(place.work().join("out")).unwrap().len() == WRITES * 64;
    recorder.kill().unwrap();
    // The program holds the other end of our pipe: this ends when it has ended.
    let ran = finish(recorder, "the program");
    assert_eq!(ran.stdout, format!("{WRITES} writes, 0 failed\n"), "{when}: {ran:?}");
    if ran.code == Some(0) {
        return "was done";
    }
    let kept = journal_calls(&trace);
    let info = place.info(&trace);
    let verdict = info["verdict"].as_str().unwrap();
    assert!(verdict == "incomplete" || over, "{when}: {info}");
    let calls = check_writes(&trace, &when);
    let until = Trace::open(&trace).unwrap().summary().complete_until;
    assert!(over || until.is_some() == (watch != Watch::Ptrace), "{when}: {until:?}");
    assert_eq!(calls, number(&info, "calls"), "{when}");
    if let Some(kept) = kept {
        assert_eq!(calls, kept, "{when}: calls in the trace, calls in the journal's frames");
    }
    if over { "sealing" } else { "recording" }
}

#[test]
fn the_recorder_is_killed_at_fifty_moments() {
    for watch in Watch::ALL {
        kill_at_moments(watch, if watch == Watch::Chunked { 10 } else { 50 });
    }
}

#[track_caller]
fn kill_at_moments(watch: Watch, moments: u32) {
    // How long it takes when nobody is killed bounds the moments.
    let begun = SystemTime::now();
    kill_at(watch, Duration::from_millis(1));
    let place = Place::watched_by(watch);
    let argv = [
        tracee("count").to_str().unwrap().to_owned(),
        "out".to_owned(),
        WRITES.to_string(),
        THREADS.to_string(),
    ];
    let timed = SystemTime::now();
    run(&mut place.record(&place.trace("t"), &[], &argv)).ok("record");
    let longest = timed.elapsed().unwrap();
    let mut random = u64::try_from(
        begun.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() & u128::from(u64::MAX),
    )
    .unwrap();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..moments {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (random >> 33) as f64 / f64::from(1u32 << 31);
        // The eBPF engine is hardly slower than the program: most of the time it needs is before the program begins.
        let longest =
            if watch == Watch::Ptrace { longest.mul_f64(0.4) } else { Duration::from_millis(30) };
        *seen.entry(kill_at(watch, longest.mul_f64(share))).or_default() += 1;
    }
    assert!(
        watch != Watch::Ptrace || seen.get("recording").is_some_and(|&n| n > 0),
        "some moments are to be while recording: {seen:?}"
    );
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
        let kept = journal_calls(&trace).unwrap();
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
    // A frame that found no room is lost, and may be 1 MiB; what the program makes is some three times what there is room for.
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
    assert!(talk.contains(&"status 0") || talk.contains(&"status 125"), "{ran:?}");
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
        "mount -t tmpfs -o size=4k,nr_inodes=4 none {small}; {REANIMATOR} record -o {small}/t.ra -- {} out 5000 1; echo \"status $?\"",
        tracee("count").display()
    );
    let namespace = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-rm" };
    let ran = run(&mut place.command(["unshare", namespace, "/bin/sh", "-c", &script]));
    let started = ran.stdout.contains("writes");
    assert!(!started || ran.stdout.contains("5000 writes, 0 failed"), "{ran:?}");
    assert!(started || ran.stdout.contains("status 125"), "{ran:?}");
    assert!(ran.stderr.contains("o space left"), "the message names the reason: {ran:?}");
    assert!(!ran.stderr.contains("/proc/self/fd"), "the message names the trace: {ran:?}");
}

/// How many calls the journal's intact frames hold, counted from its bytes alone; `None` if there is no journal any more, or the trace is sealed and it is going.
fn journal_calls(trace: &Path) -> Option<u64> {
    if fs::read_to_string(trace.join("trace.json"))
        .is_ok_and(|json| json.replace(' ', "").contains(r#""state":"sealed""#))
    {
        return None;
    }
    let mut calls = 0;
    for entry in fs::read_dir(trace.join("journal")).ok()? {
        calls += stream_calls(&fs::read(entry.ok()?.path()).ok()?);
    }
    Some(calls)
}

/// A journal file is frames: `RAJ3`, `RAR3` or `RAF3`, the CRC-32C of all that follows it, the length of the records, stream, recording, sequence number, first
/// record: 40 bytes; then the records, in the latter two with 8 bytes of a BPF ring before each.
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
