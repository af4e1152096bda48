//! What the eBPF engine watches: the machine, a cgroup, other recorders' programs; and what it
//! needs for that.

use crate::harness::place::{Place, User, Watch, has_begun, number};
use crate::harness::run::{finish, run, start, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// Two recorders at once, a recorded recorder, a recorded tracer, namespaces: each trace is
/// complete, and of its own program only.
#[test]
fn recorders_side_by_side_and_within_each_other() {
    let place = Place::watched_by(Watch::Ebpf);
    let script = |name: &str| {
        format!("i=0; while [ $i -lt 300 ]; do echo {name} >> {name}; i=$((i + 1)); done")
    };
    let both: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|n| start(&mut place.record(&place.trace(n), &[], ["/bin/dash", "-c", &script(n)])))
        .collect();
    both.into_iter().for_each(|child| drop(finish(child, "a recorder").ok("record")));
    for (name, other) in [("a", "b"), ("b", "a")] {
        let info = place.info(&place.trace(name));
        assert_eq!(
            (&info["verdict"], number(&info, "processes")),
            (&Value::from("complete"), 1),
            "{info}"
        );
        assert!(
            place
                .rows(&place.trace(name), &["-e", "write"])
                .iter()
                .all(|w| !w.to_string().contains(&format!("/work/{other}\"")))
        );
    }
    let inner = place.trace("inner").display().to_string();
    let within = [
        crate::harness::place::REANIMATOR,
        "-q",
        "record",
        "--engine",
        "ebpf",
        "-o",
        &inner,
        "--",
        "/bin/echo",
        "within",
    ];
    assert_eq!(
        run(&mut place.record(&place.trace("outer"), &[], within)).ok("a recorded recorder").stdout,
        "within\n"
    );
    let tracer = ["/usr/bin/strace", "-f", "-o", "strace.out", "/bin/echo", "traced"];
    assert_eq!(
        run(&mut place.record(&place.trace("tracer"), &[], tracer)).ok("a recorded tracer").stdout,
        "traced\n"
    );
    let apart = [
        "/usr/bin/unshare",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "/bin/dash",
        "-c",
        "echo x > f; cat f; echo $$",
    ];
    assert_eq!(
        run(&mut place.record(&place.trace("apart"), &[], apart)).ok("namespaces").stdout,
        "x\n1\n"
    );
    for name in ["inner", "outer", "tracer", "apart"] {
        let info = place.info(&place.trace(name));
        assert_eq!(info["verdict"], "complete", "{name}: {info}");
    }
}

/// Capabilities are enough, without root: CAP_BPF and CAP_PERFMON to watch, CAP_SYS_PTRACE to look
/// at descriptors.
#[test]
fn capabilities_are_enough() {
    let place = Place::of(User::Ordinary);
    let trace = place.trace("t");
    let caps = "caps=-all,+bpf,+perfmon,+sys_ptrace";
    let mut command = Command::new("/usr/bin/setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        &format!("--inh-{caps}"),
        &format!("--ambient-{caps}"),
    ]);
    command
        .arg(place.path("reanimator"))
        .args(["-q", "record", "--engine", "ebpf", "-o"])
        .arg(&trace);
    // What cp moves inside the kernel is read by a thread of the recorder.
    run(command
        .args(["--", "/bin/dash", "-c", "dd if=/dev/zero of=a bs=1M count=3 status=none; cp a b"])
        .current_dir(place.work()))
    .ok("record");
    let info = place.info(&trace);
    assert_eq!(
        (&info["verdict"], &info["uid"]),
        (&Value::from("complete"), &Value::from(65534)),
        "{info}"
    );
    let (ran, report) = place.replay(&trace, &place.directory("root"));
    assert_eq!(
        (ran.code, number(&report, "divergences"), number(&report, "state.different")),
        (Some(0), 0, 0),
        "{report}"
    );
}

/// The whole machine, and a cgroup, until Ctrl-C.
#[test]
fn the_machine_and_a_cgroup() {
    let place = Place::new();
    let cgroup = crate::harness::place::cgroups().join(format!("e2e-{}", std::process::id()));
    fs::create_dir(&cgroup).unwrap_or_else(|e| {
        panic!("{}: {e}: this test wants root and cgroup v2", cgroup.display())
    });
    let enter =
        format!("echo 0 > {}/cgroup.procs; echo inside > inside; exec sleep 0.2", cgroup.display());
    for (name, options) in
        [("machine", vec!["-a"]), ("group", vec!["-G", cgroup.to_str().unwrap()])]
    {
        let trace = place.trace(name);
        let recorder = start(place.reanimator(["-q", "record", "-o"]).arg(&trace).args(options));
        wait_for("the recorder", || has_begun(&trace) || trace.join("journal/00000").exists());
        std::thread::sleep(std::time::Duration::from_millis(1000));
        run(&mut place.command(["/bin/sh", "-c", "echo outside > outside"])).ok("outside");
        run(&mut place.command(["/bin/sh", "-c", &enter])).ok("inside");
        kill(Pid::from_raw(i32::try_from(recorder.id()).unwrap()), Signal::SIGINT).unwrap();
        finish(recorder, "the recorder").ok("record");
        let info = place.info(&trace);
        assert_eq!(
            (&info["verdict"], number(&info, "lost")),
            (&Value::from("complete"), 0),
            "{info}"
        );
        let writes = place.rows(&trace, &["-e", "write"]);
        let wrote =
            |what: &str| writes.iter().any(|w| w.to_string().contains(&format!("/work/{what}")));
        assert!(wrote("inside"), "{name}");
        assert_eq!(wrote("outside"), name == "machine", "{name}");
    }
    // Its processes have ended.
    wait_for("the cgroup to be empty", || fs::remove_dir(&cgroup).is_ok());
}

/// Programs begin, call and end all the time: neither where a recording begins nor where it ends is
/// a call half there.
#[test]
fn a_recording_begins_and_ends_amid_a_storm() {
    let place = Place::watched_by(Watch::Ebpf);
    let storm = "while :; do /bin/true; done";
    let storms: Vec<_> =
        (0..3).map(|_| Storm(start(&mut place.command(["/bin/sh", "-c", storm])))).collect();
    let joined = storms[0].0.id().to_string();
    for round in 0..6 {
        for (name, options) in [("machine", ["-a"].as_slice()), ("joined", &["-p", &joined])] {
            let trace = place.trace(&format!("{name}{round}"));
            let recorder =
                start(place.reanimator(["-q", "record", "-o"]).arg(&trace).args(options));
            wait_for("the recorder", || has_begun(&trace) || trace.join("journal/00000").exists());
            std::thread::sleep(std::time::Duration::from_millis(300));
            kill(Pid::from_raw(i32::try_from(recorder.id()).unwrap()), Signal::SIGINT).unwrap();
            finish(recorder, "the recorder").ok("record");
            let info = place.info(&trace);
            assert_eq!(
                (&info["verdict"], number(&info, "lost")),
                (&Value::from("complete"), 0),
                "{name}{round}: {info}"
            );
        }
    }
}

/// Ends with the test, whatever its outcome.
struct Storm(std::process::Child);

impl Drop for Storm {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
