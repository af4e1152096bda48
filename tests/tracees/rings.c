/*
 * Uses io_uring as programs do: `rings HOW`. Prints how many entries it has submitted. Each buffer
 * belongs to one operation from its submission to its completion, unless entries are linked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the headers of some systems. */
enum { NO_SQARRAY = 1 << 16, READ_MULTISHOT = 49 };

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *sq_flags, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned tail, submitted, flags, wide;
};

static struct ring ring;
static char *buffers; /* 64 pages */
static unsigned submitted;

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static char *page(int i)
{
	return buffers + i * 4096;
}

static void make(unsigned entries, unsigned flags)
{
	struct io_uring_params p = {.flags = flags, .sq_thread_idle = 2000};
	int access = PROT_READ | PROT_WRITE;
	ring.fd = syscall(SYS_io_uring_setup, entries, &p);
	must(ring.fd >= 0, "io_uring_setup");
	ring.wide = flags & IORING_SETUP_SQE128 ? 2 : 1;
	ring.flags = flags;
	size_t sq_len = p.sq_off.array + p.sq_entries * 4;
	size_t cq_len = p.cq_off.cqes + p.cq_entries * (flags & IORING_SETUP_CQE32 ? 32 : 16);
	char *sq = mmap(0, sq_len, access, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	char *cq = mmap(0, cq_len, access, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.sqes = mmap(0, p.sq_entries * sizeof(*ring.sqes) * ring.wide, access, MAP_SHARED,
			 ring.fd, IORING_OFF_SQES);
	must(sq != MAP_FAILED && cq != MAP_FAILED && ring.sqes != MAP_FAILED, "mmap of a ring");
	ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
	ring.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	ring.sq_array = flags & NO_SQARRAY ? 0 : (unsigned *)(sq + p.sq_off.array);
	ring.sq_flags = (unsigned *)(sq + p.sq_off.flags);
	ring.cq_head = (unsigned *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
	ring.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	ring.tail = *ring.sq_tail;
}

static struct io_uring_sqe *entry(int opcode, int fd, const void *addr, unsigned len, uint64_t off)
{
	unsigned at = ring.tail++ & *ring.sq_mask;
	struct io_uring_sqe *sqe = ring.sqes + at * ring.wide;
	memset(sqe, 0, sizeof(*sqe) * ring.wide);
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = len;
	sqe->off = off;
	sqe->user_data = ++submitted;
	if (ring.sq_array)
		ring.sq_array[at] = at;
	return sqe;
}

static void enter(unsigned count, unsigned wait)
{
	unsigned flags =
		wait || ring.flags & IORING_SETUP_DEFER_TASKRUN ? IORING_ENTER_GETEVENTS : 0;
	while (syscall(SYS_io_uring_enter, ring.fd, count, wait, flags, 0, 0) < 0)
		must(errno == EINTR || errno == EAGAIN, "io_uring_enter");
}

static void submit(unsigned wait)
{
	unsigned count = ring.tail - *ring.sq_tail;
	__atomic_store_n(ring.sq_tail, ring.tail, __ATOMIC_RELEASE);
	if (!(ring.flags & IORING_SETUP_SQPOLL)) {
		enter(count, wait);
	} else if (__atomic_load_n(ring.sq_flags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP) {
		syscall(SYS_io_uring_enter, ring.fd, count, 0, IORING_ENTER_SQ_WAKEUP, 0, 0);
	}
}

/* Takes so many completions; the sum of their results. */
static long take(unsigned count)
{
	long sum = 0;
	while (count) {
		unsigned head = *ring.cq_head;
		if (head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE)) {
			enter(0, 1);
			continue;
		}
		unsigned wide = ring.flags & IORING_SETUP_CQE32 ? 2 : 1;
		sum += ring.cqes[(head & *ring.cq_mask) * wide].res;
		__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
		count--;
	}
	return sum;
}

/* Submits what was entered, and takes as many completions. */
static long all(void)
{
	unsigned count = ring.tail - *ring.sq_tail;
	submit(0);
	return take(count);
}

static void basic(int fd)
{
	struct iovec out[2] = {{page(3), 100}, {page(4), 200}};
	struct iovec in[2] = {{page(5), 100}, {page(6), 200}};
	entry(IORING_OP_READ, fd, page(10), 4096, 0);
	entry(IORING_OP_WRITE, fd, page(2), 4096, 8192);
	entry(IORING_OP_WRITEV, fd, out, 2, 20000);
	entry(IORING_OP_READ, fd, page(11), 4096, 4096)->flags |= IOSQE_ASYNC;
	must(all() == 4096 * 3 + 300, "basic operations");
	entry(IORING_OP_READV, fd, in, 2, 20000);
	entry(IORING_OP_FSYNC, fd, 0, 0, 0)->fsync_flags = IORING_FSYNC_DATASYNC;
	entry(IORING_OP_NOP, -1, 0, 0, 0);
	must(all() == 300 && !memcmp(page(3), page(5), 100), "readv");
	/* At the file offset of the open file. */
	lseek(fd, 100, SEEK_SET);
	entry(IORING_OP_READ, fd, page(12), 50, -1);
	must(all() == 50 && lseek(fd, 0, SEEK_CUR) == 150, "read at the file offset");
	entry(IORING_OP_FALLOCATE, fd, (void *)4096, 0, 65536);
	must(all() == 0, "fallocate");
}

static void names(int fd)
{
	static struct statx found;
	(void)fd;
	entry(IORING_OP_MKDIRAT, AT_FDCWD, "directory", 0755, 0);
	must(all() == 0, "mkdirat");
	struct io_uring_sqe *sqe = entry(IORING_OP_OPENAT, AT_FDCWD, "directory/file", 0644, 0);
	sqe->open_flags = O_CREAT | O_RDWR;
	long file = all();
	must(file > 0, "openat");
	entry(IORING_OP_WRITE, file, "some text\n", 10, 0);
	must(all() == 10, "write");
	entry(IORING_OP_STATX, AT_FDCWD, "directory/file", STATX_BASIC_STATS, (uintptr_t)&found);
	must(all() == 0 && found.stx_size == 10, "statx");
	entry(IORING_OP_SYMLINKAT, AT_FDCWD, "file", 0, (uintptr_t)"directory/link");
	must(all() == 0, "symlinkat");
	entry(IORING_OP_LINKAT, AT_FDCWD, "directory/file", AT_FDCWD, (uintptr_t)"directory/other");
	must(all() == 0, "linkat");
	entry(IORING_OP_RENAMEAT, AT_FDCWD, "directory/other", AT_FDCWD, (uintptr_t)"renamed");
	must(all() == 0, "renameat");
	entry(IORING_OP_UNLINKAT, AT_FDCWD, "directory/link", 0, 0);
	must(all() == 0, "unlinkat");
	entry(IORING_OP_OPENAT, AT_FDCWD, "missing", 0, 0);
	must(all() == -ENOENT, "openat of what is missing");
	entry(IORING_OP_CLOSE, file, 0, 0, 0);
	must(all() == 0, "close");
}

static void registered(int fd)
{
	struct iovec buffer = {buffers, 64 * 4096};
	int files[2] = {fd, -1};
	must(!syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1),
	     "IORING_REGISTER_BUFFERS");
	must(!syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, files, 2),
	     "IORING_REGISTER_FILES");
	entry(IORING_OP_READ_FIXED, 0, page(10), 4096, 0)->flags |= IOSQE_FIXED_FILE;
	entry(IORING_OP_WRITE_FIXED, 0, page(2), 4096, 8192)->flags |= IOSQE_FIXED_FILE;
	must(all() == 8192, "registered buffers");
	/* Into a slot of the ring, used there, and closed there. */
	struct io_uring_sqe *sqe = entry(IORING_OP_OPENAT, AT_FDCWD, "direct", 0644, 0);
	sqe->open_flags = O_CREAT | O_RDWR;
	sqe->file_index = 2;
	must(all() == 0, "openat into a slot");
	entry(IORING_OP_WRITE, 1, page(3), 1000, 0)->flags |= IOSQE_FIXED_FILE;
	must(all() == 1000, "write to a slot");
	entry(IORING_OP_CLOSE, 0, 0, 0, 0)->file_index = 2;
	must(all() == 0, "close of a slot");
}

static void links(int fd)
{
	/* A copy: what is written has been read before. */
	entry(IORING_OP_READ, fd, page(20), 4096, 0)->flags |= IOSQE_IO_LINK;
	entry(IORING_OP_WRITE, fd, page(20), 4096, 12288)->flags |= IOSQE_IO_LINK;
	entry(IORING_OP_FSYNC, fd, 0, 0, 0);
	entry(IORING_OP_READ, fd, page(21), 4096, 4096);
	entry(IORING_OP_WRITE, fd, page(21), 4096, 16384)->flags |= IOSQE_IO_DRAIN;
	must(all() == 4 * 4096, "links");
	/* The second one is cancelled. */
	entry(IORING_OP_READ, 999, page(22), 100, 0)->flags |= IOSQE_IO_LINK;
	entry(IORING_OP_WRITE, fd, page(2), 100, 0);
	must(all() == -EBADF - ECANCELED, "a chain that fails");
}

/* One copy after the other: chains with nothing beside them. */
static void chains(int fd)
{
	for (int i = 0; i < 4; i++) {
		entry(IORING_OP_READ, fd, page(20), 4096, i * 4096)->flags |= IOSQE_IO_LINK;
		entry(IORING_OP_WRITE, fd, page(20), 4096, i * 8192)->flags |= IOSQE_IO_HARDLINK;
		entry(IORING_OP_FSYNC, fd, 0, 0, 0);
		must(all() == 2 * 4096, "a chain");
	}
}

static void cancelled(int fd)
{
	struct __kernel_timespec soon = {0, 1000000};
	int pipes[2];
	must(!pipe(pipes), "pipe");
	uint64_t waiting = entry(IORING_OP_READ, pipes[0], page(20), 100, -1)->user_data;
	submit(0);
	entry(IORING_OP_ASYNC_CANCEL, -1, (void *)waiting, 0, 0);
	submit(0);
	must(take(2) == -ECANCELED, "a cancelled read");
	entry(IORING_OP_READ, pipes[0], page(21), 100, -1)->flags |= IOSQE_IO_LINK;
	entry(IORING_OP_LINK_TIMEOUT, -1, &soon, 1, 0);
	all();
	entry(IORING_OP_READ, fd, page(22), 100, 0)->rw_flags = 0x80000000;
	must(all() < 0, "unknown flags");
	entry(IORING_OP_FSYNC, fd, 0, 0, 0)->fsync_flags = 0xff;
	must(all() == -EINVAL, "fsync that is refused");
	entry(99, fd, 0, 0, 0);
	must(all() == -EINVAL, "an unknown opcode");
}

static void selected(int fd)
{
	int pipes[2];
	must(!pipe(pipes), "pipe");
	struct io_uring_sqe *sqe = entry(IORING_OP_PROVIDE_BUFFERS, 4, page(20), 4096, 0);
	sqe->buf_group = 5;
	must(all() == 0, "IORING_OP_PROVIDE_BUFFERS");
	sqe = entry(IORING_OP_READ, fd, 0, 4096, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 5;
	must(all() == 4096 && !memcmp(page(20), page(0), 4096), "a selected buffer");
	struct io_uring_buf_ring *group = mmap(0, 4096, 3, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)group, .ring_entries = 8, .bgid = 6};
	if (syscall(SYS_io_uring_register, ring.fd, 22 /* IORING_REGISTER_PBUF_RING */, &reg, 1))
		return;
	for (int i = 0; i < 8; i++)
		group->bufs[i] = (struct io_uring_buf){(uintptr_t)page(30 + i), 4096, i, 0};
	__atomic_store_n(&group->tail, 8, __ATOMIC_RELEASE);
	sqe = entry(IORING_OP_READ, fd, 0, 4096, 4096);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 6;
	must(all() == 4096, "a buffer of a group");
	sqe = entry(READ_MULTISHOT, pipes[0], 0, 0, -1);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 6;
	submit(0);
	must(write(pipes[1], "hello", 5) == 5, "write");
	if (take(1) == 5) {
		must(write(pipes[1], "world!", 6) == 6 && take(1) == 6, "many completions");
		close(pipes[1]);
		take(1);
		submitted += 2; /* a row each */
	}
}

static void overflowing(int fd)
{
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 8; i++)
			entry(IORING_OP_READ, fd, page(10 + round * 8 + i), 100, i * 100);
		submit(0);
	}
	must(take(24) == 2400, "more completions than places");
}

