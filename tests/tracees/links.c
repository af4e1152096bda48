/* Files reached through links of procfs: by all kinds of calls that take a path, through the
   descriptors and directories of this process, of a thread and of a child. What does not hold what
   it should is said. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int strange;
static char path[256];

static int must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		strange = 1;
	}
	return result;
}

static const char *at(const char *before, int number, const char *behind)
{
	snprintf(path, sizeof path, "%s%d%s", before, number, behind);
	return path;
}

static void holds(int fd, const char *expected)
{
	char got[64] = "";
	must(pread(fd, got, sizeof got - 1, 0), "pread");
	if (strcmp(got, expected)) {
		fprintf(stderr, "%s instead of %s\n", got, expected);
		strange = 1;
	}
}

static int made(const char *name, const char *text)
{
	int fd = must(open(name, O_CREAT | O_RDWR, 0644), name);
	must(write(fd, text, strlen(text)), name);
	return fd;
}

static void again(const char *how, int flags, const char *text)
{
	int fd = must(open(how, flags, 0600), how);
	must(write(fd, text, strlen(text)), how);
	close(fd);
}

int main(void)
{
	/* Without its name, by every way to say it. */
	int gone = made("gone", "0123456789");
	made("kept", "kept");
	unlink("gone");
	again(at("/proc/self/fd/", gone, ""), O_WRONLY, "a");
	again(at("/proc/thread-self/fd/", gone, ""), O_RDWR, "b");
	holds(gone, "b123456789");
	char own[64];
	snprintf(own, sizeof own, "/proc/%d/task/%d/fd/", getpid(), getpid());
	again(at(own, gone, ""), O_WRONLY | O_APPEND, "c");
	again(at("/proc/./self//fd/../fd/", gone, ""), O_WRONLY, "d");
	holds(gone, "d123456789c");
	int fds = must(open("/proc/self/fd", O_DIRECTORY | O_PATH), "fd");
	int fd = must(openat(fds, at("", gone, ""), O_WRONLY | O_TRUNC), "openat");
	must(write(fd, "emptied", 7), "write");
	close(fd);
	holds(gone, "emptied");
	must(chmod(at("/dev/fd/", gone, ""), 0640), "chmod");
	must(truncate(at("/proc/self/fd/", gone, ""), 4), "truncate");
	must(utimensat(fds, at("", gone, ""), NULL, 0), "utimensat");
	must(chown(at("/proc/self/fd/", gone, ""), geteuid(), getegid()), "chown");
	must(access(at("/proc/self/fd/", gone, ""), W_OK), "access");
	struct stat s;
	must(stat(at("/proc/self/fd/", gone, ""), &s), "stat");
	if (s.st_size != 4 || (s.st_mode & 0777) != 0640 || s.st_nlink)
		fprintf(stderr, "stat says otherwise\n"), strange = 1;
	/* The link itself is not the file. */
	must(lstat(at("/proc/self/fd/", gone, ""), &s), "lstat");
	must(readlink(at("/proc/self/fd/", gone, ""), path, sizeof path), "readlink");
	must(fstatat(fds, at("", gone, ""), &s, AT_SYMLINK_NOFOLLOW), "fstatat");
	holds(gone, "empt");

	/* Another file has the name now. */
	int moved = made("moved", "moved");
	rename("moved", "elsewhere");
	int other = made("moved", "other");
	again(at("/proc/self/fd/", moved, ""), O_WRONLY, "M");
	setxattr(at("/proc/self/fd/", moved, ""), "user.m", "1", 1, 0);
	holds(moved, "Moved");
	holds(other, "other");

	/* A file that never had a name gets one. */
	int unnamed = must(open(".", O_TMPFILE | O_RDWR, 0600), "O_TMPFILE");
	again(at("/proc/self/fd/", unnamed, ""), O_WRONLY, "named");
	must(linkat(AT_FDCWD, at("/proc/self/fd/", unnamed, ""), AT_FDCWD, "named",
		    AT_SYMLINK_FOLLOW),
	     "linkat");

	/* Directories: below a descriptor that was moved, and the working directory. */
	mkdir("d", 0755);
	int d = must(open("d", O_DIRECTORY | O_RDONLY), "d");
	rename("d", "e");
	again(at("/proc/self/fd/", d, "/in"), O_CREAT | O_WRONLY, "in");
	again(at("/proc/self/fd/", d, "/../beside"), O_CREAT | O_WRONLY, "beside");
	must(mkdir("/proc/self/cwd/e/sub", 0700), "mkdir");
	must(rename("kept", at("/proc/self/fd/", d, "/sub/kept")), "rename");
	must(link("e/sub/kept", "/proc/self/cwd/second"), "link");
	must(symlink("second", at("/proc/self/fd/", d, "/link")), "symlink");
	must(unlink(at("/proc/self/fd/", d, "/in")), "unlink");
	must(chdir(at("/proc/self/fd/", d, "")), "chdir");
	again("here", O_CREAT | O_WRONLY, "here");
	must(chdir("/proc/self/cwd/.."), "chdir");
	again("back", O_CREAT | O_WRONLY, "back");
	char cwd[200], whole[300];
	must(getcwd(cwd, sizeof cwd) ? 0 : -1, "getcwd");
	snprintf(whole, sizeof whole, "/proc/self/root%s/rooted", cwd);
	again(whole, O_CREAT | O_WRONLY, "rooted");

	/* By a link of ours, and by one to one. */
	must(symlink(at("/proc/self/fd/", gone, ""), "way"), "symlink");
	must(symlink("../way", "e/way"), "symlink");
	again("way", O_WRONLY, "w");
	again("e/way", O_WRONLY, "xy");
	holds(gone, "xypt");
	must(unlink("way"), "unlink");
	must(unlink("e/way"), "unlink");

	/* What a child has open, and where it is. */
	int from[2], to[2];
	must(pipe(from), "pipe");
	must(pipe(to), "pipe");
	pid_t child = must(fork(), "fork");
	if (!child) {
		char byte;
		int fd = made("child", "child");
		must(dup2(fd, 77), "dup2");
		unlink("child");
		must(chdir("e"), "chdir");
		must(write(from[1], "r", 1), "write");
		close(to[1]);
		must(read(to[0], &byte, 1), "read");
		holds(fd, "Child");
		_exit(strange);
	}
	char byte;
	close(to[0]);
	must(read(from[0], &byte, 1), "read");
	snprintf(whole, sizeof whole, "/proc/%d/fd/77", child);
	again(whole, O_WRONLY, "C");
	snprintf(whole, sizeof whole, "/proc/%d/cwd/parents", child);
	again(whole, O_CREAT | O_WRONLY, "parents");
	int pidfd = must(syscall(SYS_pidfd_open, child, 0), "pidfd_open");
	int got = must(syscall(SYS_pidfd_getfd, pidfd, 77, 0), "pidfd_getfd");
	holds(got, "Child");
	must(fchmod(got, 0600), "fchmod");
	must(write(to[1], "g", 1), "write");
	int status = 0;
	must(waitpid(child, &status, 0), "waitpid");
	holds(got, "Child");

	/* The program itself. */
	int self = must(open("/proc/self/exe", O_RDONLY), "exe");
	char head[5] = "";
	must(read(self, head, 4), "read");
	if (memcmp(head, "\177ELF", 4))
		fprintf(stderr, "no program\n"), strange = 1;
	return strange || status;
}
