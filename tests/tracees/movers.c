/* Two threads that move data from pipes into files inside the kernel, and close the files at once.
   Usage: movers N */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int n;

static void *move(void *name)
{
	static const size_t len = 40000;
	char *bytes = malloc(len), path[32];
	int p[2];
	if (!bytes || pipe(p))
		exit(1);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s-%d", (char *)name, i % 50);
		memset(bytes, 'a' + i % 26, len);
		int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
		if (fd < 0 || write(p[1], bytes, len) != (ssize_t)len ||
		    splice(p[0], NULL, fd, NULL, len, 0) != (ssize_t)len || close(fd))
			exit(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t one, two;
	n = argc > 1 ? atoi(argv[1]) : 0;
	if (pthread_create(&one, NULL, move, "one") || pthread_create(&two, NULL, move, "two"))
		return 1;
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
