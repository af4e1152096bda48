//! What can be chosen of a trace, its names and its data; and looking at traces and trees without a
//! replay.

use crate::harness::place::{Place, User, Watch, number};
use crate::harness::run::run;
use crate::harness::tracee::repository;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const SCRIPT: &str = "mkdir a b; for i in 1 2 3; do echo hello $i >> a/f; cat a/f >> b/g; done; ln \
    a/f a/l; sleep 0.2; echo late > a/late; mv b/g b/h; cat b/h";

fn recorded(place: &Place) -> PathBuf {
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", SCRIPT])).ok("record");
    trace
}

/// Replays with options; the report, and where the program's directory is then.
#[track_caller]
fn same(place: &Place, trace: &Path, name: &str, options: &[&str]) -> (Value, PathBuf) {
    let root = place.directory(name);
    let (ran, report) = place.replay_with(trace, &root, options);
    let outcome = (number(&report, "divergences"), number(&report, "state.different"), ran.code);
    assert_eq!(outcome, (0, 0, Some(0)), "{options:?}: {report:#}\n{}", ran.stderr);
    (report, root.join(place.work().strip_prefix("/").unwrap()))
}

/// As root with eBPF, and as an ordinary user with ptrace, and a user namespace for the replay.
fn by_root_and_others(test: impl Fn(&Place)) {
    for place in [Place::watched_by(Watch::Ebpf), Place::of(User::Ordinary)] {
        eprintln!("watched by {:?}", place.watch);
        test(&place);
    }
}

#[test]
fn orders_paces_and_depths() {
    by_root_and_others(|place| {
        let trace = recorded(place);
        let ways = [
            "--order resource --preload",
            "--order strict --verify result",
            "--pace think*0.5",
            "--pace recorded*0.5 --memory 64M",
        ];
        for (i, way) in ways.into_iter().enumerate() {
            let (report, here) =
                same(place, &trace, &format!("root{i}"), &way.split(' ').collect::<Vec<_>>());
            assert!(
                here.join("b/h").exists() && number(&report, "performed") > 30,
                "{way}: {report:#}"
            );
        }
    });
}

/// What is recorded with `-e %replay` is performed as if all had been: nothing is missing, and
/// there is no warning. Descriptors are inherited, duplicated and passed.
#[test]
fn what_replay_needs_is_enough() {
    let pass = repository().join("tests/tracees/pass.py").display().to_string();
    let waits = "(sleep 0.01; echo x > first) & wait; exec 3>second; (echo y >&3) | cat; sqlite3 \
        db 'create table t(a); insert into t values(1)'";
    for (watch, argv) in [
        (Watch::Ebpf, vec!["/usr/bin/python3", &pass]),
        (Watch::Ptrace, vec!["/usr/bin/python3", &pass]),
        (Watch::Ebpf, vec!["/bin/sh", "-c", waits]),
    ] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        run(&mut place.record(&trace, &["-e", "%replay"], &argv)).ok("record");
        assert!(
            place.rows(&trace, &["-e", "!%replay"]).iter().all(|row| row["call"].is_null()),
            "{argv:?}"
        );
        for (name, options) in [("root", &[][..]), ("trusted", &["--trust"])] {
            let (ran, report) = place.replay_with(&trace, &place.directory(name), options);
            assert_eq!(
                (number(&report, "divergences"), number(&report, "state.different"), ran.code),
                (0, 0, Some(0)),
                "{argv:?}: {report:#}\n{}",
                ran.stderr
            );
            assert!(
                number(&report, "performed") > 10 && !ran.stderr.contains("recorded with -e"),
                "{report:#}\n{}",
                ran.stderr
            );
        }
    }
    let place = Place::watched_by(Watch::Ebpf);
    run(&mut place.record(&place.trace("t"), &["-e", "!lseek"], ["/bin/true"])).ok("record");
    let (ran, _) = place.replay(&place.trace("t"), &place.directory("root"));
    assert!(ran.stderr.contains("recorded with -e !lseek"), "{}", ran.stderr);
}

