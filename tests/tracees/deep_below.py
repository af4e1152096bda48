"""Goes to a directory that lies deeper than a path may be long, and becomes the command there."""
import os
import sys

name = b"d" * 240
for _ in range(25):
    if not os.path.isdir(name):
        os.mkdir(name)
    os.chdir(name)
os.execv(sys.argv[1], sys.argv[1:])
