"""Makes a tree whose deepest names no path can reach, step by step, and works in it."""
import os

name = b"d" * 240
fd = os.open(".", os.O_RDONLY)
for _ in range(25):
    os.mkdir(name, dir_fd=fd)
    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
    os.close(fd)
    fd = below
leaf = os.open(b"leaf", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
os.write(leaf, b"deep")
os.fchdir(fd)
with open("here", "w+") as here:
    here.write("worked here")
os.stat("leaf")
for _ in range(25):
    os.chdir("..")
os.stat(name)
