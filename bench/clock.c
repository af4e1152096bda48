/* Runs a program and writes how many nanoseconds it took into a file: clock FILE PROGRAM ARG..
   It stands between a tracer and the program, so that what the tracer does before and after is not
   the program's. */
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(int argc, char **argv) {
	if (argc < 3)
		return 90;
	int status;
	long begun = now();
	pid_t pid = vfork();
	if (pid == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 91;
	long took = now() - begun;
	FILE *out = fopen(argv[1], "w");
	if (!out || fprintf(out, "%ld\n", took) < 0 || fclose(out))
		return 92;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 93;
}
