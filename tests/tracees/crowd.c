/* 200 processes with 500 threads between them share one descriptor, have files of their own, and
   pass descriptors to their parent. What each reads is decided by what
   it wrote itself, or by what its parent waited for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 200, AT_ONCE = 20, BLOCK = 256 };
static int shared, wrong;

struct work {
	int process, thread;
};

static void must(int ok)
{
	if (!ok)
		wrong = 1;
}

/* A block of the shared file for each thread, and a file of its own. */
static void *work(void *arg)
{
	struct work *w = arg;
	char block[BLOCK], back[BLOCK], name[64];
	off_t at = (off_t)(w->process * 4 + w->thread) * BLOCK;
	memset(block, 'a' + (w->process + w->thread) % 26, sizeof block);
	must(pwrite(shared, block, sizeof block, at) == sizeof block);
	must(pread(shared, back, sizeof back, at) == sizeof back &&
	     !memcmp(block, back, sizeof back));
	snprintf(name, sizeof name, "d%d/f%d.%d", w->process % 7, w->process, w->thread);
	int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0644);
	must(fd >= 0 && write(fd, block, sizeof block) == sizeof block &&
	     lseek(fd, 10, SEEK_SET) == 10 && read(fd, back, 100) == 100);
	must(!close(fd));
	if (w->thread)
		must(!unlink(name));
	return NULL;
}

static void pass(int to, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	must(sendmsg(to, &m, 0) == 1);
}

static int passed(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	int fd = -1;
	must(recvmsg(from, &m, 0) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

static int child(int process, int to)
{
	pthread_t threads[3];
	struct work of[3];
	int more = process % 2 ? 2 : 1;
	for (int i = 0; i < more; i++) {
		of[i] = (struct work){process, i + 1};
		must(!pthread_create(&threads[i], NULL, work, &of[i]));
	}
	work(&(struct work){process, 0});
	for (int i = 0; i < more; i++)
		pthread_join(threads[i], NULL);
	char name[64];
	snprintf(name, sizeof name, "passed.%d", process);
	int fd = open(name, O_CREAT | O_RDWR, 0600);
	must(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name));
	pass(to, fd);
	return wrong;
}

int main(void)
{
	int pair[2];
	char name[16];
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof name, "d%d", i);
		must(!mkdir(name, 0755));
	}
	shared = open("shared", O_CREAT | O_RDWR, 0644);
	must(shared >= 0 && !ftruncate(shared, PROCESSES * 4 * BLOCK));
	must(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	for (int i = 0; i < PROCESSES; i += AT_ONCE) {
		for (int k = i; k < i + AT_ONCE; k++)
			if (!fork())
				_exit(child(k, pair[1]));
		for (int k = 0; k < AT_ONCE; k++) {
			char text[64] = "";
			struct stat s;
			int fd = passed(pair[0]), status;
			must(fd >= 0 && !fstat(fd, &s) &&
			     pread(fd, text, sizeof text, 0) == s.st_size &&
			     !strncmp(text, "passed.", 7));
			must(pwrite(fd, "P", 1, 0) == 1 && !close(fd));
			must(wait(&status) > 0 && status == 0);
		}
	}
	printf("%s\n", wrong ? "wrong" : "right");
	return wrong;
}
