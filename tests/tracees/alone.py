"""A single thread that inherits a file, locks, and changes its directory and its descriptors more
often than it may have descriptors. Reads a line of "input"."""
import fcntl
import os
import sys

print(sys.stdin.readline(), end="")
os.lseek(0, 2, 0)
print(os.read(0, 5))
os.close(0)
for _ in range(50):
    fd = os.open("input", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
os.mkdir("a")
for i in range(1000):
    os.chdir("a" if i % 2 == 0 else "..")
    if i % 50 == 0:
        with open(f"f{i}", "w") as file:
            file.write(os.getcwd())
for _ in range(1000):
    fd = os.open(".", os.O_RDONLY)
    os.fchdir(fd)
    os.close(fd)