static void silent(int fd)
{
	struct iovec out[2] = {{page(3), 4096}, {page(4), 200}};
	for (int i = 0; i < 4; i++)
		entry(IORING_OP_WRITE, fd, page(i), 4096, 65536 + i * 4096)->flags |=
			IOSQE_CQE_SKIP_SUCCESS;
	entry(IORING_OP_WRITEV, fd, out, 2, 20000)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	submit(0);
	/* Nothing says when they have completed. */
	usleep(200000);
	entry(IORING_OP_NOP, -1, 0, 0, 0);
	must(all() == 0, "nop");
}

/* What a ring moves between files has no data that the recorder could keep. */
static void splicing(int fd)
{
	int pipes[2];
	must(!pipe(pipes) && write(pipes[1], page(2), 4096) == 4096, "pipe");
	struct io_uring_sqe *sqe = entry(IORING_OP_SPLICE, fd, 0, 4096, 8192);
	sqe->splice_fd_in = pipes[0];
	sqe->splice_off_in = -1;
	must(all() == 4096, "splice");
}

static void child(int fd)
{
	int status;
	pid_t pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		memset(page(2), 'c', 4096);
		entry(IORING_OP_WRITE, fd, page(2), 4096, 0);
		entry(IORING_OP_READ, fd, page(20), 4096, 8192)->flags |= IOSQE_ASYNC;
		must(all() == 8192, "operations of a child");
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && !status, "the child");
	submitted += 2;
}

