//! Real databases, from their creation to their end: recorded by the eBPF engine with nothing lost,
//! replayed, and used again.
//!
//! PostgreSQL is reached through TCP on the loopback: a Unix socket is a file that replay does not
//! make. Its parallel workers are off: they race for a directory (one makes it while another finds
//! that it is not there), and replay does not yet put such calls in the order that their results
//! prove. None of them maps files to write them here.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::same_again;
use crate::harness::run::run;
use crate::harness::tree;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Records a command, and requires that the trace is complete.
#[track_caller]
fn recorded(place: &Place, command: &mut Command, trace: &Path) {
    run(command).ok("record");
    let info = place.info(trace);
    assert_eq!((&info["verdict"], number(&info, "lost")), (&Value::from("complete"), 0), "{info}");
}

/// Performs it again; where its working directory is then.
#[track_caller]
fn replayed(place: &Place, trace: &Path) -> PathBuf {
    let root = place.directory("root");
    same_again(place, trace, &root);
    root.join(place.work().strip_prefix("/").unwrap())
}

#[track_caller]
fn same_tree(place: &Place, again: &Path) {
    let difference = tree::difference(&tree::describe(&place.work()), &tree::describe(again));
    assert!(difference.is_empty(), "the trees differ (- recorded, + replayed):\n{difference}");
}

/// The whole life of a PostgreSQL in `$1`, on port `$2` and a socket; what it held at last is
/// dumped to `$3`.
const LIFE: &str = r#"set -eu
B=$(echo /usr/lib/postgresql/*/bin)
$B/initdb -D $1 -A trust >/dev/null
printf "listen_addresses = '127.0.0.1'\nport = $2\nunix_socket_directories = '$PWD'\n" \
    >> $1/postgresql.conf
$B/pg_ctl -D $1 -l log -w start >/dev/null
$B/pgbench -h 127.0.0.1 -p $2 -i -s 1 postgres >/dev/null 2>&1
$B/pgbench -h $PWD -p $2 -c 4 -j 2 -T ${PGBENCH_SECONDS:-4} postgres >/dev/null 2>&1
$B/pg_dump -h 127.0.0.1 -p $2 postgres > $3
$B/pg_ctl -D $1 -w -m fast stop >/dev/null
"#;

/// Starts the PostgreSQL in `$1` once more, on port `$2`, and dumps it to `$3`.
const AGAIN: &str = r#"set -eu
B=$(echo /usr/lib/postgresql/*/bin)
printf "port = $2\n" >> $1/postgresql.conf
$B/pg_ctl -D $1 -l $3.log -w start >/dev/null
$B/pg_dump -h 127.0.0.1 -p $2 postgres > $3
$B/pg_ctl -D $1 -w -m fast stop >/dev/null
"#;

/// A dump without the lines that hold a random word.
fn dump(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A port that is free now.
fn port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[test]
fn postgresql() {
    let place = Place::watched_by(Watch::Ebpf);
    let user = nix::unistd::User::from_name("postgres")
        .unwrap()
        .expect("the user postgres: is Debian's postgresql installed?");
    let own = |path: &Path| {
        run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(path)).ok("chown")
    };
    own(&place.work());
    let trace = place.trace("t");
    let data = place.work().join("data").display().to_string();
    let mut record =
        place.record(&trace, &[], ["/bin/sh", "-c", LIFE, "life", &data, &port(), "dump.sql"]);
    record.envs([
        ("SUDO_UID", user.uid.to_string()),
        ("SUDO_GID", user.gid.to_string()),
        ("SUDO_USER", "postgres".to_owned()),
    ]);
    // Until the test has seen it.
    record.envs(std::env::var("PGBENCH_SECONDS").map(|s| ("PGBENCH_SECONDS", s)));
    recorded(&place, &mut record, &trace);
    let again = replayed(&place, &trace);
    same_tree(&place, &again);

    // Replay's directory is as good as the original.
    let control = |data: &Path| {
        let script = "LC_ALL=C exec /usr/lib/postgresql/*/bin/pg_controldata \"$0\"";
        run(place.command(["/bin/sh", "-c", script]).arg(data)).ok("pg_controldata").stdout
    };
    assert_eq!(control(&place.work().join("data")), control(&again.join("data")));
    let copy = place.directory("copy");
    run(Command::new("cp").arg("-a").arg(again.join("data")).arg(&copy)).ok("cp");
    own(&copy);
    let (data, out) = (copy.join("data"), copy.join("dump.sql"));
    let mut start = place.command([
        "/usr/bin/setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "/bin/sh",
        "-c",
        AGAIN,
        "again",
    ]);
    run(start.arg(&data).arg(port()).arg(&out)).ok("PostgreSQL on what replay made");
    assert_eq!(dump(&out), dump(&place.work().join("dump.sql")));
}

#[test]
fn rocksdb() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let bench = "--benchmarks=fillrandom,readrandom,overwrite,compact --num=20000 --db=db \
        --mmap_read=0 --mmap_write=0 --write_buffer_size=1000000";
    let argv = ["/usr/bin/db_bench"].into_iter().chain(bench.split(' '));
    recorded(&place, &mut place.record(&trace, &[], argv), &trace);
    let again = replayed(&place, &trace);
    same_tree(&place, &again);
}

#[test]
fn redis() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let script = "set -eu
        redis-server --port $0 --bind 127.0.0.1 --appendonly yes --appendfsync always --save '' \
        --daemonize no >log 2>&1 &
        until redis-cli -p $0 ping >/dev/null 2>&1; do sleep 0.05; done
        redis-benchmark -p $0 -t set,incr,lpush -n 2000 -r 1000 -q >/dev/null
        redis-cli -p $0 shutdown nosave || true
        wait";
    recorded(&place, &mut place.record(&trace, &[], ["/bin/sh", "-c", script, &port()]), &trace);
    let again = replayed(&place, &trace);
    same_tree(&place, &again);
}
