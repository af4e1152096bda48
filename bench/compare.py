#!/usr/bin/python3
"""What recording costs, next to strace, and what memory recording, sealing and replaying take.

Every comparison alternates its tools within one run and gives medians. The time of a program is
taken around the program itself (clock.c), so that it is the same thing under every tool; `in all`
is the tool's own time, with all it does before and after.

usage: bench/compare.py [--runs N] [--calls N] [--only costs|production|replaying|converting|memory]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from common import BUILT, HERE, OURS, TOP, execute, holds, inserts
from converting import converting
from production import production
from replaying import replaying


def build():
    """Compiles what is in this directory, and the program."""
    os.makedirs(HERE, exist_ok=True)
    for name in ("preads", "loops", "clock"):
        source = os.path.join(TOP, "bench", name + ".c")
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", os.path.join(HERE, name), source],
            check=True,
        )
    # The whole workspace at once: a part of it would be built with other features, from arrow up.
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "-q", "--workspace", "--bins", "--examples"],
        cwd=TOP,
        check=True,
    )


TOOLS = {
    "untraced": lambda place: [],
    "reanimator (ptrace), all data": lambda place: [
        OURS,
        "-q",
        "record",
        "--engine",
        "ptrace",
        "-o",
        place + "/t.ra",
        "--",
    ],
    "strace -f": lambda place: ["strace", "-f", "-o", place + "/strace.out"],
    "strace -f, all data": lambda place: [
        "strace",
        "-f",
        "-s",
        "1048576",
        "-xx",
        "-o",
        place + "/strace.out",
    ],
}
SECCOMP = {
    "untraced": lambda place: [],
    "reanimator -e fsync --seccomp": lambda place: [
        OURS,
        "-q",
        "record",
        "--seccomp",
        "-e",
        "fsync",
        "-o",
        place + "/t.ra",
        "--",
    ],
}


def compare(title, argv, tools, runs, stdin=None, pinned=False, calls=None):
    """Runs the program under each tool in turn, `runs` times, and prints the medians; they are
    returned by tool."""
    times = {tool: [] for tool in tools}
    for _ in range(runs):
        for tool, prefix in tools.items():
            with tempfile.TemporaryDirectory(dir=HERE) as place:
                clock = os.path.join(place, "clock")
                command = [*prefix(place), os.path.join(HERE, "clock"), clock, *argv]
                in_all, _ = execute(
                    (["taskset", "-c", "0"] if pinned else []) + command, place, stdin
                )
                with open(clock) as said:
                    times[tool].append((int(said.read()) / 1e9, in_all))
    medians = {
        tool: [statistics.median(run[i] for run in of) for i in (0, 1)]
        for tool, of in times.items()
    }
    bare = medians["untraced"][0]
    where = "all on one CPU" if pinned else "not pinned"
    print(f"\n{title}, {where}, medians of {runs} alternating runs")
    per_call = "  us a call" if calls else ""
    print(f"  {'':32}{'program':>10}{'times':>8}{'spread':>16}{'in all':>10}{per_call}")
    for tool, (program, in_all) in medians.items():
        spread = f"{min(t[0] for t in times[tool]):.3f}-{max(t[0] for t in times[tool]):.3f}"
        each = f"{program / calls * 1e6:11.2f}" if calls else ""
        print(
            f"  {tool:32}{program:8.3f} s{program / bare:8.2f}{spread:>16}{in_all:8.3f} s{each}",
            flush=True,
        )
    return {tool: program for tool, (program, _) in medians.items()}


def against(what, times, ours, other, limit, wanted=None):
    """Compares what two tools cost: what each adds to the program's own time. The ratio of the
    whole times is printed beside it."""
    bare = times["untraced"]
    cost = (times[ours] - bare) / (times[other] - bare)
    holds(
        what,
        cost,
        limit,
        (wanted or f"at most {limit}") + f" (of the whole times: {times[ours] / times[other]:.3f})",
    )


def costs(runs):
    """Time: a loop of page-cached reads, and SQLite."""
    sql = os.path.join(HERE, "inserts.sql")
    inserts(sql)
    loop = lambda n: [os.path.join(HERE, "preads"), "data", str(n)]
    ours, bare_strace, full_strace = list(TOOLS)[1:]
    workloads = [
        ("20,000 page-cached preads of 4 KiB", loop(20_000), None, 20_000),
        ("SQLite, 10,000 inserts and a vacuum", ["/usr/bin/sqlite3", "t.db"], sql, None),
    ]
    for title, argv, stdin, calls in workloads:
        for pinned in (False, True):
            times = compare(title, argv, TOOLS, runs, stdin, pinned, calls)
            against(
                "ours with all data against strace -f without",
                times,
                ours,
                bare_strace,
                1.2 if pinned else 0.25,
            )
            against(
                "ours with all data against strace -f with all data",
                times,
                ours,
                full_strace,
                1,
                "less than 1",
            )
    times = compare(
        "1,000,000 page-cached preads of 4 KiB, only fsync recorded",
        loop(1_000_000),
        SECCOMP,
        runs,
        calls=1_000_000,
    )
    holds(
        "ours with a filter in the kernel against untraced",
        times["reanimator -e fsync --seccomp"] / times["untraced"],
        1.05,
    )


def memory(calls):
    """The most memory that each part of the work had resident."""
    print("\nmemory, most resident at any time")
    with tempfile.TemporaryDirectory(dir=HERE) as place:
        trace = os.path.join(place, "t.ra")
        ptrace = [OURS, "-q", "record", "--engine", "ptrace", "-o"]
        preads = [os.path.join(HERE, "preads"), "data", "300000"]
        _, most = execute([*ptrace, trace, "--", *preads], place)
        holds("recording and sealing 300,000 preads of 4 KiB, MiB", most, 256)
        shutil.rmtree(trace)
        size = 512 << 20
        dd = ["/usr/bin/dd", "if=/dev/zero", "of=big", "bs=64M", "count=8", "status=none"]
        _, most = execute([*ptrace, trace, "--", *dd], place)
        holds(f"recording and sealing {size >> 20} MiB in writes of 64 MiB, MiB", most, 256)
        shutil.rmtree(trace)
        os.remove(os.path.join(place, "big"))

        generated = os.path.join(place, "generated.ra")
        took, _ = execute(
            [os.path.join(BUILT, "examples", "generate"), generated, str(calls)], place
        )
        print(f"  generated a journal of {calls:,} calls in {took:.1f} s")
        took, most = execute([OURS, "-q", "recover", generated], place)
        holds(f"sealing {calls:,} calls ({took:.1f} s), MiB", most, 512)
        with open(os.path.join(place, "report"), "wb") as out:
            root = os.path.join(place, "root")
            begun = time.monotonic()
            process = subprocess.Popen(
                [OURS, "-q", "replay", "--json", "--root", root, generated], cwd=place, stdout=out
            )
            _, status, usage = os.wait4(process.pid, 0)
            took = time.monotonic() - begun
        with open(os.path.join(place, "report")) as said:
            report = json.load(said)
        holds(f"replaying {calls:,} calls ({took:.1f} s), MiB", usage.ru_maxrss / 1024, 512)
        status, issued = os.waitstatus_to_exitcode(status), report["issued"]
        print(
            f"  replay: status {status}, {issued:,} issued, {report['divergences']} divergences"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each tool")
    parser.add_argument(
        "--calls", type=int, default=10_000_000, help="calls in the generated trace"
    )
    parser.add_argument(
        "--only", choices=["costs", "production", "replaying", "converting", "memory"]
    )
    options = parser.parse_args()
    build()
    host = os.uname()
    strace = subprocess.run(["strace", "-V"], capture_output=True, text=True).stdout
    print(
        f"{host.sysname} {host.release}, {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.2f}; {strace.splitlines()[0]}"
    )
    if options.only in (None, "costs"):
        costs(options.runs)
    if options.only in (None, "production"):
        production(options.runs)
    if options.only in (None, "replaying"):
        replaying(options.runs)
    if options.only in (None, "converting"):
        converting(options.runs)
    if options.only in (None, "memory"):
        memory(options.calls)


if __name__ == "__main__":
    main()
