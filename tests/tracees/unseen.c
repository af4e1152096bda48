/*
 * Changes files without a system call that writes: `unseen HOW`. Of each way there is one that only
 * gets ready, which many programs do to see what the kernel has.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static int enter(int ring, unsigned count, unsigned flags)
{
	return syscall(SYS_io_uring_enter, ring, count, count, flags, 0, 0);
}

/* A ring that writes `text` to `fd`, unless it is only made. */
static void ring(int fd, const char *text, unsigned flags, int only_made)
{
	struct io_uring_params p = {.flags = flags};
	int ring = syscall(SYS_io_uring_setup, 4, &p);
	must(ring >= 0, "io_uring_setup");
	if (only_made) {
		close(ring);
		return;
	}
	int access = PROT_READ | PROT_WRITE;
	size_t sq_len = p.sq_off.array + p.sq_entries * 4;
	size_t cq_len = p.cq_off.cqes + p.cq_entries * 16;
	char *sq = mmap(0, sq_len, access, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(0, cq_len, access, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe =
		mmap(0, p.sq_entries * sizeof(*sqe), access, MAP_SHARED, ring, IORING_OFF_SQES);
	must(sq != MAP_FAILED && sqe != MAP_FAILED && cq != MAP_FAILED, "mmap of a ring");
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_WRITE;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)text;
	sqe->len = strlen(text);
	((unsigned *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (flags & IORING_SETUP_SQPOLL) {
		unsigned *state = (unsigned *)(sq + p.sq_off.flags);
		while (!__atomic_load_n((unsigned *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE)) {
			/* The kernel's thread sleeps after a second without work. */
			if (__atomic_load_n(state, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP)
				enter(ring, 0, IORING_ENTER_SQ_WAKEUP);
			usleep(1000);
		}
	} else {
		must(enter(ring, 1, IORING_ENTER_GETEVENTS) == 1, "io_uring_enter");
	}
	close(ring);
}

static void aio(int fd, const char *text, int only_made)
{
	aio_context_t context = 0;
	struct iocb block = {.aio_lio_opcode = IOCB_CMD_PWRITE,
			     .aio_fildes = fd,
			     .aio_buf = (uintptr_t)text,
			     .aio_nbytes = strlen(text)};
	struct iocb *blocks[] = {&block};
	struct io_event event;
	must(!syscall(SYS_io_setup, 4, &context), "io_setup");
	if (!only_made) {
		must(syscall(SYS_io_submit, context, 1, blocks) == 1, "io_submit");
		must(syscall(SYS_io_getevents, context, 1, 1, &event, 0) == 1, "io_getevents");
	}
	syscall(SYS_io_destroy, context);
}

/* Memory that stands for `fd`, with what it is mapped with and what it gets later. */
static char *map(int fd, int access, int flags, int later)
{
	char *p = mmap(0, 4096, access, flags, fd, 0);
	must(p != MAP_FAILED, "mmap");
	if (later != access)
		must(!mprotect(p, 4096, later), "mprotect");
	return p;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	char text[8] = {0};
	int fd = open("changed", O_RDWR | O_CREAT, 0600), rw = PROT_READ | PROT_WRITE;
	must(fd >= 0 && write(fd, "before\n", 7) == 7, "write");
	if (!strcmp(how, "ring"))
		ring(fd, "after\n", 0, 0);
	else if (!strcmp(how, "polled"))
		ring(fd, "after\n", IORING_SETUP_SQPOLL, 0);
	else if (!strcmp(how, "probe"))
		ring(fd, "", 0, 1), aio(fd, "", 1);
	else if (!strcmp(how, "aio"))
		aio(fd, "after\n", 0);
	else if (!strcmp(how, "map"))
		memcpy(map(fd, rw, MAP_SHARED, rw), "after\n", 6);
	else if (!strcmp(how, "protect"))
		memcpy(map(fd, PROT_READ, MAP_SHARED, rw), "after\n", 6);
	else if (!strcmp(how, "private"))
		memcpy(map(fd, rw, MAP_PRIVATE, rw), "after\n", 6);
	else if (!strcmp(how, "unmapped")) {
		char *p = map(fd, PROT_READ, MAP_SHARED, PROT_READ);
		munmap(p, 4096);
		int other = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
		must(mmap(p, 4096, PROT_READ, other, -1, 0) == p, "mmap");
		must(!mprotect(p, 4096, rw), "mprotect");
	} else if (!strcmp(how, "gone")) {
		memcpy(map(fd, rw, MAP_SHARED, rw), "after\n", 6);
		unlink("changed");
	} else if (!strcmp(how, "joined")) {
		/* Mapped, and a file without a name open, before the recording. */
		char *p = map(fd, rw, MAP_SHARED, rw);
		int nameless = open("nameless", O_RDWR | O_CREAT, 0600);
		must(write(nameless, "no name\n", 8) == 8 && !unlink("nameless"), "nameless");
		close(open("ready", O_WRONLY | O_CREAT, 0600));
		while (access("go", F_OK))
			usleep(20000);
		memcpy(p, "after\n", 6);
		must(pread(nameless, text, 7, 0) == 7 && write(nameless, "more", 4) == 4,
		     "nameless");
	} else
		return 2;
	must(pread(fd, text, 7, 0) == 7, "pread");
	close(open("kept", O_WRONLY | O_CREAT, 0600));
	return 0;
}
