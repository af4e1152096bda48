// Does what a rule of `reanimator findings` is about (`habits RULE`), or nearly does it
// (`habits RULE near`). Works in the current directory.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[1 << 20];

static int check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(3);
	}
	return result;
}

static int make(const char *name, int flags)
{
	return check(open(name, O_RDWR | O_CREAT | O_TRUNC | flags, 0644), name);
}

static void put(int fd, size_t n)
{
	if (write(fd, block, n) != (ssize_t)n) {
		perror("write");
		exit(3);
	}
}

static void get(int fd, size_t n, off_t at)
{
	if (pread(fd, block, n, at) < 0) {
		perror("pread");
		exit(3);
	}
}

/* A file of n bytes that is on disk. */
static int filled(const char *name, size_t n)
{
	int fd = make(name, 0);
	for (size_t done = 0; done < n; done += sizeof block)
		put(fd, n - done < sizeof block ? n - done : sizeof block);
	check(fsync(fd), "fsync");
	int dir = check(open(".", O_RDONLY | O_DIRECTORY), ".");
	check(fsync(dir), "fsync");
	close(dir);
	check(lseek(fd, 0, SEEK_SET), "lseek");
	return fd;
}

static void sync_directory(void)
{
	int dir = check(open(".", O_RDONLY | O_DIRECTORY), ".");
	check(fsync(dir), "fsync");
	close(dir);
}

static void rename_unsynced(int near)
{
	close(filled("config", 4096));
	int fd = make("config.new", 0);
	put(fd, 4096);
	if (near)
		check(fdatasync(fd), "fdatasync");
	close(fd);
	check(rename("config.new", "config"), "rename");
	sync_directory();
}

static void error_ignored(int near)
{
	int fd = check(open("/dev/full", O_WRONLY), "/dev/full");
	/* It fails with ENOSPC. The near miss writes the same again, then gives up. */
	for (int i = 0; i < 3; i++)
		if (write(fd, block, near ? 100 : 100 + i) >= 0)
			exit(3);
	close(fd);
}

static void leak(int near)
{
	close(filled("data", 100));
	for (int i = 0; i < 80; i++) {
		int fd = check(open("data", O_RDONLY), "data");
		get(fd, 100, 0);
		if (near)
			close(fd);
	}
}

static void leak_refused(int near)
{
	struct rlimit few = {near ? 40 : 20, 40};
	check(setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
	close(filled("data", 100));
	for (int i = 0; i < 30; i++)
		if (open("data", O_RDONLY) < 0 && errno != EMFILE)
			exit(3);
}

static void dir_unsynced(int near)
{
	int fd = make("new", 0);
	put(fd, 100);
	check(fsync(fd), "fsync");
	close(fd);
	if (near)
		sync_directory();
}

static void short_write_ignored(int near)
{
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit small = {8192, RLIM_INFINITY}, large = {RLIM_INFINITY, RLIM_INFINITY};
	int fd = make("cut", 0);
	check(setrlimit(RLIMIT_FSIZE, &small), "setrlimit");
	if (write(fd, block, 12288) != 8192)
		exit(3);
	check(setrlimit(RLIMIT_FSIZE, &large), "setrlimit");
	if (near)
		put(fd, 4096);
	close(fd);
}

static void sync_per_record(int near)
{
	int fd = filled("log", 0);
	for (int i = 0; i < 60; i++) {
		put(fd, near ? 20000 : 100);
		check(fsync(fd), "fsync");
	}
}

static void useless_sync(int near)
{
	int fd = filled("log", 100);
	for (int i = 0; i < 40; i++) {
		if (near)
			put(fd, 8192);
		check(fsync(fd), "fsync");
	}
}

static void sync_open(int near)
{
	int fd = make("log", near ? 0 : O_DSYNC);
	for (int i = 0; i < 120; i++)
		put(fd, 4096);
}

static void tiny_appends(int near)
{
	int fd = make("out", 0);
	for (int i = 0; i < 600; i++) {
		put(fd, 100);
		if (near && i % 50 == 0)
			get(fd, 100, 0);
	}
}

static void small_io(int near)
{
	int fd = filled("data", 8 << 20);
	for (int i = 0; i < 1800; i++)
		if (read(fd, block, near ? 4096 : 100) < 0)
			exit(3);
}

static void sequential_small(int near)
{
	int fd = filled("data", 8 << 20);
	size_t step = near ? 128 << 10 : 16 << 10;
	while (read(fd, block, step) > 0)
		;
}

static void misaligned(int near)
{
	int fd = make("data", 0);
	for (int i = 0; i < 1500; i++)
		if (pwrite(fd, block, 4096, i % 64 * 4096 + (near ? 0 : 100)) != 4096)
			exit(3);
}

static void random_reads(int near)
{
	int fd = filled("data", 16 << 20);
	for (int i = 0; i < 100; i++)
		get(fd, 4096, (off_t)i * 4096);
	/* Nearly: always the same bytes. */
	for (int i = 0; i < 2000; i++)
		get(fd, 4096, (off_t)(near ? 7 : i * 1237 % 4096) * 4096);
}

static void reread_file(int near)
{
	close(filled("settings", 6000));
	for (int i = 0; i < 80; i++) {
		int fd = check(open("settings", O_RDWR), "settings");
		while (read(fd, block, sizeof block) > 0)
			;
		if (near && i % 10 == 0) {
			check(lseek(fd, 0, SEEK_SET), "lseek");
			put(fd, 6000);
		}
		close(fd);
	}
}

static void reread_bytes(int near)
{
	int fd = filled("data", 8 << 20);
	for (int i = 0; i < 4; i++)
		for (int at = 0; at < 8; at++) {
			if (near && i > 0)
				continue;
			get(fd, 1 << 20, (off_t)at << 20);
		}
}

static void seek_read(int near)
{
	int fd = filled("data", 8 << 20);
	for (int i = 0; i < 1200; i++) {
		off_t at = (off_t)i * 5000;
		if (near) {
			get(fd, 5000, at);
		} else {
			check(lseek(fd, at, SEEK_SET), "lseek");
			if (read(fd, block, 5000) < 0)
				exit(3);
		}
	}
}

static void stat_storm(int near)
{
	struct stat st;
	int fd = filled("data", 100);
	for (int i = 0; i < 150; i++) {
		check(stat("data", &st), "stat");
		if (near && i % 10 == 0)
			put(fd, 100);
	}
}

static void path_search(int near)
{
	char name[64];
	struct stat st;
	if (near)
		close(filled("module", 10));
	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof name, near ? "%.0dmodule" : "dir%d/module", near ? 0 : i);
		stat(name, &st);
	}
}

