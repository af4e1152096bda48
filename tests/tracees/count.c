/* Makes a known number of writes, each saying which it is, and verifies at the end that all are
   there. Its last act is to print what it did.
   usage: count FILE N [THREADS]: thread t writes records t, t + THREADS, ... */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fd;
static long n, threads;
static long failed;

static void fill(uint64_t *r, long i) {
	for (int k = 0; k < 8; k++)
		r[k] = (uint64_t)i * 0x9e3779b97f4a7c15u + k;
	r[0] = i;
}

static void *work(void *arg) {
	uint64_t r[8];
	for (long i = (long)arg; i < n; i += threads) {
		fill(r, i);
		if (pwrite(fd, r, sizeof r, i * sizeof r) != sizeof r)
			__atomic_add_fetch(&failed, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

int main(int argc, char **argv) {
	pthread_t t[16];
	uint64_t r[8], want[8];
	if (argc < 3)
		return 90;
	n = atol(argv[2]);
	threads = argc > 3 ? atol(argv[3]) : 1;
	fd = open(argv[1], O_CREAT | O_TRUNC | O_RDWR, 0644);
	if (fd < 0)
		return 91;
	for (long i = 1; i < threads; i++)
		pthread_create(&t[i], NULL, work, (void *)i);
	work(0);
	for (long i = 1; i < threads; i++)
		pthread_join(t[i], NULL);
	for (long i = 0; i < n; i++) {
		fill(want, i);
		if (pread(fd, r, sizeof r, i * sizeof r) != sizeof r || memcmp(r, want, sizeof r))
			failed++;
	}
	if (lseek(fd, 0, SEEK_END) != n * (long)sizeof r)
		failed++;
	printf("%ld writes, %ld failed\n", n, failed);
	return failed ? 1 : 0;
}
