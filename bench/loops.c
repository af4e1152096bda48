/* Loops of calls that change files: loops pwrite N THREADS (4 KiB into a file of 1 MiB for each
   thread) | loops storm N (open, stat, unlink of N files). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long count;

static void *writes(void *arg) {
	char name[32], block[4096];
	snprintf(name, sizeof name, "w%ld", (long)arg);
	int fd = open(name, O_CREAT | O_RDWR, 0644);
	memset(block, 'a' + (int)(long)arg, sizeof block);
	for (long i = 0; i < count; i++)
		if (pwrite(fd, block, sizeof block, i % 256 * 4096) != sizeof block)
			exit(1);
	return close(fd) ? NULL : arg;
}

static int storm(void) {
	char name[32];
	struct stat s;
	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof name, "s%ld", i % 1000);
		int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
		if (fd < 0 || close(fd) || stat(name, &s) || unlink(name))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv) {
	if (argc < 3)
		return 90;
	count = atol(argv[2]);
	if (!strcmp(argv[1], "storm"))
		return storm();
	long threads = argc > 3 ? atol(argv[3]) : 1;
	pthread_t of[threads];
	for (long i = 0; i < threads; i++)
		if (pthread_create(&of[i], NULL, writes, (void *)i))
			return 91;
	for (long i = 0; i < threads; i++)
		pthread_join(of[i], NULL);
	return 0;
}
