//! What the eBPF engine must show: the same records as ptrace, whole data, the order of time across
//! CPUs, storms, filters in the kernel.

mod back_pressure;
mod scopes;

use crate::harness::place::{Place, Watch, number};
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use trace::record::{PayloadKind, RecordKind};
use trace::{Call, Item, ReadOptions, Trace};

fn count(n: u64, threads: u64) -> [String; 4] {
    [
        tracee("count").to_str().unwrap().to_owned(),
        "out".to_owned(),
        n.to_string(),
        threads.to_string(),
    ]
}

fn calls(trace: &Path) -> Vec<Call> {
    let items = Trace::open(trace).unwrap().read(ReadOptions { data: true });
    items
        .filter_map(|item| if let Item::Call(call) = item.unwrap() { Some(call) } else { None })
        .collect()
}

/// What of a call must be the same with every engine. Structs hold times and inodes: their lengths
/// must be.
fn told(call: &Call) -> String {
    let mut text =
        format!("{} = {:?}", abi::by_number(call.nr).map_or("?", |row| row.name()), call.ret);
    // What was read from files comes before the rest, or after it.
    let mut payloads: Vec<_> = call.payloads.iter().collect();
    payloads.sort_by_key(|p| (p.arg, p.kind, p.flags));
    // The environment says which way was chosen.
    for p in payloads.into_iter().filter(|p| (p.kind, p.arg) != (PayloadKind::StrVec, 2)) {
        let bytes: &[u8] = &p.bytes;
        let shown = match p.kind {
            // A file without a name, a pipe and a socket are called after their inodes.
            PayloadKind::Identity => String::from_utf8_lossy(bytes.get(88..).unwrap_or_default())
                .split(['#', '['])
                .next()
                .unwrap_or_default()
                .to_owned(),
            PayloadKind::Bytes => bytes.len().to_string(),
            _ => format!("{} {:x}", bytes.len(), crc_of(bytes)),
        };
        text.push_str(&format!("; {} {:?} {} {}: {shown}", p.arg, p.kind, p.flags, p.wanted));
    }
    text
}

fn crc_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn engines_agree() {
    // A journal would hold random numbers.
    let sql = "PRAGMA journal_mode = OFF; CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, \
        'y'); UPDATE t SET b = b || a; SELECT * FROM t;";
    let all = tracee("calls").to_str().unwrap().to_owned();
    // The kernel changes the arguments of a script while it begins it, and long ones do not fit
    // into one record.
    let (long, longer) = ("x".repeat(5000), "y".repeat(100_000));
    let programs: [&[&str]; 5] = [
        &[&all],
        &["/usr/bin/sqlite3", "t.db", sql],
        &[
            "/bin/sh",
            "-c",
            "mkdir d; echo x > d/f; ln -s f d/g; tar -cf d.tar d; rm -r d; tar -xf d.tar; exec ls \
                d",
        ],
        &["/bin/dd", "if=/dev/zero", "of=big", "bs=5M", "count=3", "status=none"],
        &["/usr/bin/env", "LONG=1", "./script", &long, &longer, "", &longer, "last"],
    ];
    for argv in programs {
        let place = Place::new();
        let mut seen: Vec<Vec<String>> = Vec::new();
        for watch in Watch::ALL {
            let mut here = Place::new();
            here.watch = watch;
            // One directory for all, as its name is among what is compared; addresses are equal
            // without randomisation.
            fs::remove_dir_all(place.work()).unwrap();
            place.directory("work");
            make_script(&place.work().join("script"));
            let trace = here.trace("t");
            let whole = ["/usr/bin/setarch", "-R"].iter().chain(argv);
            // The environment is as long for all, so that the stack lies where it does.
            let choice = if watch == Watch::Chunked { "chunked" } else { "default" };
            run(here
                .record(&trace, &[], whole)
                .current_dir(place.work())
                .env("HOME", "/")
                .env("REANIMATOR_BPF", choice))
            .ok("record");
            let info = here.info(&trace);
            assert_eq!(
                (&info["verdict"], number(&info, "unreadable")),
                (&Value::from("complete"), 0),
                "{info}"
            );
            let first = calls(&trace).iter().map(|c| c.tid).next();
            // What a process hears of others depends on when they ran; the first one's calls do
            // not.
            seen.push(
                calls(&trace)
                    .iter()
                    .filter(|c| Some(c.tid) == first && is_deterministic(c))
                    .map(told)
                    .collect(),
            );
        }
        let [ebpf, chunked, ptrace] = &seen[..] else { unreachable!("three ways") };
        assert!(ptrace.len() > 20, "{argv:?}");
        for (name, other) in [("run-time sizes", ebpf), ("fixed sizes", chunked)] {
            let different = ptrace
                .iter()
                .zip(other)
                .position(|(a, b)| a != b)
                .or((ptrace.len() != other.len()).then_some(ptrace.len().min(other.len())));
            assert!(
                different.is_none(),
                "{argv:?}, {name}: ptrace {:?}\nebpf {:?}",
                different.and_then(|at| ptrace.get(at)),
                different.and_then(|at| other.get(at))
            );
        }
    }
}

