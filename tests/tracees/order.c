/* Two threads on two CPUs (if there are two) that take turns by memory alone: write number i begins
   only when write number i - 1 has returned.
   usage: order FILE N */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fd;
static long n;
static volatile long turn;

static void *work(void *arg) {
	long me = (long)arg;
	cpu_set_t one, all;
	CPU_ZERO(&one);
	sched_getaffinity(0, sizeof all, &all);
	for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && seen++ == me % CPU_COUNT(&all))
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
	for (long i = me; i < n; i += 2) {
		for (long spins = 0; turn != i; spins++)
			if (spins > 1000)
				sched_yield();
		pwrite(fd, &i, sizeof i, i * sizeof i);
		__sync_synchronize();
		turn = i + 1;
	}
	return NULL;
}

int main(int argc, char **argv) {
	pthread_t other;
	if (argc < 3 || (fd = open(argv[1], O_CREAT | O_TRUNC | O_RDWR, 0644)) < 0)
		return 90;
	n = atol(argv[2]);
	pthread_create(&other, NULL, work, (void *)1);
	work(0);
	pthread_join(other, NULL);
	return 0;
}
