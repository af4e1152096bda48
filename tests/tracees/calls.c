/* Makes a call of every family that moves bytes or names, and checks what it gives. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define must(e) \
	((e) ? (void)0 : (printf("line %d: %s: %s\n", __LINE__, #e, strerror(errno)), exit(1)))

static char big[200000], back[200000];

static void data(void)
{
	int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0644);
	must(fd >= 0);
	for (unsigned i = 0; i < sizeof big; i++)
		big[i] = i * 31 + i / 251;
	must(write(fd, big, sizeof big) == sizeof big);
	must(lseek(fd, 1000, SEEK_SET) == 1000);
	must(read(fd, back, 5000) == 5000 && !memcmp(back, big + 1000, 5000));
	must(lseek(fd, 0, SEEK_CUR) == 6000);
	must(pread(fd, back, 100, 77) == 100 && !memcmp(back, big + 77, 100));
	struct iovec v[3] = {{back, 10}, {back + 10, 0}, {back + 10, 3000}};
	must(readv(fd, v, 3) == 3010 && !memcmp(back, big + 6000, 3010));
	must(preadv(fd, v, 3, sizeof big - 20) == 20);
	must(preadv2(fd, v, 3, -1, 0) == 3010);
	struct iovec w[2] = {{"gather", 6}, {"ed", 2}};
	must(pwritev(fd, w, 2, 123456) == 8);
	must(pwritev2(fd, w, 2, 200000, RWF_DSYNC) == 8);
	must(writev(fd, w, 2) == 8);
	must(pread(fd, back, 8, 123456) == 8 && !memcmp(back, "gathered", 8));
	must(fallocate(fd, 0, 300000, 50000) == 0);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096) == 0)
		must(pread(fd, back, 4096, 8192) == 4096 && back[0] == 0 && back[4095] == 0);
	must(ftruncate(fd, 340000) == 0);
	must(fsync(fd) == 0 && fdatasync(fd) == 0 &&
	     sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE) == 0);
	must(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0 && readahead(fd, 0, 4096) == 0);
	int to = open("copied", O_CREAT | O_RDWR | O_APPEND, 0600),
	    other = open("ranged", O_CREAT | O_WRONLY, 0600);
	off_t from = 10;
	must(sendfile(other, fd, &from, 30000) == 30000 && from == 30010);
	must(write(to, "append", 6) == 6 && pwrite(to, "ed", 2, 0) == 2 &&
	     lseek(to, 0, SEEK_END) == 8);
	loff_t in = 500, out = 70000;
	must(copy_file_range(fd, &in, other, &out, 9000, 0) == 9000);
	int p[2];
	must(pipe2(p, O_CLOEXEC) == 0);
	in = 20000;
	must(splice(fd, &in, p[1], NULL, 4000, 0) == 4000);
	must(read(p[0], back, 4000) == 4000 && !memcmp(back, big + 20000, 4000));
	int twice = dup(fd), placed = dup2(fd, 100), closing = dup3(fd, 101, O_CLOEXEC),
	    least = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	must(twice >= 0 && placed == 100 && closing == 101 && least >= 200);
	must(lseek(twice, 5, SEEK_SET) == 5 && read(placed, back, 3) == 3 &&
	     lseek(least, 0, SEEK_CUR) == 8);
	must(lseek(fd, 0, SEEK_HOLE) >= 0 && lseek(fd, 0, SEEK_DATA) == 0);
	must(fcntl(fd, F_SETFL, O_APPEND) == 0 && (fcntl(fd, F_GETFL) & O_APPEND));
	must(write(fd, "at the end", 10) == 10 && lseek(fd, 0, SEEK_CUR) == 340010);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
	must(fcntl(fd, F_SETLK, &lock) == 0 &&
	     fcntl(fd, F_OFD_SETLK,
		   &(struct flock){.l_type = F_RDLCK, .l_start = 100, .l_len = 1}) == 0);
	must(flock(to, LOCK_EX) == 0 && flock(to, LOCK_UN) == 0);
	must(close_range(100, 300, 0) == 0 && fcntl(placed, F_GETFD) < 0);
	char *m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
	must(m != MAP_FAILED && !memcmp(m, big + 4096, 100) && munmap(m, 4096) == 0);
	must(close(fd) == 0 && close(to) == 0 && close(other) == 0 && close(twice) == 0 &&
	     close(p[0]) == 0 && close(p[1]) == 0);
}

static void names(void)
{
	struct stat st;
	struct statx sx;
	char link_text[64];
	must(mkdir("dir", 0777) == 0 && umask(027) == 022 && mkdir("dir/sub", 0777) == 0 &&
	     umask(022) == 027);
	must(stat("dir/sub", &st) == 0 && (st.st_mode & 07777) == 0750);
	static char longpath[6000];
	memset(longpath, '/', sizeof longpath - 1);
	must(stat(longpath, &st) < 0 && errno == ENAMETOOLONG);
	int dir = open("dir", O_RDONLY | O_DIRECTORY), where = open(".", O_PATH);
	must(dir >= 0 && where >= 0);
	int fd = openat(dir, "in", O_CREAT | O_EXCL | O_WRONLY, 0640);
	must(fd >= 0 && write(fd, "inside", 6) == 6 && fchmod(fd, 0604) == 0 && close(fd) == 0);
	struct open_how how = {.flags = O_RDWR, .resolve = RESOLVE_BENEATH};
	fd = syscall(SYS_openat2, dir, "in", &how, sizeof how);
	must(fd >= 0 && close(fd) == 0);
	how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
	must(syscall(SYS_openat2, dir, "../data", &how, sizeof how) < 0 && errno == EXDEV);
	must(symlinkat("in", dir, "soft") == 0 &&
	     readlinkat(dir, "soft", link_text, sizeof link_text) == 2);
	must(linkat(dir, "soft", dir, "hard", AT_SYMLINK_FOLLOW) == 0 &&
	     fstatat(dir, "hard", &st, 0) == 0 && st.st_nlink == 2 && st.st_size == 6);
	must(statx(dir, "soft", AT_SYMLINK_NOFOLLOW, STATX_ALL, &sx) == 0 && sx.stx_size == 2);
	must(renameat2(dir, "in", dir, "soft", RENAME_EXCHANGE) == 0 &&
	     fstatat(dir, "in", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
	must(renameat2(dir, "in", dir, "hard", RENAME_NOREPLACE) < 0 && errno == EEXIST);
	must(renameat(dir, "hard", where, "moved") == 0 && rename("moved", "dir/hard") == 0);
	must(mknodat(dir, "pipe", S_IFIFO | 0600, 0) == 0 &&
	     mknod("dir/plain", S_IFREG | 0644, 0) == 0);
	must(faccessat(dir, "pipe", W_OK, 0) == 0 && access("dir/none", F_OK) < 0);
	must(utimensat(dir, "plain", (struct timespec[]){{1, 2}, {3, 4}}, 0) == 0);
	must(chmod("dir/plain", 0400) == 0 && fchmodat(dir, "plain", 0440, 0) == 0);
	must(truncate("dir/hard", 3) == 0);
	if (geteuid() == 0)
		must(fchownat(dir, "plain", 12, 34, 0) == 0 && lchown("dir/soft", 0, 0) == 0);
	must(fchdir(dir) == 0 && mkdir("relative", 0700) == 0 && rmdir("relative") == 0 &&
	     chdir("sub") == 0 && chdir("../..") == 0);
	char cwd[4096];
	must(getcwd(cwd, sizeof cwd) != NULL);
	DIR *d = opendir("dir");
	int n = 0;
	while (readdir(d))
		n++;
	rewinddir(d);
	while (readdir(d))
		n++;
	printf("%d entries\n", n);
	must(closedir(d) == 0);
	for (int i = 0; i < 300; i++) {
		char name[100];
		snprintf(name, sizeof name,
			 "dir/sub/a rather long name, so that one buffer does not hold them %d", i);
		must(close(open(name, O_CREAT | O_WRONLY, 0644)) == 0);
	}
	d = opendir("dir/sub");
	for (n = 0; readdir(d); n++)
		;
	printf("%d entries\n", n);
	closedir(d);
	fd = open("dir", O_TMPFILE | O_RDWR, 0644);
	if (fd >= 0) {
		char self[64];
		snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
		must(write(fd, "nameless", 8) == 8 &&
		     linkat(AT_FDCWD, self, dir, "named", AT_SYMLINK_FOLLOW) == 0 &&
		     close(fd) == 0);
	}
	must((fd = open("dir/gone", O_CREAT | O_RDWR, 0644)) >= 0 &&
	     unlinkat(dir, "gone", 0) == 0 && write(fd, "still", 5) == 5 &&
	     pread(fd, cwd, 9, 0) == 5 && close(fd) == 0);
	must(setxattr("dir/named", "user.a", "value", 5, 0) == 0 || errno == ENOENT ||
	     errno == EOPNOTSUPP);
	fd = open("data", O_RDONLY);
	if (fsetxattr(fd, "user.b", "another\0value", 13, XATTR_CREATE) == 0) {
		must(fgetxattr(fd, "user.b", cwd, 100) == 13 && flistxattr(fd, cwd, 100) == 7 &&
		     listxattr("data", cwd, 100) == 7 && getxattr("data", "user.b", NULL, 0) == 13);
		must(setxattr("data", "user.c", "", 0, 0) == 0 &&
		     removexattr("data", "user.b") == 0 &&
		     lgetxattr("data", "user.b", cwd, 100) < 0);
	}
	struct statfs fs;
	must(fstatfs(fd, &fs) == 0 && statfs(".", &fs) == 0 && close(fd) == 0 && close(dir) == 0 &&
	     close(where) == 0);
	must(syscall(SYS_faccessat2, AT_FDCWD, "data", R_OK, AT_EACCESS) == 0 &&
	     syscall(SYS_creat, "created", 0600) >= 0);
	sync();
}

/* Descriptors that no file system stands behind. */
static void others(void)
{
	int sv[2], e = eventfd(3, 0), ep = epoll_create1(0), in = inotify_init1(IN_NONBLOCK),
		   mem = memfd_create("mem", MFD_ALLOW_SEALING);
	uint64_t v;
	char buf[4096], control[64];
	must(e >= 0 && ep >= 0 && in >= 0 && mem >= 0 &&
	     socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	must(read(e, &v, 8) == 8 && v == 3);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = sv[1]};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, sv[1], &ev) == 0 && write(sv[0], "hello", 5) == 5 &&
	     epoll_wait(ep, &ev, 1, 1000) == 1 && ev.data.fd == sv[1]);
	must(recv(sv[1], buf, 5, 0) == 5);
	must(inotify_add_watch(in, ".", IN_CREATE) >= 0 &&
	     close(open("watched", O_CREAT | O_WRONLY, 0644)) == 0 &&
	     read(in, buf, sizeof buf) > 0);
	must(write(mem, "in memory", 9) == 9 && ftruncate(mem, 100) == 0 &&
	     pread(mem, buf, 200, 0) == 100 && fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) == 0 &&
	     write(mem, "x", 1) < 0);
	/* a descriptor goes through a socket and comes out under another number */
	int fd = open("data", O_RDONLY), got;
	struct iovec iov = {"d", 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(sizeof fd)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	*c = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	must(sendmsg(sv[0], &msg, 0) == 1);
	iov.iov_base = buf;
	must(recvmsg(sv[1], &msg, 0) == 1 && (c = CMSG_FIRSTHDR(&msg)));
	memcpy(&got, CMSG_DATA(c), sizeof got);
	must(got != fd && pread(got, buf, 10, 0) == 10 && !memcmp(buf, big, 10) &&
	     close(got) == 0 && close(fd) == 0);
}

static void processes(void)
{
	int fd = open("shared offset", O_CREAT | O_RDWR, 0644), status,
	    kept = open("data", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			char line[32];
			_exit(write(fd, line, snprintf(line, sizeof line, "child %d\n", i)) < 0 ||
			      chdir("dir") || close(fd));
		}
		must(waitpid(pid, &status, 0) == pid && status == 0);
	}
	must(lseek(fd, 0, SEEK_CUR) == 32);
	pid_t pid = fork();
	if (pid == 0) { /* unshared: its directory and descriptors are its own */
		must(unshare(CLONE_FS | CLONE_FILES) == 0 && dup2(fd, 1) == 1);
		execl("/bin/sh", "sh", "-c", "echo through the shell; cat data > /dev/null; exit 0",
		      (char *)NULL);
		_exit(1);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0 && pread(kept, back, 10, 0) == 10 &&
	     close(kept) == 0 && close(fd) == 0);
}

int main(void)
{
	data();
	names();
	others();
	processes();
	printf("all as it should be\n");
	return 0;
}