#[test]
fn what_is_left_out_breaks_nothing() {
    by_root_and_others(|place| {
        let trace = recorded(place);
        let (_, all) = same(place, &trace, "all", &[]);
        assert!(all.join("a/late").exists() && all.join("b/h").exists());

        // In the middle of the pause.
        let rows = place.rows(&trace, &[]);
        let late = rows
            .iter()
            .find(|row| row["call"] == "openat" && row.to_string().contains("a/late"))
            .unwrap();
        let middle = format!(
            "{}",
            (number(late, "entered") - number(&rows[0], "entered")) as f64 / 1e9 - 0.1
        );
        let (report, here) = same(place, &trace, "until", &["--until", &middle]);
        assert!(here.join("b/g").exists() && !here.join("a/late").exists());
        assert_eq!(number(&report, "state.compared"), 0);

        // What comes before makes the state for what comes then.
        let (report, here) = same(place, &trace, "from", &["--from", &middle]);
        assert!(here.join("a/late").exists() && here.join("b/h").exists());
        assert!(
            number(&report, "early") > 20 && number(&report, "state.compared") > 5,
            "{report:#}"
        );

        let (_, here) = same(place, &trace, "exclude", &["--exclude", "**/b/**"]);
        assert!(
            here.join("a/late").exists() && here.join("b").exists() && !here.join("b/h").exists()
        );
        let (_, here) = same(place, &trace, "include", &["--include", "**/work/a**"]);
        assert!(here.join("a/late").exists() && !here.join("b").exists());
        let (_, here) = same(place, &trace, "skip", &["--skip", "link,linkat,%stat"]);
        assert!(here.join("a/late").exists() && !here.join("a/l").exists());

        // The shell makes files that another process reads: what those find of the others' is
        // explained.
        let shell = rows[0]["pid"].to_string();
        let (report, _) = same(place, &trace, "pid", &["--only-pid", &shell]);
        assert!(
            number(&report, "explained") > 0
                && number(&report, "skipped_by.process not chosen") > 0,
            "{report:#}"
        );
    });
}

#[test]
fn other_names_and_other_data() {
    by_root_and_others(|place| {
        let trace = recorded(place);
        let work = place.work();
        let (report, here) =
            same(place, &trace, "map", &["--map", &format!("{}=/other/place", work.display())]);
        let other = Path::new(report["root"].as_str().unwrap()).join("other/place");
        assert!(!here.exists());
        assert_eq!(fs::read(other.join("b/h")).unwrap(), fs::read(work.join("b/h")).unwrap());

        let (_, here) = same(place, &trace, "zero", &["--write-data", "zero"]);
        let original = fs::read(work.join("b/h")).unwrap();
        assert_eq!(fs::read(here.join("b/h")).unwrap(), vec![0; original.len()]);
        let (_, here) = same(place, &trace, "random", &["--write-data", "random"]);
        let other = fs::read(here.join("b/h")).unwrap();
        assert!(other.len() == original.len() && other != original);
        let alike = |a: &[u8]| {
            (0..a.len()).map(|i| (0..i).rev().find(|k| a[*k] == a[i])).collect::<Vec<_>>()
        };
        assert_eq!(alike(&other), alike(&original), "equal bytes stay equal");
        let (_, here) = same(place, &trace, "pattern", &["--write-data", "pattern:6162"]);
        assert!(fs::read(here.join("a/late")).unwrap().starts_with(b"abab"));
    });
}

/// One byte, a file, a mode, an attribute, a link: `verify --against` names each.
#[test]
fn a_tree_is_verified() {
    by_root_and_others(|place| {
        let trace = recorded(place);
        let (_, here) = same(place, &trace, "root", &[]);
        let root = place.path("root");
        let verify = || run(place.reanimator(["verify", "--against"]).arg(&root).arg(&trace));
        assert_eq!(verify().code, Some(0));
        assert!(
            run(place.reanimator(["verify"]).arg(&trace))
                .ok("verify")
                .stdout
                .contains("sound and complete")
        );
        let mut bytes = fs::read(here.join("b/h")).unwrap();
        bytes[3] ^= 1;
        fs::write(here.join("b/h"), bytes).unwrap();
        fs::write(here.join("b/more"), "").unwrap();
        fs::set_permissions(here.join("a"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        run(place.command(["setfattr", "-n", "user.x", "-v", "y"]).arg(here.join("a/late")))
            .ok("setfattr");
        fs::hard_link(here.join("a/f"), here.join("a/third")).unwrap();
        let said = verify();
        assert_eq!(said.code, Some(1), "{said:?}");
        for (name, what) in [
            ("b/h", "content"),
            ("b/more", "presence"),
            ("a", "mode"),
            ("a/late", "xattr user.x"),
            ("a/f", "links"),
            ("a/third", "presence"),
        ] {
            let line = format!("{}: {what}", place.work().join(name).display());
            assert!(said.stdout.contains(&line), "{line}: {}", said.stdout);
        }
    });
}

/// A damaged trace is said to be damaged, where.
#[test]
fn a_damaged_trace_is_verified() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(&place);
    let segment = trace.join("calls-00000.parquet");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&segment, bytes).unwrap();
    let said = run(place.reanimator(["verify"]).arg(&trace));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stdout.contains("calls-00000.parquet") && said.stdout.contains("damaged"),
        "{said:?}"
    );
}

