"""What recording with eBPF costs: workloads from the worst case (a loop of page-cached reads) to
what people run, each next to its untraced run and to rivals.

Every table alternates its tools within one run and gives medians; what a tool adds is set against
what strace adds. Traces go to a file on this disk, with all data.
"""

import os
import re
import statistics
import subprocess
import tempfile

from common import HERE, OURS, execute, holds, inserts

STRACE = "strace -f, all data"
EBPF = "reanimator (eBPF), all data"
NEEDED = "the same, -e %replay"


def ours(place, *options):
    return [OURS, "-q", "record", "--engine", "ebpf", *options, "-o", place + "/t.ra", "--"]


TOOLS = {
    "untraced": lambda place: [],
    EBPF: ours,
    NEEDED: lambda place: ours(place, "-e", "%replay"),
    "bpftrace, counting": lambda place: [
        "bpftrace",
        "-q",
        "-o",
        place + "/bpftrace.out",
        "-e",
        "tracepoint:raw_syscalls:sys_exit { @ = count(); }",
        "-c",
    ],
    "perf trace -s": lambda place: ["perf", "trace", "-s", "-o", place + "/perf.out", "--"],
    "strace -f": lambda place: ["strace", "-f", "-o", place + "/strace.out"],
    STRACE: lambda place: ["strace", "-f", "-s", "1048576", "-xx", "-o", place + "/strace.out"],
}


def lost(place):
    """Calls that our trace lacks."""
    trace = place + "/t.ra"
    if not os.path.exists(trace):
        return 0
    said = subprocess.run(
        [OURS, "info", "--json", trace], check=True, capture_output=True, text=True
    ).stdout
    return int(re.search(r'"lost":\s*(\d+)', said)[1])


def table(title, argv, runs, tools=(EBPF,), stdin=None, calls=None, limit=None, before=None):
    """Runs the program under each tool in turn and prints the medians."""
    times = {tool: [] for tool in ("untraced", *tools)}
    missing = 0
    for _ in range(runs):
        for tool in times:
            with tempfile.TemporaryDirectory(dir=HERE) as place:
                if before:
                    before(place)
                clock = os.path.join(place, "clock")
                inner = [os.path.join(HERE, "clock"), clock, *argv]
                prefix = TOOLS[tool](place)
                # bpftrace takes the command as one word.
                command = (
                    [*prefix, " ".join(inner)]
                    if prefix and prefix[0] == "bpftrace"
                    else [*prefix, *inner]
                )
                execute(command, place, stdin)
                with open(clock) as said:
                    times[tool].append(int(said.read()) / 1e9)
                missing += lost(place)
    medians = {tool: statistics.median(of) for tool, of in times.items()}
    bare = medians["untraced"]
    print(f"\n{title}, medians of {runs} alternating runs; calls lost by us: {missing}")
    for tool, took in medians.items():
        rate = f"{calls / took:13,.0f} calls/s" if calls else ""
        print(
            f"  {tool:32}{took:8.3f} s{took / bare:8.2f} times"
            f"{min(times[tool]):9.3f}-{max(times[tool]):.3f}{rate}",
            flush=True,
        )
    if limit:
        for tool in (EBPF, NEEDED):
            if tool in medians:
                holds(f"elapsed, {tool} against untraced", medians[tool] / bare, limit)
    if STRACE in medians:
        holds(
            "15 times what we add against what strace with data adds",
            15 * (medians[EBPF] - bare) / (medians[STRACE] - bare),
            1,
        )


def sources(place):
    """A small C project."""
    for i in range(16):
        with open(f"{place}/f{i}.c", "w") as out:
            out.write(
                "#include <stdio.h>\n#include <stdlib.h>\n"
                "#include <string.h>\n#include <pthread.h>\n"
            )
            out.writelines(
                f"int f{i}_{k}(int x) {{ char b[64]; "
                f'return snprintf(b, sizeof b, "%d", x * {k}) + (int)strlen(b); }}\n'
                for k in range(60)
            )
    with open(f"{place}/Makefile", "w") as out:
        objects = " ".join(f"f{i}.o" for i in range(16))
        out.write(f"lib.a: {objects}\n\tar rc $@ $^\n%.o: %.c\n\tgcc -O1 -c $<\n")


POSTGRES = [
    "/usr/bin/setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
    "env",
    "LC_ALL=C",
    "PATH=/usr/bin:/bin",
    "/bin/sh",
    "-euc",
]
LIFE = """B=$(echo /usr/lib/postgresql/*/bin)
$B/pg_ctl -D data -l log -w start >/dev/null
$B/pgbench -h $PWD -p 54777 -c 4 -j 2 -t 4000 postgres >/dev/null 2>&1
$B/pg_ctl -D data -w -m fast stop >/dev/null"""


