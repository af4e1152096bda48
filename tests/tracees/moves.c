/* Bytes that reach files, and leave them, without passing the program's memory: out of pipes and
   sockets, from file to file, and through both. Every file is read
   back at the end, and what does not hold what it should is said. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int strange;

static void must(int ok, const char *what) {
	if (!ok) {
		perror(what);
		strange = 1;
	}
}

static int made(const char *name, int flags) {
	int fd = open(name, O_CREAT | flags, 0644);
	must(fd >= 0, name);
	return fd;
}

static void holds(const char *name, const char *expected, size_t len) {
	static char got[1 << 17];
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, got, sizeof got);
	must(n == (ssize_t)len && !memcmp(got, expected, len), name);
	close(fd);
}

static void all(ssize_t n, size_t len, const char *what) {
	must(n == (ssize_t)len, what);
}

int main(void) {
	static char big[60000], twice[sizeof big + 20000];
	int p[2], q[2], s[2];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = 'a' + i % 23 + i / 4096 % 3;
	must(!pipe(p) && !pipe(q) && !socketpair(AF_UNIX, SOCK_STREAM, 0, s), "descriptors");

	/* Where the descriptor stands, twice, and a write after it. */
	int fd = made("plain", O_WRONLY);
	all(write(p[1], big, sizeof big), sizeof big, "write");
	all(splice(p[0], NULL, fd, NULL, 20000, 0), 20000, "splice");
	all(splice(p[0], NULL, fd, NULL, sizeof big, 0), sizeof big - 20000, "splice");
	all(write(fd, big, 20000), 20000, "write");
	close(fd);
	memcpy(twice, big, sizeof big);
	memcpy(twice + sizeof big, big, 20000);
	holds("plain", twice, sizeof twice);

	/* At a place of its own: a hole before, and over what was there. */
	fd = made("placed", O_RDWR);
	loff_t at = 5000;
	all(write(p[1], "first", 5), 5, "write");
	all(splice(p[0], NULL, fd, &at, 5, 0), 5, "splice");
	all(write(p[1], "SEC", 3), 3, "write");
	at = 5001;
	all(splice(p[0], NULL, fd, &at, 3, SPLICE_F_MOVE), 3, "splice");
	must(at == 5004 && lseek(fd, 0, SEEK_CUR) == 0, "offsets");
	close(fd);
	memset(twice, 0, 5000);
	memcpy(twice + 5000, "fSECt", 5);
	holds("placed", twice, 5005);

	/* The middle of a file that was there. */
	fd = open("found", O_WRONLY);
	if (fd >= 0) {
		at = 10;
		all(write(p[1], "spliced", 7), 7, "write");
		all(splice(p[0], NULL, fd, &at, 7, 0), 7, "splice");
		close(fd);
	}

	/* Memory into a pipe, doubled, into two files. */
	struct iovec v = {big + 100, 3000};
	all(vmsplice(p[1], &v, 1, 0), 3000, "vmsplice");
	all(tee(p[0], q[1], 3000, 0), 3000, "tee");
	fd = made("tee-one", O_WRONLY);
	all(splice(p[0], NULL, fd, NULL, 3000, 0), 3000, "splice");
	close(fd);
	fd = made("tee-two", O_WRONLY);
	all(splice(q[0], NULL, fd, NULL, 3000, 0), 3000, "splice");
	close(fd);
	holds("tee-one", big + 100, 3000);
	holds("tee-two", big + 100, 3000);

	/* A socket, through a pipe. */
	all(write(s[1], big, 7000), 7000, "write");
	all(splice(s[0], NULL, p[1], NULL, 7000, 0), 7000, "splice");
	fd = made("socket", O_WRONLY);
	all(splice(p[0], NULL, fd, NULL, 7000, 0), 7000, "splice");
	close(fd);
	holds("socket", big, 7000);

	/* A file into a pipe and a socket: its offset moves. */
	char rest[64];
	int from = open("plain", O_RDONLY);
	all(splice(from, NULL, p[1], NULL, 1000, 0), 1000, "splice");
	all(sendfile(s[0], from, NULL, 500), 500, "sendfile");
	at = 40;
	all(sendfile(s[0], from, &at, 60), 60, "sendfile");
	must(at == 100 && lseek(from, 0, SEEK_CUR) == 1500, "offsets");
	all(read(from, rest, sizeof rest), sizeof rest, "read");
	must(!memcmp(rest, big + 1500, sizeof rest), "the rest");
	fd = made("piped", O_WRONLY);
	all(splice(p[0], NULL, fd, NULL, 1000, 0), 1000, "splice");
	close(fd);
	holds("piped", big, 1000);

	/* File to file, with and without an offset of its own. */
	fd = made("sent", O_WRONLY);
	at = 3;
	all(sendfile(fd, from, &at, 30000), 30000, "sendfile");
	lseek(from, 7, SEEK_SET);
	all(sendfile(fd, from, NULL, 12345), 12345, "sendfile");
	close(fd);
	memcpy(twice, big + 3, 30000);
	memcpy(twice + 30000, big + 7, 12345);
	holds("sent", twice, 42345);
	loff_t in = 1, out = 2;
	fd = made("ranged", O_RDWR);
	all(copy_file_range(from, &in, fd, &out, 5000, 0), 5000, "copy_file_range");
	lseek(from, 9, SEEK_SET);
	all(copy_file_range(from, NULL, fd, NULL, 2, 0), 2, "copy_file_range");
	close(fd);
	memcpy(twice, big + 9, 2);
	memcpy(twice + 2, big + 1, 5000);
	holds("ranged", twice, 5002);

	/* A file that the kernel makes up. */
	int made_up = open("/proc/sys/kernel/ostype", O_RDONLY);
	fd = made("system", O_WRONLY);
	all(sendfile(fd, made_up, NULL, 100), 6, "sendfile");
	close(fd);
	holds("system", "Linux\n", 6);
	close(made_up);
	close(from);
	return strange;
}
