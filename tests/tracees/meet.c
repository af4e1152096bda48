/* Threads of two processes that meet at random in one kind of thing, as replay's rules of order
   name them: data, size, names, listings, links, offsets, numbers.

   meet RULE SEED THREADS OPERATIONS alone|together

   `alone`: one operation at a time, by a lock that the kernel sees nothing of when it is free: only
   the next thread is left to chance, and every result follows from the order of the operations.
   `together`: they overlap as they like. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 6, FILES = 2, NUMBERS = 6, FIRST = 40, LARGE = 3 << 20 };
static atomic_flag *lock;
static int together, operations, file[FILES];

struct thread {
	unsigned id, seed;
	char *bytes;
};

static unsigned any(struct thread *t, unsigned below)
{
	t->seed = t->seed * 1103515245 + 12345;
	return (t->seed >> 8) % below;
}

static char *name(struct thread *t, const char *stem, char out[32])
{
	snprintf(out, 32, "%s%u", stem, any(t, NAMES));
	return out;
}

static char *fill(struct thread *t, size_t n)
{
	memset(t->bytes, 'a' + any(t, 26), n);
	return t->bytes;
}

static void data(struct thread *t)
{
	int fd = file[any(t, FILES)], length = any(t, 20) ? 1 + any(t, 9000) : LARGE;
	off_t at = any(t, 1 << 20);
	if (any(t, 2))
		pwrite(fd, fill(t, length), length, at);
	else
		pread(fd, t->bytes, length, at);
}

static void size(struct thread *t)
{
	struct stat st;
	int which = any(t, FILES), fd = file[which];
	switch (any(t, 7)) {
	case 0:
		ftruncate(fd, any(t, 100000));
		break;
	case 1:
		pwrite(fd, fill(t, 100), 100, any(t, 100000));
		break;
	case 2:
		fchmod(fd, 0600 | any(t, 64));
		break;
	case 3:
		fstat(fd, &st);
		break;
	case 4:
		stat(which ? "file1" : "file0", &st);
		break;
	case 5:
		chmod(which ? "file1" : "file0", 0600 | any(t, 64));
		break;
	default:
		pread(fd, t->bytes, 5000, any(t, 100000));
	}
}

static void names(struct thread *t)
{
	char a[32], b[32];
	struct stat st;
	int fd;
	switch (any(t, 7)) {
	case 0:
		fd = open(name(t, "n", a), O_CREAT | O_EXCL | O_WRONLY, 0600);
		goto opened;
	case 1:
		fd = open(name(t, "n", a), O_RDWR | O_CREAT | O_TRUNC, 0600);
		goto opened;
	case 2:
		unlink(name(t, "n", a));
		break;
	case 3:
		rename(name(t, "n", a), name(t, "n", b));
		break;
	case 4:
		stat(name(t, "n", a), &st);
		break;
	case 5:
		access(name(t, "n", a), R_OK);
		break;
	default:
		fd = open(name(t, "n", a), O_RDONLY);
	opened:
		if (fd >= 0) {
			if (any(t, 2))
				write(fd, fill(t, 50), 50);
			else
				read(fd, t->bytes, 50);
			close(fd);
		}
	}
}

static void listing(struct thread *t)
{
	char a[32];
	int fd;
	if (any(t, 3)) {
		if (any(t, 2)) {
			fd = open(name(t, "d/l", a), O_CREAT | O_WRONLY, 0600);
			close(fd);
		} else {
			unlink(name(t, "d/l", a));
		}
	} else {
		fd = open("d", O_RDONLY | O_DIRECTORY);
		while (syscall(SYS_getdents64, fd, t->bytes, 4096) > 0)
			;
		close(fd);
	}
}

static void links(struct thread *t)
{
	char a[32], b[32];
	struct stat st;
	switch (any(t, 8)) {
	case 0:
		mkdir(name(t, "d/s", a), 0700);
		break;
	case 1:
		rmdir(name(t, "d/s", a));
		break;
	case 2:
		rename(name(t, "d/s", a), name(t, "s", b));
		break;
	case 3:
		stat(any(t, 2) ? "d" : ".", &st);
		break;
	case 4:
		link(any(t, 2) ? "file0" : "file1", name(t, "k", a));
		break;
	case 5:
		unlink(name(t, "k", a));
		break;
	case 6:
		fstat(file[any(t, FILES)], &st);
		break;
	default:
		symlink("file0", name(t, "y", a)), readlink(a, t->bytes, 100), unlink(a);
	}
}

static void offset(struct thread *t)
{
	int fd = file[any(t, FILES)];
	switch (any(t, 4)) {
	case 0:
		write(fd, fill(t, 300), 1 + any(t, 300));
		break;
	case 1:
		read(fd, t->bytes, 1 + any(t, 300));
		break;
	case 2:
		lseek(fd, any(t, 20000), SEEK_SET);
		break;
	default:
		lseek(fd, 0, SEEK_CUR);
	}
}

static void numbers(struct thread *t)
{
	int fd = FIRST + any(t, NUMBERS);
	char a[32];
	switch (any(t, 6)) {
	case 0:
		close(fd);
		break;
	case 1:
		dup2(file[any(t, FILES)], fd);
		break;
	case 2:
		dup3(fd, FIRST + any(t, NUMBERS), O_CLOEXEC);
		break;
	case 3: {
		int made = open(name(t, "n", a), O_CREAT | O_RDWR, 0600);
		dup2(made, fd);
		close(made);
		break;
	}
	case 4:
		pwrite(fd, fill(t, 100), 100, any(t, 10000));
		break;
	default:
		pread(fd, t->bytes, 100, any(t, 10000));
	}
}

static const struct {
	const char *name;
	void (*operation)(struct thread *);
} rules[] = {{"data", data},   {"size", size},	   {"names", names},	{"listing", listing},
	     {"links", links}, {"offset", offset}, {"numbers", numbers}};
static void (*operation)(struct thread *);

static void *work(void *arg)
{
	struct thread *t = arg;
	for (int i = 0; i < operations; i++) {
		while (!together && atomic_flag_test_and_set(lock))
			sched_yield();
		operation(t);
		if (!together)
			atomic_flag_clear(lock);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 2;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (!strcmp(argv[1], rules[i].name))
			operation = rules[i].operation;
	if (!operation)
		return 2;
	unsigned seed = atoi(argv[2]), threads = atoi(argv[3]);
	operations = atoi(argv[4]), together = !strcmp(argv[5], "together");
	lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir("d", 0700);
	file[0] = open("file0", O_CREAT | O_RDWR, 0600),
	file[1] = open("file1", O_CREAT | O_RDWR, 0600);
	pid_t child = fork();
	pthread_t running[threads];
	for (unsigned i = 0; i < threads; i++) {
		struct thread *t = malloc(sizeof *t);
		*t = (struct thread){i + 1, seed * 7919 + i * 104729 + (child ? 1 : 15485863),
				     malloc(LARGE)};
		pthread_create(&running[i], NULL, work, t);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(running[i], NULL);
	if (!child)
		return 0;
	int status;
	waitpid(child, &status, 0);
	return status != 0;
}
