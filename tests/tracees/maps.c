/*
 * Stores through shared mappings of files: `maps WAY`. Each way leaves the file `data`, and prints
 * how many mappings it created.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define THREADS 4
#define ROUNDS 4000000

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

/* Opens the file and gives it `pages` pages. */
static int make(const char *name, long pages)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	must(fd >= 0 && !ftruncate(fd, pages * PAGE), name);
	return fd;
}

static char *map(int fd, long from, long pages)
{
	int access = PROT_READ | PROT_WRITE;
	char *p = mmap(0, pages * PAGE, access, MAP_SHARED, fd, from * PAGE);
	must(p != MAP_FAILED, "mmap");
	return p;
}

/* The file was there before: some pages change, msync between, and its end is within a page. */
static void plain(void)
{
	int fd = open("data", O_RDWR);
	must(fd >= 0, "data");
	char *p = map(fd, 0, 3);
	memcpy(p + 10, "first", 5);
	must(!msync(p, 3 * PAGE, MS_SYNC), "msync");
	memcpy(p + 2 * PAGE, "second", 6);
	must(pwrite(fd, "written", 7, PAGE) == 7, "pwrite");
	memcpy(p + PAGE + 7, "third", 5);
	must(!munmap(p, 3 * PAGE), "munmap");
	/* Whole pages are mapped. */
	p = mmap(0, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED, "mmap");
	memcpy(p + 4000, "behind the length", 17);
	must(!munmap(p, 10), "munmap");
	char text[PAGE];
	must(pread(fd, text, PAGE, PAGE) == PAGE && !memcmp(text, "writtenthird", 12), "pread");
}

static char *memory;

/* Stores all over the memory, with other threads. */
static void *store(void *arg)
{
	unsigned seed = (uintptr_t)arg;
	for (int i = 0; i < ROUNDS; i++) {
		unsigned at = rand_r(&seed) % (PAGES * PAGE / 8);
		__atomic_store_n((uint64_t *)memory + at, (uint64_t)i << 8 | (uintptr_t)arg,
				 __ATOMIC_RELAXED);
	}
	return 0;
}

