/*
 * Operations of libaio, by raw system calls: reads, writes, vectors, fsync, refused and failing
 * blocks, completions that are taken from the ring without a call, and an operation that is under
 * way at the end. Prints how many operations the kernel took.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DEPTH = 200, SIZE = 4096 };

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, header_length;
	struct io_event events[];
};

static aio_context_t context;
static int submitted;
static char buffers[DEPTH][SIZE];

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static struct iocb block(int opcode, int fd, void *buf, size_t n, long long at)
{
	return (struct iocb){ .aio_lio_opcode = opcode, .aio_fildes = fd,
		.aio_buf = (uintptr_t)buf, .aio_nbytes = n, .aio_offset = at };
}

static int submit(struct iocb *first, int count)
{
	struct iocb *blocks[DEPTH];
	for (int i = 0; i < count; i++)
		blocks[i] = first + i;
	int taken = syscall(SYS_io_submit, context, count, blocks);
	if (taken > 0)
		submitted += taken;
	return taken;
}

/* Takes `count` completions by calls. */
static void take(int count)
{
	struct io_event events[DEPTH];
	while (count > 0) {
		int n = syscall(SYS_io_getevents, context, 1, count, events, 0);
		must(n > 0, "io_getevents");
		count -= n;
	}
}

/* Takes one completion from the ring, without a call. */
static long long take_from_ring(void)
{
	struct ring *ring = (struct ring *)context;
	while (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == ring->head)
		usleep(100);
	long long result = ring->events[ring->head].res;
	__atomic_store_n(&ring->head, (ring->head + 1) % ring->nr, __ATOMIC_RELEASE);
	return result;
}

int main(void)
{
	static struct iocb blocks[DEPTH];
	int fd = open("data", O_RDWR | O_CREAT, 0600), pipes[2];
	must(fd >= 0 && !pipe(pipes), "open");
	must(!syscall(SYS_io_setup, DEPTH, &context), "io_setup");

	/* Many at once, more than fit on the first page of the ring. */
	for (int i = 0; i < DEPTH; i++) {
		memset(buffers[i], 'a' + i % 26, SIZE);
		blocks[i] = block(IOCB_CMD_PWRITE, fd, buffers[i], SIZE, (long long)i * SIZE);
	}
	must(submit(blocks, DEPTH) == DEPTH, "submit writes");
	take(DEPTH);
	memset(buffers, 0, sizeof(buffers));
	for (int i = 0; i < DEPTH; i++)
		blocks[i] = block(IOCB_CMD_PREAD, fd, buffers[i], SIZE, (long long)i * SIZE);
	must(submit(blocks, DEPTH) == DEPTH, "submit reads");
	take(DEPTH);
	for (int i = 0; i < DEPTH; i++)
		must(buffers[i][7] == 'a' + i % 26, "data");

	/* Vectors, and a short read at the end of the file. */
	struct iovec parts[2] = { { buffers[0], 10 }, { buffers[1], 20 } };
	blocks[0] = block(IOCB_CMD_PWRITEV, fd, parts, 2, DEPTH * SIZE);
	must(submit(blocks, 1) == 1, "submit");
	take(1);
	blocks[0] = block(IOCB_CMD_PREADV, fd, parts, 2, DEPTH * SIZE + 5);
	blocks[1] = block(IOCB_CMD_FSYNC, fd, 0, 0, 0);
	blocks[2] = block(IOCB_CMD_FDSYNC, fd, 0, 0, 0);
	must(submit(blocks, 3) == 3, "submit");
	take(3);

	/* The second block is refused, and the third is not looked at. */
	blocks[0] = block(IOCB_CMD_PWRITE, fd, "one", 3, 0);
	blocks[1] = block(99, fd, "two", 3, 10);
	blocks[2] = block(IOCB_CMD_PWRITE, fd, "six", 3, 20);
	must(submit(blocks, 3) == 1, "submit a refused one");
	take(1);
	blocks[0] = block(IOCB_CMD_PWRITE, -1, "bad", 3, 0);
	must(submit(blocks, 1) == -1, "submit to no descriptor");

	/* The program takes completions itself. */
	for (int i = 0; i < 3; i++) {
		blocks[0] = block(IOCB_CMD_PREAD, fd, buffers[3], 100, i * SIZE);
		must(submit(blocks, 1) == 1 && take_from_ring() == 100, "take from the ring");
	}

	/* An operation that is under way at the end. */
	blocks[0] = block(IOCB_CMD_POLL, pipes[0], (void *)POLLIN, 0, 0);
	must(submit(blocks, 1) == 1, "submit a poll");
	printf("%d\n", submitted);
	return 0;
}
