"""What the comparisons share: where things are, running a program, and whether a number keeps its
limit."""

import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILT = os.path.join(TOP, "target", "release")
HERE = os.path.join(TOP, "target", "bench")
OURS = os.path.join(BUILT, "reanimator")


def execute(argv, cwd, stdin=None):
    """Runs it to its end; seconds, and the most memory that it had resident, in MiB."""
    with open(stdin or os.devnull, "rb") as source, open(os.path.join(cwd, "said"), "w+b") as said:
        begun = time.monotonic()
        process = subprocess.Popen(argv, cwd=cwd, stdin=source, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            end = said.read().decode(errors="replace")[-2000:]
            sys.exit(f"{' '.join(argv)} ended with {process.returncode}: {end}")
    return took, usage.ru_maxrss / 1024


def inserts(path):
    """10,000 inserts into SQLite, in transactions of 100."""
    with open(path, "w") as out:
        out.write(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);\n"
            "CREATE INDEX by_name ON t(name);\n"
        )
        for i in range(10_000):
            begin, commit = ("BEGIN;" if i % 100 == 0 else ""), ("COMMIT;" if i % 100 == 99 else "")
            row = f"'name {i * 7919 % 10_007}', {i}.5"
            out.write(f"{begin}INSERT INTO t(name, value) VALUES({row});{commit}\n")
        out.write("VACUUM;\n")


def holds(what, ratio, limit, wanted=None):
    """Prints whether a number keeps its limit."""
    outcome = "holds" if ratio <= limit else "DOES NOT HOLD"
    print(f"  {outcome}: {what}: {ratio:.3f}, {wanted or f'at most {limit}'}", flush=True)