static void same_miss(int near)
{
	char name[64];
	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof name, "missing%d", near ? i : 0);
		access(name, F_OK);
	}
}

static void unused_open(int near)
{
	close(filled("data", 100));
	for (int i = 0; i < 150; i++) {
		int fd = check(open("data", O_RDONLY), "data");
		if (near)
			get(fd, 100, 0);
		close(fd);
	}
}

static void dir_scan(int near)
{
	close(filled("entry", 100));
	for (int i = 0; i < 80; i++) {
		int fd = check(open(".", O_RDONLY | O_DIRECTORY), ".");
		while (getdents64(fd, block, sizeof block) > 0)
			;
		close(fd);
		if (near && i % 10 == 0) {
			close(make("other", 0));
			unlink("other");
		}
	}
}

static void temp_churn(int near)
{
	char name[64];
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof name, "tmp%d", i);
		int fd = make(name, 0);
		put(fd, 4096);
		close(fd);
		if (!near)
			unlink(name);
	}
}

static void lock_wait(int near)
{
	int fd = filled("lock", 100), ready[2];
	check(pipe(ready), "pipe");
	pid_t child = check(fork(), "fork");
	if (child == 0) {
		int other = check(open("lock", O_RDWR), "lock");
		check(flock(other, LOCK_EX), "flock");
		if (near)
			flock(other, LOCK_UN);
		put(ready[1], 1);
		usleep(300000);
		_exit(0);
	}
	if (read(ready[0], block, 1) != 1)
		exit(3);
	check(flock(fd, LOCK_EX), "flock");
	waitpid(child, NULL, 0);
}

static void eagain_loop(int near)
{
	int fds[2];
	check(pipe2(fds, O_NONBLOCK), "pipe2");
	struct pollfd one = {fds[0], POLLIN, 0};
	for (int i = 0; i < 1500; i++) {
		if (read(fds[0], block, 10) >= 0)
			exit(3);
		if (near)
			poll(&one, 1, 0);
	}
}

static void sleep_poll(int near)
{
	struct stat st;
	char name[64];
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "wanted%d", near ? i : 0);
		stat(name, &st);
		usleep(2000);
	}
}

static const struct {
	const char *name;
	void (*run)(int near);
} habits[] = {
	{"rename-unsynced", rename_unsynced}, {"error-ignored", error_ignored},
	{"leak", leak}, {"leak-refused", leak_refused}, {"dir-unsynced", dir_unsynced},
	{"short-write-ignored", short_write_ignored}, {"sync-per-record", sync_per_record},
	{"useless-sync", useless_sync}, {"sync-open", sync_open},
	{"tiny-appends", tiny_appends}, {"small-io", small_io},
	{"sequential-small", sequential_small}, {"misaligned", misaligned},
	{"random", random_reads}, {"reread-file", reread_file},
	{"reread-bytes", reread_bytes}, {"seek-read", seek_read},
	{"stat-storm", stat_storm},
	{"path-search", path_search}, {"same-miss", same_miss},
	{"unused-open", unused_open}, {"dir-scan", dir_scan}, {"temp-churn", temp_churn},
	{"lock-wait", lock_wait}, {"eagain-loop", eagain_loop}, {"sleep-poll", sleep_poll},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof habits / sizeof *habits; i++)
		if (strcmp(argv[1], habits[i].name) == 0) {
			habits[i].run(argc > 2);
			return 0;
		}
	fprintf(stderr, "usage: habits RULE [near]\n");
	return 2;
}