static void threads(void)
{
	pthread_t all[THREADS];
	memory = map(make("data", PAGES), 0, PAGES);
	for (uintptr_t i = 0; i < THREADS; i++)
		must(!pthread_create(&all[i], 0, store, (void *)(i + 1)), "thread");
	for (int i = 0; i < 20; i++) {
		msync(memory, PAGES * PAGE, MS_ASYNC);
		usleep(500);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(all[i], 0);
}

/* The child stores after its parent has let go. */
static void forked(void)
{
	int fd = make("data", 2), ready[2];
	char *p = map(fd, 0, 2), byte;
	must(!pipe(ready), "pipe");
	pid_t child = fork();
	if (!child) {
		must(read(ready[0], &byte, 1) == 1, "read");
		strcpy(p + PAGE, "by the child");
		_exit(0);
	}
	strcpy(p, "by the parent");
	must(!munmap(p, 2 * PAGE), "munmap");
	must(write(ready[1], "", 1) == 1, "write");
	must(waitpid(child, 0, 0) == child, "wait");
}

/* Grown, moved, replaced in part, and unmapped in part. */
static void changed(void)
{
	int fd = make("data", 8);
	char *p = map(fd, 0, 2);
	strcpy(p, "small");
	p = mremap(p, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	must(p != MAP_FAILED, "mremap");
	strcpy(p + 7 * PAGE, "grown");
	must(!munmap(p + 6 * PAGE, PAGE), "munmap");
	strcpy(p + 5 * PAGE, "still there");
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	must(mmap(p, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == p, "mmap");
	strcpy(p, "in no file");
	strcpy(p + PAGE, "the last one");
}

/* Nothing but the mapping is left of the file's names and descriptors. */
static void renamed(void)
{
	int fd = make("other", 1);
	char *p = map(fd, 0, 1);
	close(fd);
	must(!rename("other", "data"), "rename");
	strcpy(p, "by another name");
	fd = make("gone", 1);
	char *q = map(fd, 0, 1);
	close(fd);
	must(!unlink("gone"), "unlink");
	strcpy(q, "of no name");
}

/* What was stored before is stored again after calls have changed it. */
static void restored(void)
{
	int fd = make("data", 4);
	char *p = map(fd, 0, 4);
	for (int i = 0; i < 4; i++)
		strcpy(p + i * PAGE, "always the same");
	must(!msync(p, 4 * PAGE, MS_SYNC), "msync");
	must(pwrite(fd, "something else.", 15, 0) == 15, "pwrite");
	strcpy(p, "always the same");
	int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	must(!fallocate(fd, hole, PAGE, PAGE), "fallocate");
	strcpy(p + PAGE, "always the same");
	must(!msync(p, 4 * PAGE, MS_SYNC), "msync");
	must(!truncate("data", 3 * PAGE) && !ftruncate(fd, 4 * PAGE), "truncate");
	strcpy(p + 3 * PAGE, "always the same");
	must(!msync(p, 4 * PAGE, MS_SYNC), "msync");
	close(open("data", O_RDWR | O_TRUNC));
	must(!ftruncate(fd, 4 * PAGE), "ftruncate");
	strcpy(p + 2 * PAGE, "always the same");
}

/* A page of each GiB. */
static void sparse(void)
{
	long gib = (1L << 30) / PAGE;
	char *p = map(make("data", 4 * gib), 0, 4 * gib);
	for (int i = 0; i < 4; i++)
		strcpy(p + i * gib * PAGE + 100, "far away");
}

static int resized_fd;

/* Makes the file long and short again, over and over. */
static void *resize(void *arg)
{
	char *text = malloc(PAGES * PAGE);
	memset(text, 'r', PAGES * PAGE);
	for (int i = 0; i < 300; i++) {
		long rest = (PAGES - 1) * PAGE;
		must(pwrite(resized_fd, text, rest, PAGE) == rest, "pwrite");
		must(!ftruncate(resized_fd, PAGE), "ftruncate");
	}
	free(text);
	return arg;
}

/* One thread changes the length of the file while another one syncs it. */
static void resized(void)
{
	pthread_t thread;
	resized_fd = make("data", PAGES);
	char *p = map(resized_fd, 0, PAGES);
	must(!pthread_create(&thread, 0, resize, 0), "pthread_create");
	for (int i = 0; i < 300; i++) {
		p[i] = 's';
		must(!msync(p, PAGES * PAGE, MS_SYNC), "msync");
	}
	must(!pthread_join(thread, 0), "pthread_join");
}

/* What the file is open for changes after it has been mapped. */
static void appending(void)
{
	int fd = make("data", 2);
	char *p = map(fd, 0, 2);
	must(!fcntl(fd, F_SETFL, O_APPEND), "O_APPEND");
	strcpy(p + PAGE, "not appended");
	must(!msync(p, 2 * PAGE, MS_SYNC), "msync");
	must(write(fd, "appended", 8) == 8, "write");
	strcpy(p, "neither");
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	int mappings = 1;
	if (!strcmp(way, "plain")) {
		plain();
		mappings = 2;
	} else if (!strcmp(way, "threads")) {
		threads();
	} else if (!strcmp(way, "forked")) {
		forked();
	} else if (!strcmp(way, "changed")) {
		changed();
	} else if (!strcmp(way, "renamed")) {
		renamed();
		mappings = 2;
	} else if (!strcmp(way, "restored")) {
		restored();
	} else if (!strcmp(way, "resized")) {
		resized();
	} else if (!strcmp(way, "appending")) {
		appending();
	} else if (!strcmp(way, "sparse")) {
		sparse();
	} else if (!strcmp(way, "exec")) {
		strcpy(map(make("data", 1), 0, 1), "before another program");
		dprintf(1, "%d\n", mappings);
		execl("/bin/true", "true", NULL);
	} else if (!strcmp(way, "killed")) {
		strcpy(map(make("data", 1), 0, 1), "before the end");
		dprintf(1, "%d\n", mappings);
		kill(getpid(), SIGKILL);
	} else if (!strcmp(way, "waiting")) {
		char *p = map(make("data", 1), 0, 1);
		strcpy(p, "while it is recorded");
		dprintf(1, "%d\n", mappings);
		pause();
	} else {
		return 2;
	}
	printf("%d\n", mappings);
	return 0;
}