fn make_script(path: &Path) {
    fs::write(path, "#!/usr/bin/env -S dash -e\necho $# > count\n").unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Results that are numbers of processes or the machine's own differ from run to run.
fn is_deterministic(call: &Call) -> bool {
    abi::by_number(call.nr)
        .is_some_and(|row| !matches!(row.spec.ret, abi::Ret::Pid | abi::Ret::Host | abi::Ret::Addr))
}

/// What a descriptor leads to is recorded with each call, as the kernel has it at that moment.
#[test]
fn descriptors_are_seen() {
    for watch in [Watch::Ebpf, Watch::Chunked] {
        let place = Place::watched_by(watch);
        let (trace, from) = (place.trace("t"), place.work().join("from"));
        fs::write(&from, vec![7u8; 2500]).unwrap();
        run(&mut place.record(
            &trace,
            &[],
            ["/bin/dd", "if=from", "of=to", "bs=1000", "status=none"],
        ))
        .ok("record");
        let of = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino(), m.mode())).unwrap();
        let seen = |name: &str, fd: u64| -> Vec<_> {
            let all = calls(&trace);
            let moved = all.iter().filter(|c| {
                abi::by_number(c.nr).is_some_and(|row| row.name() == name) && c.args[0] == fd
            });
            moved
                .map(|c| {
                    (
                        (
                            u64::from(c.fd_snapshot.dev),
                            c.fd_snapshot.ino,
                            u32::from(c.fd_snapshot.mode),
                        ),
                        c.fd_snapshot.offset,
                    )
                })
                .collect()
        };
        let each = |of: (u64, u64, u32), offsets: &[u64]| {
            offsets.iter().map(|o| (of, *o)).collect::<Vec<_>>()
        };
        assert_eq!(seen("read", 0), each(of(&from), &[0, 1000, 2000, 2500]), "{watch:?}");
        assert_eq!(
            seen("write", 1),
            each(of(&place.work().join("to")), &[0, 1000, 2000]),
            "{watch:?}"
        );
        // A close still finds what it closes, and a number that means nothing leads nowhere.
        assert!(
            calls(&trace)
                .iter()
                .any(|c| abi::by_number(c.nr).is_some_and(|row| row.name() == "close")
                    && c.fd_snapshot.ino == of(&from).1)
        );
        assert!(
            calls(&trace)
                .iter()
                .filter(|c| c.errno() == Some(9))
                .all(|c| c.fd_snapshot.known().is_none())
        );
    }
}

/// What happened besides calls; that something is missing is no such thing.
fn events(trace: &Path) -> u64 {
    let items = Trace::open(trace).unwrap().read(ReadOptions { data: false });
    items.filter(|i| matches!(i, Ok(Item::Event(e)) if e.kind != RecordKind::Gap)).count() as u64
}

/// Data that were read before, which the journal refers to, are as whole as those of the first
/// time.
#[test]
fn what_is_read_again_is_whole() {
    for watch in [Watch::Ebpf, Watch::Chunked] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let data: Vec<u8> =
            (0..400_000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        fs::write(place.work().join("data"), &data).unwrap();
        let script = "i=0; while [ $i -lt 20 ]; do dd if=data bs=4k status=none of=/dev/null; \
            i=$((i + 1)); done";
        run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");
        let pages = data.len().div_ceil(4096);
        let mut read: Vec<Call> = calls(&trace);
        // dd has its input as descriptor 0.
        read.retain(|c| {
            (c.nr, c.args[0], c.args[2]) == (syscalls::x86_64::Sysno::read as u32, 0, 4096)
                && c.ret > 0
        });
        let bytes: Vec<u8> =
            read.iter().flat_map(|c| c.payloads[0].bytes.as_slice()).copied().collect();
        assert!(bytes == data.repeat(20), "{watch:?}: {} of {} reads", read.len(), pages * 20);
        assert_eq!(place.info(&trace)["verdict"], "complete", "{watch:?}");
    }
}

