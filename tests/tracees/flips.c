/* One thread sets and clears a status flag of an open file while two others use the file: whether
   a call was direct, or where a write went, is a race.
   usage: flips direct|append */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { FLIPS = 300, USES = 4000 };

static int fd, flag;
static volatile int stop;

static void *flip(void *no) {
	for (int i = 0; i < FLIPS; i++) {
		fcntl(fd, F_SETFL, flag);
		fcntl(fd, F_SETFL, 0);
	}
	stop = 1;
	return no;
}

static void *use(void *no) {
	char bytes[100] = "abc";
	for (int i = 0; !stop && i < USES; i++) {
		ssize_t moved = flag == O_DIRECT ? pread(fd, bytes, sizeof bytes, 10 + i % 50)
						 : pwrite(fd, bytes, 3, 10 + i % 50);
		(void)moved;
	}
	return no;
}

int main(int argc, char **argv) {
	char big[8192];
	memset(big, 'x', sizeof big);
	flag = argc > 1 && !strcmp(argv[1], "direct") ? O_DIRECT : O_APPEND;
	fd = open("f", O_CREAT | O_RDWR, 0644);
	if (write(fd, big, sizeof big) < 0 || fsync(fd) < 0)
		return 1;
	pthread_t threads[3];
	pthread_create(&threads[0], 0, flip, 0);
	pthread_create(&threads[1], 0, use, 0);
	pthread_create(&threads[2], 0, use, 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], 0);
	return 0;
}
