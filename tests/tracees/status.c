/* Status flags of open files that change while they are used: by a copy of the descriptor, by a
   child, by a thread, one step at a time. Where writes go, and whether they are direct, follows
   from the flags at each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static int fd;
static sem_t go, done;

static void check(int right) {
	if (!right)
		abort();
}

static void *writer(void *no) {
	for (int i = 0; i < 40; i++) {
		sem_wait(&go);
		check(pwrite(fd, "0123456", 7, 14) == 7);
		sem_post(&done);
	}
	return no;
}

static void step(void) {
	sem_post(&go);
	sem_wait(&done);
}

/* Blocks go in directly, then a tail that does not fill one; the flag is cleared through `by`. */
static void direct(int file, int by, char *blocks) {
	for (int i = 0; i < 20; i++) {
		memset(blocks, 'a' + i, 2 * BLOCK);
		struct iovec parts[2] = {{blocks, BLOCK}, {blocks + BLOCK, BLOCK}};
		check((i % 2 ? writev(file, parts, 2) : write(file, blocks, BLOCK)) > 0);
	}
	check(pread(file, blocks, BLOCK, BLOCK) == BLOCK);
	check(!fcntl(by, F_SETFL, fcntl(by, F_GETFL) & ~O_DIRECT));
	check(write(file, "tail", 4) == 4);
}

int main(void) {
	char *blocks = 0, small[5];
	check(!posix_memalign((void **)&blocks, BLOCK, 2 * BLOCK));
	int one = open("direct", O_CREAT | O_RDWR | O_DIRECT, 0644);
	int two = open("copy", O_CREAT | O_RDWR | O_DIRECT, 0644);
	check(one >= 0 && two >= 0);
	direct(one, one, blocks);
	direct(two, dup(two), blocks);
	check(pread(two, small, 5, 3) == 5);

	fd = open("appended", O_RDWR | O_CREAT, 0644);
	pthread_t thread;
	check(!pthread_create(&thread, 0, writer, 0));
	for (int i = 0; i < 20; i++) {
		fcntl(fd, F_SETFL, O_APPEND);
		step();
		fcntl(fd, F_SETFL, 0);
		step();
	}
	pthread_join(thread, 0);
	if (!fork()) {
		fcntl(fd, F_SETFL, O_APPEND);
		_exit(0);
	}
	wait(0);
	check(pwrite(fd, "end", 3, 0) == 3);

	int on = 1, off = 0;
	check(!ioctl(fd, FIONBIO, &on) && fcntl(fd, F_GETFL) & O_NONBLOCK);
	check(!ioctl(fd, FIONBIO, &off) && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	sync();
	return 0;
}
