"""Counts the calls of a trace and the bytes they moved, through ctypes: python3 reader.py libreanimator.so TRACE"""

import ctypes as c
import sys


class Piece(c.Structure):
    _fields_ = [("arg", c.c_uint8), ("kind", c.c_uint8), ("after", c.c_bool), ("bytes", c.c_void_p), ("len", c.c_size_t), ("wanted", c.c_uint64)]


class Call(c.Structure):
    _fields_ = [
        ("name", c.c_char_p),
        ("number", c.c_uint32),
        ("tid", c.c_uint32),
        ("entered", c.c_uint64),
        ("returned", c.c_uint64),
        ("result", c.c_int64),
        ("args", c.c_uint64 * 6),
        ("pieces", c.POINTER(Piece)),
        ("n_pieces", c.c_size_t),
    ]


class Item(c.Structure):
    _fields_ = [("end", c.c_bool), ("seq", c.c_uint64), ("pid", c.c_uint32), ("call", Call)]


lib = c.CDLL(sys.argv[1])
for name in ("ra_open", "ra_next", "ra_close"):
    getattr(lib, name).restype = c.c_void_p
lib.ra_error_message.restype = c.c_char_p
lib.ra_error_message.argtypes = lib.ra_error_free.argtypes = [c.c_void_p]
lib.ra_next.argtypes = [c.c_uint64, c.POINTER(Item)]
lib.ra_close.argtypes = [c.c_uint64]


def check(error):
    if error:
        message = lib.ra_error_message(error).decode()
        lib.ra_error_free(error)
        sys.exit(message)


trace, item, calls, moved = c.c_uint64(), Item(), {}, 0
check(lib.ra_open(sys.argv[2].encode(), c.byref(trace)))
while True:
    check(lib.ra_next(trace, c.byref(item)))
    if item.end:
        break
    calls[item.call.name.decode()] = calls.get(item.call.name.decode(), 0) + 1
    moved += sum(item.call.pieces[i].len for i in range(item.call.n_pieces) if item.call.pieces[i].kind == 0)
check(lib.ra_close(trace))
print(moved, sorted(calls.items()))
