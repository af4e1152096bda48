/* Threads and processes that are born in many ways, one of which loses its maker. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(const char *name) {
	int fd = open(name, O_CREAT | O_WRONLY, 0644);
	if (write(fd, name, strlen(name)) < 0 || close(fd))
		_exit(89);
}

static void *thread(void *name) {
	note(name);
	return NULL;
}

static int shares(void *name) {
	note(name);
	return 0;
}

static int ended(pid_t child) {
	int status;
	return waitpid(child, &status, __WALL) == child && status == 0;
}

/* Whether a process has made another one. */
static int is_parent(pid_t pid) {
	char name[64], c;
	snprintf(name, sizeof name, "/proc/%d/task/%d/children", pid, pid);
	int fd = open(name, O_RDONLY), n = read(fd, &c, 1);
	close(fd);
	return n == 1;
}

int main(int argc, char **argv) {
	static char stack[1 << 16];
	if (argc > 1 && !strcmp(argv[1], "killed")) {
		/* A maker is killed right when it has made a child, which lives on. */
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		pid_t maker = fork();
		if (maker == 0) {
			if (fork() == 0) {
				note("by-orphan");
				_exit(0);
			}
			for (;;)
				pause();
		}
		while (!is_parent(maker))
			usleep(1000);
		kill(maker, SIGKILL);
		int status, first = wait(&status);
		return first > 0 && wait(&status) > 0 ? 0 : 90;
	}
	if (argc > 1 && !strcmp(argv[1], "storm")) {
		/* Processes that are killed at any moment of making threads and processes. */
		for (int k = 0; k < 60; k++) {
			pid_t maker = fork();
			if (maker == 0) {
				pthread_t a, b;
				pthread_create(&a, NULL, thread, "/dev/null");
				pthread_create(&b, NULL, thread, "/dev/null");
				if (fork() == 0)
					_exit(0);
				for (;;)
					pause();
			}
			usleep(k * 37 % 1500);
			kill(maker, SIGKILL);
		}
		while (wait(NULL) > 0)
			;
		return 0;
	}
	pthread_t t[2];
	pthread_create(&t[0], NULL, thread, "by-thread-1");
	pthread_create(&t[1], NULL, thread, "by-thread-2");
	pid_t child = fork();
	if (child == 0) {
		note("by-child");
		_exit(0);
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	if (!ended(child))
		return 91;
	/* The child's descriptor is the maker's. */
	child = clone(shares, stack + sizeof stack, CLONE_FILES | CLONE_FS | SIGCHLD, "by-sharer");
	if (child < 0 || !ended(child))
		return 92;
	child = vfork();
	if (child == 0)
		_exit(0);
	return ended(child) ? 0 : 93;
}
