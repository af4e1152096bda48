//! Real databases, from their creation to their end: recorded by the eBPF engine with nothing lost,
//! replayed, and used again.
//!
//! PostgreSQL is reached through TCP on the loopback: a Unix socket is a file that replay does not
//! make. Its parallel workers are off: they race for a directory (one makes it while another finds
//! that it is not there), and replay does not yet put such calls in the order that their results
//! prove.

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

/// The whole life of a MariaDB in `data`, whose InnoDB uses `$1`; what its tables held at last goes
/// to `sums`.
const MARIADB: &str = r#"set -eu
mariadb-install-db --user=root --datadir=$PWD/data --auth-root-authentication-method=normal \
    --skip-name-resolve --cross-bootstrap >log 2>&1
mariadbd --no-defaults --user=root --datadir=$PWD/data --socket=$PWD/s --skip-networking \
    --innodb-linux-aio=$1 >log 2>&1 &
until mariadb-admin -S s ping >/dev/null 2>&1; do sleep 0.1; done
mariadb -S s -e 'create database sbtest'
for step in prepare run; do
    sysbench oltp_read_write --db-driver=mysql --mysql-socket=s --mysql-user=root --tables=2 \
        --table-size=1000 --threads=4 --events=200 --time=0 $step >log.$step
done
mariadb -S s -e 'checksum table sbtest.sbtest1, sbtest.sbtest2' >sums
mariadb-admin -S s shutdown
wait
"#;

/// Starts the MariaDB in `data` once more, and prints what its tables hold.
const MARIADB_AGAIN: &str = r#"set -eu
mariadbd --no-defaults --user=root --datadir=$PWD/data --socket=$PWD/s --skip-networking >log 2>&1 &
until mariadb-admin -S s ping >/dev/null 2>&1; do sleep 0.1; done
mariadb -S s -e 'checksum table sbtest.sbtest1, sbtest.sbtest2'
mariadb-admin -S s shutdown
wait
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

/// InnoDB writes through io_uring and through libaio, which no system call shows. Debian's 10.11.14
/// is built without libaio: there InnoDB writes with threads of its own.
#[test]
fn mariadb() {
    let expected_in_log = [
        ("io_uring", &["Using io_uring"][..]),
        ("aio", &["Using Linux native AIO", "falling back to innodb_use_native_aio=OFF"]),
    ];
    for (aio, said) in expected_in_log {
        let place = Place::watched_by(Watch::Ebpf);
        let trace = place.trace("t");
        let argv = ["/bin/sh", "-c", MARIADB, "mariadb", aio];
        recorded(&place, &mut place.record(&trace, &[], argv), &trace);
        let log = fs::read_to_string(place.work().join("log")).unwrap();
        assert!(said.iter().any(|text| log.contains(text)), "{aio}: {log}");
        let again = replayed(&place, &trace);
        same_tree(&place, &again);
        let mut start = place.command(["/bin/sh", "-c", MARIADB_AGAIN]);
        let sums = run(start.current_dir(&again)).ok("MariaDB on what replay made").stdout;
        assert_eq!(sums, fs::read_to_string(place.work().join("sums")).unwrap());
    }
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
