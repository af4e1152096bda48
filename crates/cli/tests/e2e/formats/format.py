"""Reads journals and the column `pieces` as docs/format.md describes them, and knows nothing else.

format.py TRACE JOURNAL: a sealed trace, and a copy of its journals. Prints how many records of
calls they have, and of how many bytes of data."""

import glob
import json
import os
import struct
import sys

import pyarrow.parquet as pq

CRC = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    CRC.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def padded(length):
    return (length + 7) // 8 * 8


def pieces(body, data_is_here=True):
    """The heads of the pieces in a body, which they must fill."""
    at, heads = 0, []
    while at < len(body):
        arg, kind, flags, zero, length, wanted = struct.unpack_from("<BBBBIQ", body, at)
        assert kind <= 9 and zero == 0 and flags & ~(128 | 15) == 0, (kind, zero, flags)
        at += 16
        if kind == 9:
            identity = struct.unpack_from("<5Q6I3Q", body, at)
            assert length >= 88 and identity[-1] == 0, identity
        heads.append((kind, flags, length))
        if data_is_here or kind != 0:
            at += padded(length)
    assert at == len(body), (at, len(body))
    return heads


def records(frame, ring):
    """The records of a frame."""
    at = 0
    while at < len(frame):
        begin, step = at, 0
        if ring:
            (word,) = struct.unpack_from("<I", frame, at)
            begin, step = at + 8, 8 + padded(word & (1 << 30) - 1)
            if word >> 30 & 1:
                at += step
                continue
        (length,) = struct.unpack_from("<I", frame, begin)
        yield frame[begin : begin + length]
        at += step or length


def journal(path, recording):
    """Records of calls in a journal, and the bytes of data that they have."""
    whole = open(path, "rb").read()
    at = frames = calls = data = 0
    while at + 40 <= len(whole):
        head = struct.unpack_from("<4sIIIQQQ", whole, at)
        magic, crc, length, stream, number, frame, first = head
        if at + 40 + length > len(whole):
            break  # It was copied while it was written.
        assert magic in (b"RAJ3", b"RAR3", b"RAF3"), magic
        assert (stream, number, frame) == (int(os.path.basename(path)), recording, frames), head
        assert crc32c(whole[at + 8 : at + 40 + length]) == crc
        for record in records(whole[at + 40 : at + 40 + length], magic != b"RAJ3"):
            size, kind, flags, count, seq, pid, tid = struct.unpack_from("<IBBHQII", record)
            assert size == len(record) and size % 8 == 0 and kind <= 9 and flags < 16, record[:24]
            assert seq >= first and record[126:128] == b"\0\0", (seq, first)
            heads = pieces(record[128:])
            assert count == len(heads)
            referred = [flags for _, flags, _ in heads if flags & 128]
            assert not referred or magic == b"RAF3" and heads[0][2] == 32
            calls += kind == 0
            data += sum(length for kind, _, length in heads if kind == 0)
            first = seq + 1
        at += 40 + length
        frames += 1
    return calls, data


def main(trace, journals):
    document = json.load(open(trace + "/trace.json"))
    assert document["format"] == {"name": "reanimator trace", "major": 1, "minor": 3}
    recording = int(document["recording"], 16)
    found = [journal(path, recording) for path in sorted(glob.glob(journals + "/[0-9]*"))]
    rows = 0
    for segment in document["segments"]:
        table = pq.read_table(f"{trace}/{segment['file']}", columns=["pieces", "data"])
        assert table.num_rows == segment["rows"]
        for cell, data in zip(table["pieces"].to_pylist(), table["data"].to_pylist()):
            lengths = [length for kind, _, length in pieces(cell, False) if kind == 0]
            assert sum(lengths) == len(data or b""), (lengths, data)
            assert bool(lengths) == (data is not None)
        rows += table.num_rows
    assert rows == document["summary"]["calls"]
    print(sum(calls for calls, _ in found), sum(data for _, data in found))


main(*sys.argv[1:])
