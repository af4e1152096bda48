/* Ends in the way that its argument names. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(const char *text)
{
	int fd = open("note", O_CREAT | O_WRONLY | O_APPEND, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(99);
	close(fd);
}

static void *exec_from_thread(void *arg)
{
	execl("/bin/sh", "sh", "-c", "echo by a thread > executed; exit 5", (char *)NULL);
	return arg;
}
static void *exit_from_thread(void *arg)
{
	note("the thread ends it\n");
	exit(6);
	return arg;
}
static void *outlive(void *arg)
{
	usleep(100000);
	note("the last thread\n");
	return arg;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t t;
	int status, p[2];
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("%s\n", how);
	note("begun\n");
	if (!strcmp(how, "exit7"))
		return 7;
	if (!strcmp(how, "segv"))
		*(volatile int *)8 = 1;
	if (!strcmp(how, "term"))
		kill(getpid(), SIGTERM);
	if (!strcmp(how, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "pipe")) {
		if (pipe(p))
			return 90;
		close(p[0]);
		if (write(p[1], "x", 1) < 0)
			return 91;
	}
	if (!strcmp(how, "threadexec")) {
		pthread_create(&t, NULL, exec_from_thread, NULL);
		for (;;)
			pause();
	}
	if (!strcmp(how, "threadexit")) {
		pthread_create(&t, NULL, exit_from_thread, NULL);
		for (;;)
			pause();
	}
	if (!strcmp(how, "leaderleaves")) {
		pthread_create(&t, NULL, outlive, NULL);
		pthread_exit(NULL);
	}
	if (!strcmp(how, "stop")) { /* a child stops, its parent sees it and lets it go on */
		char c;
		if (pipe(p))
			return 90;
		pid_t child = fork();
		if (child == 0) {
			note("child stops\n");
			raise(SIGSTOP);
			note("child goes on\n");
			_exit(read(p[0], &c, 1) == 1 ? 3 : 98);
		}
		if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status) ||
		    WSTOPSIG(status) != SIGSTOP)
			return 92;
		printf("child stopped by %d\n", WSTOPSIG(status));
		if (waitpid(child, &status, WNOHANG | WUNTRACED) != 0)
			return 93;
		kill(child, SIGCONT);
		if (waitpid(child, &status, WCONTINUED) != child || !WIFCONTINUED(status))
			return 94;
		printf("child continued\n");
		if (write(p[1], "x", 1) != 1)
			return 91;
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
			return 95;
		printf("child exited with %d\n", WEXITSTATUS(status));
		return WEXITSTATUS(status);
	}
	if (!strcmp(how, "childdies")) { /* a child is killed in the middle of a call */
		if (pipe(p))
			return 90;
		pid_t child = fork();
		if (child == 0) {
			char c;
			_exit(read(p[0], &c, 1) != 1);
		}
		usleep(100000);
		kill(child, SIGKILL);
		if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
			return 95;
		printf("child died of %d\n", WTERMSIG(status));
		return 4;
	}
	if (!strcmp(how, "orphan")) { /* the child outlives its parent */
		if (fork() == 0) {
			usleep(200000);
			note("orphan done\n");
			printf("orphan done\n");
			_exit(0);
		}
		return 2;
	}
	if (!strcmp(how, "vfork")) {
		for (int i = 0; i < 20; i++) {
			pid_t child = vfork();
			if (child == 0) {
				execl("/bin/true", "true", (char *)NULL);
				_exit(98);
			}
			if (waitpid(child, &status, 0) != child || status)
				return 96;
		}
		note("twenty children\n");
		return 0;
	}
	return 97;
}