/// A buffer that no ring holds is captured whole.
#[test]
fn long_buffers_are_whole() {
    for watch in [Watch::Ebpf, Watch::Chunked] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        run(&mut place.record(
            &trace,
            &["--buffer", "4M"],
            ["/bin/dd", "if=/dev/zero", "of=big", "bs=64M", "count=2", "status=none"],
        ))
        .ok("record");
        let info = place.info(&trace);
        assert_eq!(info["verdict"], "complete", "{watch:?}: {info}");
        let longest = calls(&trace).iter().flat_map(|c| &c.payloads).map(|p| p.bytes.len()).max();
        assert_eq!(longest, Some(64 << 20));
    }
}

/// A call that began because another one had returned never seems to have begun before that,
/// whichever CPUs they ran on.
#[test]
fn time_is_the_same_on_all_cpus() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], [tracee("order").to_str().unwrap(), "out", "20000"]))
        .ok("record");
    let mut writes: Vec<Call> = calls(&trace);
    writes.retain(|c| c.nr == syscalls::x86_64::Sysno::pwrite64 as u32);
    writes.sort_unstable_by_key(|c| c.args[3]);
    assert_eq!(writes.len(), 20_000);
    for pair in writes.windows(2) {
        let [first, then] = pair else { unreachable!("windows of two") };
        assert!(first.exited.is_some_and(|left| left <= then.entered), "{first:?}\n{then:?}");
    }
}

#[test]
fn storms_of_processes_and_threads() {
    let storm = tracee("storm").to_str().unwrap().to_owned();
    for (what, n) in [("forks", 10_000), ("threads", 2_000)] {
        let place = Place::watched_by(Watch::Ebpf);
        let trace = place.trace("t");
        let ran = run(&mut place.record(&trace, &[], [&storm, what, &n.to_string()])).ok("record");
        assert_eq!(ran.stdout, format!("{n}, 0 failed\n"));
        let info = place.info(&trace);
        assert_eq!(info["verdict"], "complete", "{info}");
        assert_eq!(
            number(&info, if what == "forks" { "processes" } else { "threads" }),
            n + 1,
            "{info}"
        );
        let ends = Trace::open(&trace)
            .unwrap()
            .read(ReadOptions { data: false })
            .filter(|i| matches!(i, Ok(Item::Event(e)) if e.kind == RecordKind::Exit))
            .count();
        assert_eq!(ends as u64, n + 1);
    }
}

/// A filter is applied in the kernel: a call that it leaves out has no record.
#[test]
fn filters_leave_no_gap() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    run(&mut place.record(&trace, &["-e", "pwrite64,openat"], count(1000, 2))).ok("record");
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "complete", "{info}");
    let rows = place.rows(&trace, &[]);
    assert_eq!(rows.iter().filter(|r| r["call"] == "pwrite64").count(), 1000);
    assert!(rows.iter().all(|r| r["call"] == "pwrite64" || r["call"] == "openat"));
}

/// A filter by outcome is applied in the kernel too, and what was asked for is whole: paths that
/// were read after the call.
#[test]
fn only_calls_that_failed() {
    let place = Place::watched_by(Watch::Ebpf);
    let script = "cat nowhere; echo x > here; cat here; rmdir here; true";
    let argv = ["/bin/dash", "-c", script];
    run(&mut place.record(&place.trace("all"), &[], argv)).ok("record");
    run(&mut place.record(&place.trace("failed"), &["-e", "status=failed"], argv)).ok("record");
    let told = |rows: Vec<Value>| {
        rows.iter()
            .map(|r| format!("{} {} {}", r["call"], r["error"], r["args"]["filename"]))
            .collect::<Vec<_>>()
    };
    let failed = told(place.rows(&place.trace("failed"), &[]));
    assert_eq!(failed, told(place.rows(&place.trace("all"), &["-e", "status=failed"])));
    assert!(failed.iter().any(|f| f.contains("nowhere")), "{failed:?}");
    assert_eq!(place.info(&place.trace("failed"))["verdict"], "complete");
}
