/* Signals are delivered once each, with their information, interrupt what they should and restart
   what they should. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms, queued, sum, children;
static void on_alarm(int s)
{
	(void)s, alarms++;
}
static void on_queue(int s, siginfo_t *i, void *c)
{
	(void)s, (void)c, queued++, sum += i->si_value.sival_int;
}
static void on_child(int s)
{
	(void)s, children++;
}

int main(void)
{
	char c;
	int p[2], fd = open("log", O_CREAT | O_RDWR, 0644);
	struct sigaction plain = {.sa_handler = on_alarm},
			 again = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct sigaction queue = {.sa_sigaction = on_queue, .sa_flags = SA_SIGINFO | SA_RESTART},
			 child = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	/* Again and again, should the first one come before the call that it is to interrupt. */
	struct itimerval soon = {.it_value.tv_usec = 50000, .it_interval.tv_usec = 50000},
			 never = {0};
	if (pipe(p) || fd < 0)
		return 90;
	sigaction(SIGALRM, &plain, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	printf("a read is interrupted: %s\n",
	       read(p[0], &c, 1) < 0 ? strerrorname_np(errno) : "no");
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &again, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	if (fork() == 0) {
		usleep(150000);
		_exit(write(p[1], "x", 1) != 1);
	}
	printf("a read is restarted: %zd\n", read(p[0], &c, 1));
	setitimer(ITIMER_REAL, &never, NULL);
	wait(NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	struct timespec t = {.tv_sec = 30}, left;
	printf("a sleep is interrupted: %s\n",
	       nanosleep(&t, &left) < 0 ? strerrorname_np(errno) : "no");
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGUSR1, &queue, NULL);
	sigaction(SIGRTMIN, &queue, NULL);
	for (int i = 1; i <= 100; i++) {
		union sigval v = {.sival_int = i};
		sigqueue(getpid(), SIGRTMIN, v);
		if (pwrite(fd, &i, sizeof i, i * 4) != 4)
			return 91;
	}
	printf("queued %d, sum %d\n", (int)queued, (int)sum);
	sigaction(SIGCHLD, &child, NULL);
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(i);
		int status;
		while (waitpid(pid, &status, 0) < 0)
			;
		printf("child %d\n", WEXITSTATUS(status));
	}
	printf("alarms: %s, children %d\n", alarms < 3 ? "too few" : "enough", (int)children);
	return 0;
}