static void leaving(int fd)
{
	int pipes[2];
	must(!pipe(pipes), "pipe");
	entry(IORING_OP_WRITE, fd, page(2), 4096, 0);
	entry(IORING_OP_READ, pipes[0], page(20), 100, -1);
	entry(IORING_OP_READ, pipes[0], page(21), 100, -1)->flags |= IOSQE_ASYNC;
	submit(0);
	usleep(20000);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	static const struct {
		const char *name;
		void (*run)(int fd);
		unsigned flags;
	} ways[] = {
		{"basic", basic, 0},
		{"wide", basic, IORING_SETUP_SQE128 | IORING_SETUP_CQE32},
		{"polled", basic, IORING_SETUP_SQPOLL},
		{"deferred", basic, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
		{"unordered", basic, NO_SQARRAY},
		{"names", names, 0},
		{"registered", registered, 0},
		{"links", links, 0},
		{"chains", chains, 0},
		{"cancelled", cancelled, 0},
		{"selected", selected, 0},
		{"overflowing", overflowing, 0},
		{"silent", silent, 0},
		{"splicing", splicing, 0},
		{"child", child, 0},
		{"leaving", leaving, 0},
	};
	int fd = open("data", O_RDWR | O_CREAT, 0644);
	buffers = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(fd >= 0 && buffers != MAP_FAILED, "data");
	for (int i = 0; i < 10 * 4096; i++)
		buffers[i] = 'a' + i % 23 + i / 4096;
	must(write(fd, buffers, 6 * 4096) == 6 * 4096 && !fsync(fd), "write");
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(ways[i].name, how))
			continue;
		make(8, ways[i].flags);
		ways[i].run(fd);
		printf("%u\n", submitted);
		fflush(stdout);
		_exit(0);
	}
	return 2;
}
