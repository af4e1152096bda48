/* Threads that open, duplicate and close all at once, and so are given each other's numbers; some
   numbers they take from each other on purpose (dup2). Each thread has
   files of its own, so that what it reads is decided: its own bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 1000, TAKEN = 40 };
static atomic_long strange;

static void must(int ok)
{
	if (!ok)
		strange++;
}

static void *work(void *arg)
{
	unsigned me = (unsigned)(long)arg, seed = me * 7919 + 1;
	char name[32], buf[64], got[64];
	for (int i = 0; i < ROUNDS; i++) {
		seed = seed * 1103515245 + 12345;
		snprintf(name, sizeof name, "t%u.%u", me, (seed >> 16) % 4);
		int fd = open(name, O_CREAT | O_RDWR, 0644), two = dup(fd), len = 1 + seed % 60,
		    at = i % 100;
		must(fd >= 0 && two >= 0);
		memset(buf, 'a' + me, sizeof buf);
		must(pwrite(fd, buf, len, at) == len);
		must(!close(fd));
		must(pread(two, got, len, at) == len && !memcmp(buf, got, len));
		if (seed & 64)
			must(dup2(two, TAKEN + seed % 3) >= 0);
		if (seed & 128)
			must(!close(TAKEN + (seed >> 9) % 3) || errno == EBADF);
		must(lseek(two, seed % 50, SEEK_SET) == seed % 50);
		must(write(two, "xyz", 3) == 3);
		must(!close(two));
	}
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, work, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	printf("%ld strange\n", (long)strange);
	return strange ? 1 : 0;
}