/// Two targets in turn: a table, a document, a plot.
#[test]
fn targets_are_compared() {
    by_root_and_others(|place| {
        let trace = recorded(place);
        let (one, two, plot) =
            (place.directory("one"), place.directory("two"), place.work().join("plot.svg"));
        let targets = [format!("one={}", one.display()), format!("two={}", two.display())];
        let bench = |more: &[&str]| {
            let options =
                ["bench", "--repeat", "2", "--target", &targets[0], "--target", &targets[1]];
            run(place.reanimator(options).args(more).arg(&trace)).ok("bench").stdout
        };
        let table = bench(&["--plot", plot.to_str().unwrap()]);
        assert!(
            table.contains("openat") && table.contains("recorded") && table.contains("the same"),
            "{table}"
        );
        assert!(fs::read_to_string(&plot).unwrap().contains("openat"));
        let document: Value = serde_json::from_str(&bench(&["--json"])).unwrap();
        assert_eq!(document["targets"][1]["runs"].as_array().unwrap().len(), 2);
        assert!(
            document["targets"][0]["runs"][0]["latency"]["openat"]["replayed"]["count"]
                .as_u64()
                .unwrap()
                > 5
        );
        assert!(fs::read_dir(&one).unwrap().next().is_none(), "nothing is left on a target");
    });
}

/// A snapshot brings what the program opened and neither read nor wrote, holes as holes; not what
/// it overwrote.
#[test]
fn a_snapshot_fills_the_initial_state() {
    const PROGRAM: &str = "import mmap, os\nf = os.open('big', os.O_RDWR); os.pwrite(f, b'new' * \
        1000, 5000); m = mmap.mmap(f, 0, prot=mmap.PROT_READ); m[0]\n\
        g = os.open('sparse', os.O_RDWR); os.pread(g, 100, 0); os.ftruncate(f, 200000)";
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let big: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).take(300_000).collect();
        fs::write(place.work().join("big"), &big).unwrap();
        fs::File::create(place.work().join("sparse")).unwrap().set_len(64 << 20).unwrap();
        for name in ["big", "sparse"] {
            place.command(["chmod", "666", name]).status().unwrap();
        }
        let trace = place.trace("t");
        run(&mut place.record(&trace, &["--snapshot"], ["/usr/bin/python3", "-c", PROGRAM]))
            .ok("record");
        assert!(number(&place.info(&trace), "snapshot_bytes") > 190_000);
        let made = place.directory("made");
        run(place.reanimator(["prepare", "--root"]).arg(&made).arg(&trace)).ok("prepare");
        let found =
            fs::read(made.join(place.work().strip_prefix("/").unwrap()).join("big")).unwrap();
        assert!(
            found[..5000] == big[..5000]
                && found[8000..200_000] == big[8000..200_000]
                && found.len() == big.len()
        );
        assert!(found[5000..8000].iter().all(|b| *b == 0), "overwritten unread");
        let (_, here) = same(&place, &trace, "root", &[]);
        assert_eq!(
            fs::read(here.join("big")).unwrap(),
            fs::read(place.work().join("big")).unwrap()
        );
        let sparse = fs::metadata(here.join("sparse")).unwrap();
        assert!(
            sparse.len() == 64 << 20 && std::os::unix::fs::MetadataExt::blocks(&sparse) <= 64,
            "{sparse:?}"
        );
    }
}
