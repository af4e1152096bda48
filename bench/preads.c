/* Reads 4 KiB of a page-cached file N times: preads FILE N. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
	enum { BLOCK = 4096, BLOCKS = 256 };
	static char buf[BLOCK];
	long n = argc > 2 ? atol(argv[2]) : 0;
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0644) : -1;
	if (fd < 0)
		return 1;
	for (int i = 0; i < BLOCKS; i++) {
		memset(buf, i, sizeof buf);
		if (pwrite(fd, buf, BLOCK, (off_t)i * BLOCK) != BLOCK)
			return 1;
	}
	for (long i = 0; i < n; i++)
		if (pread(fd, buf, BLOCK, (i * 7 % BLOCKS) * BLOCK) != BLOCK || buf[1] != (char)(i * 7 % BLOCKS))
			return 1;
	return 0;
}