def cluster(place):
    """A PostgreSQL with pgbench's tables."""
    os.chmod(place, 0o777)
    make = """B=$(echo /usr/lib/postgresql/*/bin); $B/initdb -D data -A trust >/dev/null
{
    printf "listen_addresses = ''\\nport = 54777\\n"
    printf "unix_socket_directories = '$PWD'\\n"
} >> data/postgresql.conf
$B/pg_ctl -D data -l log -w start >/dev/null
$B/pgbench -h $PWD -p 54777 -i -s 2 postgres >/dev/null 2>&1
$B/pg_ctl -D data -w stop >/dev/null"""
    subprocess.run([*POSTGRES, make], cwd=place, check=True)


def outside(runs):
    """A program that is in no recording's scope, while one goes on."""
    times = {False: [], True: []}
    n = 1_000_000
    for _ in range(runs):
        for recording in times:
            with tempfile.TemporaryDirectory(dir=HERE) as place:
                recorder = (
                    subprocess.Popen([*ours(place), "sleep", "60"], stderr=subprocess.DEVNULL)
                    if recording
                    else None
                )
                if recorder:
                    subprocess.run(["sleep", "1"], check=True)
                execute(
                    [
                        os.path.join(HERE, "clock"),
                        place + "/clock",
                        os.path.join(HERE, "preads"),
                        "data",
                        str(n),
                    ],
                    place,
                )
                with open(place + "/clock") as said:
                    times[recording].append(int(said.read()) / n)
                if recorder:
                    subprocess.run(["pkill", "-P", str(recorder.pid), "sleep"], check=True)
                    recorder.wait()
    bare, watched = statistics.median(times[False]), statistics.median(times[True])
    print(
        f"\n(h) a program outside the scope, medians of {runs} alternating runs: "
        f"{bare:.0f} ns a call alone, {watched:.0f} while another program is recorded"
    )
    holds("microseconds a call that others pay", (watched - bare) / 1000, 0.25)


def production(runs):
    """All of it."""
    sql = os.path.join(HERE, "inserts.sql")
    inserts(sql)
    loop = lambda n, *more: [os.path.join(HERE, "preads"), "data", str(n), *map(str, more)]
    fio = lambda mode, jobs: [
        "/usr/bin/fio",
        "--name=f",
        f"--rw={mode}",
        "--bs=4k",
        "--direct=1",
        "--ioengine=psync",
        "--size=64m",
        f"--numjobs={jobs}",
        "--thread",
        f"--number_ios={8000 // jobs}",
        "--fallocate=none",
        "--group_reporting",
        "--output=fio.out",
    ]
    rivals = (EBPF, "bpftrace, counting", "perf trace -s", "strace -f", STRACE)
    table(
        "(a) 20,000 page-cached preads of 4 KiB, 1 thread", loop(20_000), runs, rivals, calls=20_000
    )
    table(
        "(a) 200,000 page-cached preads of 4 KiB, 1 thread",
        loop(200_000),
        runs,
        calls=200_000,
        limit=2.0,
    )
    table(
        "(a) 100,000 page-cached preads of 4 KiB in each of 2 threads",
        loop(100_000, 4096, 2),
        runs,
        calls=200_000,
    )
    table("(b) 500,000 page-cached preads of 64 bytes", loop(500_000, 64), runs, calls=500_000)
    table("(b) 1,000 page-cached preads of 1 MiB", loop(1000, 1 << 20), runs, calls=1000)
    for mode in ("randread", "randwrite"):
        for jobs in (1, 8):
            table(
                f"(c) fio {mode}, 4 KiB, O_DIRECT, {jobs} thread(s)",
                fio(mode, jobs),
                runs,
                limit=1.05,
            )
    for mode in ("randread", "randwrite"):
        table(
            f"(c) fio {mode}, 4 KiB, O_DIRECT, io_uring of depth 16",
            [*fio(mode, 1), "--ioengine=io_uring", "--iodepth=16", "--number_ios=60000"],
            runs,
            limit=1.10,
        )
    table(
        "(c) fio randread, 4 KiB, of a mapping that is not written to",
        [*fio("randread", 1), "--ioengine=mmap", "--direct=0", "--number_ios=2000000"],
        runs,
        limit=1.01,
    )
    table(
        "(d) sqlite3, 10,000 inserts in transactions of 100",
        ["/usr/bin/sqlite3", "t.db"],
        runs,
        (EBPF, NEEDED, "strace -f", STRACE),
        stdin=sql,
        limit=1.10,
    )
    table(
        "(e) make -j2 of 16 C files",
        ["/usr/bin/make", "-s", "-j2"],
        runs,
        (EBPF, "strace -f", STRACE),
        limit=1.15,
        before=sources,
    )
    table(
        "(f) PostgreSQL: start, pgbench of 16,000 transactions by 4 clients, stop",
        [*POSTGRES, LIFE],
        runs,
        (EBPF, NEEDED),
        limit=1.10,
        before=cluster,
    )
    for mode in ("fillrandom", "readrandom"):
        argv = [
            "/usr/bin/db_bench",
            f"--benchmarks={'fillrandom,' if mode == 'readrandom' else ''}{mode}",
            "--num=50000",
            "--db=db",
            "--mmap_read=0",
            "--mmap_write=0",
        ]
        table(f"(g) RocksDB db_bench {mode}", argv, runs)
    outside(runs)
