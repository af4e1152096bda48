/* Reads a page-cached file N times in each thread: preads FILE N [BYTES [THREADS [beside]]] (4096
   bytes, one thread; beside: one more that sleeps). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 1 << 20 };
static int fd;
static long n, size = 4096;

static void *work(void *failed)
{
	char *buf = malloc(size);
	long blocks = SIZE / size;
	for (long i = 0; i < n; i++) {
		long block = i * 7 % blocks;
		if (pread(fd, buf, size, block * size) != size ||
		    buf[1] != (char)(block * size / 4096)) {
			*(int *)failed = 1;
			break;
		}
	}
	free(buf);
	return NULL;
}

static void *sleeps(void *nothing)
{
	pause();
	return nothing;
}

int main(int argc, char **argv)
{
	static char page[4096];
	pthread_t other[64];
	int failed = 0;
	n = argc > 2 ? atol(argv[2]) : 0;
	if (argc > 3)
		size = atol(argv[3]);
	long threads = argc > 4 ? atol(argv[4]) : 1;
	fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0644) : -1;
	if (fd < 0 || size < 2 || size > SIZE || threads < 1 || threads > 64)
		return 1;
	for (int i = 0; i < SIZE / 4096; i++) {
		memset(page, i, sizeof page);
		if (pwrite(fd, page, sizeof page, (off_t)i * 4096) != sizeof page)
			return 1;
	}
	if (argc > 5 && pthread_create(&other[0], NULL, sleeps, NULL))
		return 1;
	for (long i = 1; i < threads; i++)
		if (pthread_create(&other[i], NULL, work, &failed))
			return 1;
	work(&failed);
	for (long i = 1; i < threads; i++)
		pthread_join(other[i], NULL);
	return failed;
}
