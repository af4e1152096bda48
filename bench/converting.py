"""What conversions take: bytes of the other format per second, and the most memory. LTTng's format
beside babeltrace2, which only prints it."""

import os
import shutil
import statistics
import struct
import tempfile

from common import HERE, OURS, TOP, execute, holds

METADATA = os.path.join(TOP, "tests", "fixtures", "ctf", "made-up.tsdl")


def lttng(place, calls):
    """A kernel trace of two CPUs that do nothing but write."""
    kernel = os.path.join(place, "kernel")
    os.makedirs(kernel)
    shutil.copy(METADATA, os.path.join(kernel, "metadata"))
    entry, leave = struct.Struct("<IQiIQQ"), struct.Struct("<IQiq")
    for cpu in range(2):
        now, left = 1000 + cpu, calls // 2
        with open(os.path.join(kernel, f"channel_{cpu}"), "wb") as stream:
            while left > 0:
                begin, events = now, bytearray()
                for _ in range(min(left, 4096)):
                    events += entry.pack(3, now, 100 + cpu, 5, 0x7F0000001000, 4096) + leave.pack(
                        4, now + 700, 100 + cpu, 4096
                    )
                    now += 1200
                size = (len(events) + 44) * 8
                stream.write(
                    struct.pack("<IIQQQQI", 0xC1FC1FC1, 0, begin, now, size, size, cpu) + events
                )
                left -= 4096
    return kernel


def size(path):
    inside = (os.path.join(d, f) for d, _, files in os.walk(path) for f in files)
    return sum(map(os.path.getsize, inside)) if os.path.isdir(path) else os.path.getsize(path)


def remove(path):
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def medians(place, ways, runs):
    """Runs each way in turn; `ways`: name -> (command, what it makes, what is measured of it)."""
    times = {name: [] for name in ways}
    for _ in range(runs):
        for name, (command, made, _) in ways.items():
            if os.path.exists(made):
                remove(made)
            times[name].append(execute(command, place))
    for name, of in times.items():
        seconds, memory = statistics.median(t for t, _ in of), max(m for _, m in of)
        mib = size(ways[name][2]) / 2**20
        print(
            f"  {name:34}{mib:8.0f} MiB{seconds:8.2f} s{mib / seconds:8.0f} MiB/s"
            f"{memory:8.0f} MiB of memory"
        )
    return {name: statistics.median(t for t, _ in of) for name, of in times.items()}


def converting(runs, calls=4_000_000):
    with tempfile.TemporaryDirectory(dir=HERE) as place:
        kernel, here = lttng(place, calls), lambda name: os.path.join(place, name)
        print(f"\n{calls:,} calls of an LTTng trace, medians of {runs} alternating runs")
        ways = {
            "convert to a trace": (
                [OURS, "-q", "convert", kernel, here("ctf.ra")],
                here("ctf.ra"),
                kernel,
            )
        }
        if shutil.which("babeltrace2"):
            ways["babeltrace2, printing"] = (["babeltrace2", kernel], here("said"), kernel)
        times = medians(place, ways, runs)
        if len(times) > 1:
            holds(
                "LTTng, times babeltrace2",
                times["convert to a trace"] / times["babeltrace2, printing"],
                1,
            )
        for name in ("ctf.ra", "said", "kernel"):
            if os.path.exists(here(name)):
                remove(here(name))
        with open(here("data"), "wb") as data:
            data.write(os.urandom(1 << 20))
        execute(
            [
                OURS,
                "-q",
                "record",
                "-o",
                here("t.ra"),
                "--",
                os.path.join(HERE, "preads"),
                "data",
                "250000",
            ],
            place,
        )
        print("\n250,000 preads of 4 KiB (1 GB of data), out and in")
        for name in ("ds", "strace", "pftrace", "csv", "jsonl"):
            there = here(f"t.{name}")
            medians(
                place,
                {f"to .{name}": ([OURS, "-q", "convert", here("t.ra"), there], there, there)},
                1,
            )
            if name in ("ds", "strace"):
                medians(
                    place,
                    {
                        f"from .{name}": (
                            [OURS, "-q", "convert", there, here("back.ra")],
                            here("back.ra"),
                            there,
                        )
                    },
                    1,
                )
                remove(here("back.ra"))
            remove(there)
