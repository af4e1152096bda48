"""What replay costs beyond the calls themselves: loops of cheap calls, next to the untraced program
that made them; and how exactly paces are kept."""

import json
import os
import statistics
import subprocess
import tempfile

from common import HERE, OURS, execute, holds

# What is asked for, and the most that it may take of the untraced time.
WAYS = [
    ("all read beforehand, results compared", ["--preload", "--verify", "result"], 1.1),
    ("all read beforehand, data compared", ["--preload", "--verify", "data"], 1.3),
    ("streaming, results compared", ["--verify", "result"], 1.5),
    ("streaming, data compared", ["--verify", "data"], 1.8),
]
# Where threads need not take turns.
RESOURCE = [
    ("order resource, " + name, [*options, "--order", "resource"], limit)
    for name, options, limit in WAYS
]
# Without Landlock.
TRUSTED = [("trusted, " + name, [*options, "--trust"], limit) for name, options, limit in WAYS]


def replay(trace, *options, where=HERE):
    """The report of a replay in a fresh directory."""
    with tempfile.TemporaryDirectory(dir=where) as place:
        command = [
            OURS,
            "-q",
            "replay",
            "--json",
            *options,
            "--root",
            os.path.join(place, "root"),
            trace,
        ]
        report = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        return report


def loop(title, argv, calls, runs, limits, where=HERE, ways=WAYS, beside=None):
    """The untraced program and each way of replaying its recording, in turn; and the program in a
    process that has a second thread, which sleeps, if there is one: replay
    has threads, and their descriptors cost more."""
    with tempfile.TemporaryDirectory(dir=where) as place:
        with open(os.path.join(place, "data"), "wb") as data:
            data.write(os.urandom(1 << 20))
        trace = os.path.join(place, "t.ra")
        execute([OURS, "-q", "record", "-o", trace, "--", *argv], place)
        programs = {
            "untraced": argv,
            **({"untraced, beside a thread that sleeps": beside} if beside else {}),
        }
        times = {name: [] for name in [*programs, *(name for name, _, _ in ways)]}
        for _ in range(runs):
            for name, program in programs.items():
                execute(
                    [os.path.join(HERE, "clock"), os.path.join(place, "clock"), *program], place
                )
                with open(os.path.join(place, "clock")) as said:
                    times[name].append(int(said.read()) / 1e9)
            for name, options, _ in ways:
                times[name].append(replay(trace, *options, where=where)["elapsed_s"])
    bare = statistics.median(times["untraced"])
    print(f"\n{title}, medians of {runs} alternating runs")
    for name, of in times.items():
        took = statistics.median(of)
        print(
            f"  {name:56}{took:8.3f} s{took / bare:8.2f} times{calls / took:13,.0f} calls/s"
            f"{(took - bare) / calls * 1e9:8.0f} ns a call beyond the program"
        )
    for name, _, limit in ways:
        holds(name, statistics.median(times[name]) / bare, limits.get(name, limit))


def paces(runs):
    """How late calls begin."""
    program = (
        "import os, time\nf = os.open('f', os.O_CREAT | os.O_RDWR)\n"
        "for i in range(300): os.write(f, b'x' * 100); time.sleep(0.003)\n"
    )
    with tempfile.TemporaryDirectory(dir=HERE) as place:
        trace = os.path.join(place, "t.ra")
        execute([OURS, "-q", "record", "-o", trace, "--", "/usr/bin/python3", "-c", program], place)
        recorded = [replay(trace, "--pace", "recorded") for _ in range(runs)]
        once, twice = (
            statistics.median(replay(trace, "--pace", pace)["elapsed_s"] for _ in range(runs))
            for pace in ("think", "think*2")
        )
    late = {
        name: statistics.median(r["lateness"][name] for r in recorded)
        for name in ("p50_us", "p95_us", "p99_us", "p999_us", "max_us")
    }
    print(
        "\npace recorded: calls began late by (microseconds) "
        + ", ".join(f"{name[:-3]} {value:.0f}" for name, value in late.items())
    )
    holds("microseconds late at the median", late["p50_us"], 100)
    holds("microseconds late at p99", late["p99_us"], 2000)
    print(f"pace think: {once:.3f} s; think*2: {twice:.3f} s, {twice / once:.2f} times")


def replaying(runs):
    """All of it."""
    preads, loops = os.path.join(HERE, "preads"), os.path.join(HERE, "loops")
    pread = [preads, "data", "500000"]
    loop(
        "500,000 page-cached preads of 4 KiB, 1 thread",
        pread,
        500_000,
        runs,
        {},
        beside=[*pread, "4096", "1", "beside"],
    )
    loop(
        "250,000 page-cached preads of 4 KiB in each of 2 threads",
        [preads, "data", "250000", "4096", "2"],
        500_000,
        runs,
        {},
        ways=WAYS + RESOURCE,
    )
    loop("300,000 pwrites of 4 KiB, 1 thread", [loops, "pwrite", "300000"], 300_000, runs, {})
    loop(
        "150,000 pwrites of 4 KiB in each of 2 threads",
        [loops, "pwrite", "150000", "2"],
        300_000,
        runs,
        {},
        ways=WAYS + RESOURCE,
    )
    # Not on ext4, which looks at each inode that was freed in the last seconds before it takes one:
    # a run pays for the one before it.
    storm = {name: 1.15 for name, _, _ in WAYS + TRUSTED}
    loop(
        "50,000 times open, close, stat, unlink on tmpfs",
        [loops, "storm", "50000"],
        200_000,
        runs,
        storm,
        "/dev/shm",
        ways=WAYS + TRUSTED,
    )
    paces(runs)
