"""Names below directory descriptors, vectors, locks, times and pipes: what older formats say
otherwise."""
import fcntl
import os
import socket
import subprocess

os.umask(0o027)
os.mkdir("d")
d = os.open("d", os.O_RDONLY)
for name in ("a", "b", "x"):
    f = os.open(name, os.O_CREAT | os.O_RDWR, 0o666, dir_fd=d)
    os.write(f, name.encode() * 10)
    os.fchown(f, os.getuid(), os.getgid())
    fcntl.lockf(f, fcntl.LOCK_EX, 5, 0)
    fcntl.lockf(f, fcntl.LOCK_UN, 5, 0)
    os.close(f)
# Names in the working directory that are those of files below it.
with open("a", "w") as f:
    f.write("not this one")
os.rename("d", "e")
os.rename("a", "c", src_dir_fd=d, dst_dir_fd=d)
os.rename("x", "out", src_dir_fd=d)
os.symlink("c", "l", dir_fd=d)
os.readlink("l", dir_fd=d)
os.link("c", "h", src_dir_fd=d, dst_dir_fd=d)
os.chown("c", os.getuid(), os.getgid(), dir_fd=d)
os.chmod("c", 0o640, dir_fd=d)
os.utime("c", dir_fd=d)
os.utime("c", ns=(10**18, 10**18 + 5), dir_fd=d)
os.mkfifo("p", dir_fd=d)
os.mkdir("s", dir_fd=d)
os.mkdir("t", dir_fd=d)
os.rmdir("t", dir_fd=d)
os.unlink("b", dir_fd=d)
os.access("c", os.R_OK, dir_fd=d)
print(sorted(os.listdir(d)))
f = os.open("v", os.O_CREAT | os.O_RDWR, 0o666)
os.pwritev(f, [b"a" * 100, b"b" * 50], 10)
os.preadv(f, [bytearray(20), bytearray(30)], 0)
for i in range(60):
    os.writev(f, [bytes([i]) * 40000, b"", bytes([i + 1]) * 60000])
r, w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
os.write(w, b"hi")
os.read(r, 10)
a, b = socket.socketpair()
a.sendmsg([b"one", b"two"])
b.recvmsg(100)
subprocess.run(["/bin/sh", "-c", "echo sub > sub; touch -a sub; kill -9 $$"], check=False)
os.chdir("e")
os.rename("c", "../moved", src_dir_fd=d, dst_dir_fd=d)
os.rename("../a", "s/a")
