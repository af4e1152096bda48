# Two files are passed over two sockets, with the same data, and received in the other order: what
# was received shows by what the descriptors are.
import os, socket
pairs = [socket.socketpair() for _ in range(2)]
for name, (to, _) in zip("xy", pairs):
    fd = os.open(name, os.O_CREAT | os.O_RDWR)
    os.write(fd, name.encode() * 9)
    socket.send_fds(to, [b"m"], [fd])
    os.close(fd)
for _, at in reversed(pairs):
    _, fds, _, _ = socket.recv_fds(at, 1, 4)
    print(os.pread(fds[0], 9, 0), flush=True)
