#!/usr/bin/env python3
"""Record and replay every program of a directory, by both engines, and list what is not the same.

    tests/sweep.py REANIMATOR [--programs DIR] [--engine E]... [--with A]... [--share K/N] [NAME...]

Each program runs with harmless arguments (--version, --help, a small file) in a directory of its
own, without a network, with a deadline. The programs were not chosen: what fails here is either a
fault of Reanimator or has a reason that its report states. One line for each run that is not the
same, then the counts. Exit status 0: all runs are the same; 1: some are not; 2: nothing ran.

Needs root for the eBPF engine and for `unshare -n`.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ARGUMENTS = {"version": ["--version"], "help": ["--help"], "input": ["input.txt"]}

# What these do with harmless arguments is not harmless, or never ends.
LEFT_OUT = {
    "crontab": "would install the input as a crontab",
    "reboot": "acts on the machine",
    "poweroff": "acts on the machine",
    "halt": "acts on the machine",
    "shutdown": "acts on the machine",
    "telinit": "acts on the machine",
    "runlevel": "acts on the machine",
    "systemctl": "acts on the machine",
    "wall": "writes to other terminals",
    "write": "writes to other terminals",
    "mesg": "writes to other terminals",
    "pkill": "signals other programs",
    "killall": "signals other programs",
    "skill": "signals other programs",
    "snice": "changes other programs",
}
# What is as it should be. "endless": without a recorder, too, it does not end by itself.
# "no files": replay says that there is nothing to replay.
GOOD = ("same", "endless", "no files")
DEADLINE = "20"  # seconds for a program under its recorder
TEXT = "".join(f"line {i} of a small input: {i * i}\n" for i in range(200))


def programs(directory, names):
    """The programs of the directory, by name, that are to run."""
    for path in sorted(pathlib.Path(directory).iterdir()):
        if path.name in LEFT_OUT or (names and path.name not in names):
            continue
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def run(command, place, **options):
    """Runs it in `place` to its end, at most its deadline; what it printed is in the answer."""
    environment = {**os.environ, "HOME": str(place), "LC_ALL": "C", "TERM": "dumb", "PAGER": "cat"}
    return subprocess.run(
        ["timeout", "-k", "5", DEADLINE, *command],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def fresh(work):
    """A directory with the small input, the same for every run."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "input.txt").write_text(TEXT)
    return work


def first(text, *starts):
    """The first line of `text` that begins so, or its last line."""
    lines = text.decode(errors="replace").splitlines() or [""]
    return next((line for line in lines if line.startswith(starts)), lines[-1])[:160]


def one(ra, engine, path, arguments, top):
    """Records and replays one program: ("same", ""), or what is wrong and how it shows."""
    work, trace, root = top / "work", top / "t.ra", top / "root"
    apart = ["unshare", "-n", "--"]
    bare = run([*apart, str(path), *arguments], fresh(work))
    if bare.returncode in (124, 137):
        return "endless", ""
    shutil.rmtree(trace, ignore_errors=True)
    recorded = run(
        [*apart, ra, "record", "--engine", engine, "-o", str(trace), "--", str(path), *arguments],
        fresh(work),
    )
    if recorded.returncode != bare.returncode:
        said = first(recorded.stderr, "error")
        return "status", f"untraced {bare.returncode}, recorded {recorded.returncode}: {said}"
    info = subprocess.run([ra, "info", "--json", str(trace)], capture_output=True)
    if info.returncode != 0:
        return "info", first(info.stderr, "error")
    shutil.rmtree(root, ignore_errors=True)
    replayed = subprocess.run(
        ["timeout", "-k", "5", "60", ra, "replay", "--root", str(root), str(trace)],
        capture_output=True,
    )
    if b"acts on a stored file" in replayed.stderr:
        return "no files", ""
    if replayed.returncode != 0:
        said = first(replayed.stdout + replayed.stderr, "divergence", "state", "error")
        return "different", f"replay {replayed.returncode}: {said}"
    summary = json.loads(info.stdout)
    if summary["verdict"] != "complete":
        return "incomplete", "; ".join(summary["reasons"])[:160]
    return "same", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reanimator")
    parser.add_argument("names", nargs="*", help="only programs with these names")
    parser.add_argument("--programs", default="/usr/bin", help="their directory")
    parser.add_argument("--engine", action="append", choices=["ebpf", "ptrace"])
    parser.add_argument("--with", dest="arguments", action="append", choices=list(ARGUMENTS))
    parser.add_argument("--share", default="1/1", help="K/N: the K-th of N equal shares")
    options = parser.parse_args()
    share, shares = (int(n) for n in options.share.split("/"))
    ra = os.path.realpath(options.reanimator)
    counts = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="reanimator-sweep.") as top:
        chosen = [
            p
            for i, p in enumerate(programs(options.programs, options.names))
            if i % shares == share - 1
        ]
        for path in chosen:
            for arguments in options.arguments or ARGUMENTS:
                for engine in options.engine or ["ebpf", "ptrace"]:
                    result, why = one(ra, engine, path, ARGUMENTS[arguments], pathlib.Path(top))
                    counts[engine, result] += 1
                    if result not in GOOD:
                        print(
                            f"{result:10}  {engine:6}  {path.name} {arguments}: {why}", flush=True
                        )
    print(f"{len(chosen)} programs, {sum(counts.values())} runs")
    for (engine, result), count in sorted(counts.items()):
        print(f"{count:6}  {engine:6}  {result}")
    if not counts:
        return 2
    return 0 if all(result in GOOD for _, result in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
