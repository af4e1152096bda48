/* Runs until the file `stop` appears: threads that write, each to its own file, through descriptors
   opened long before. Then verifies every byte.
   usage: serve THREADS; prints `ready` once all threads have begun. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 8 };
static int fd[MOST];
static long written[MOST], failed;

static void *work(void *arg)
{
	long me = (long)arg;
	uint64_t r[2];
	while (access("stop", F_OK) < 0) {
		r[0] = me, r[1] = written[me];
		if (write(fd[me], r, sizeof r) != sizeof r)
			__atomic_add_fetch(&failed, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&written[me], 1, __ATOMIC_SEQ_CST);
		usleep(500);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[MOST];
	uint64_t r[2];
	char name[32];
	long threads = argc > 1 ? atol(argv[1]) : 4;
	alarm(120); /* should no stop come */
	if (mkfifo("unused", 0600) && errno != EEXIST)
		return 91;
	for (long i = 0; i < threads; i++) {
		snprintf(name, sizeof name, "out%ld", i);
		fd[i] = open(name, O_CREAT | O_TRUNC | O_RDWR, 0644);
		if (fd[i] < 0)
			return 90;
		pthread_create(&t[i], NULL, work, (void *)i);
	}
	for (long i = 0; i < threads; i++)
		while (!__atomic_load_n(&written[i], __ATOMIC_SEQ_CST))
			usleep(100);
	printf("ready\n");
	fflush(stdout);
	for (long i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	for (long i = 0; i < threads; i++)
		for (long k = 0; k < written[i]; k++)
			if (pread(fd[i], r, sizeof r, k * sizeof r) != sizeof r ||
			    r[0] != (uint64_t)i || r[1] != (uint64_t)k)
				failed++;
	printf("%ld failed\n", failed);
	return failed ? 1 : 0;
}
