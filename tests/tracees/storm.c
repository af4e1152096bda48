/* Makes many processes, one after the other, or many threads at once.
   usage: storm forks|threads N */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t all_here;

static void *thread(void *arg)
{
	pthread_barrier_wait(&all_here);
	return arg;
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 0, failed = 0;
	if (argc > 1 && !strcmp(argv[1], "forks")) {
		for (long i = 0; i < n; i++) {
			int status = 0;
			pid_t child = fork();
			if (child == 0)
				_exit(i % 100);
			failed += child < 0 || waitpid(child, &status, 0) != child ||
				  WEXITSTATUS(status) != i % 100;
		}
	} else {
		pthread_t *threads = calloc(n, sizeof *threads);
		pthread_attr_t small;
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 64 << 10);
		pthread_barrier_init(&all_here, NULL, n + 1);
		for (long i = 0; i < n; i++)
			if (pthread_create(&threads[i], &small, thread, NULL))
				return 91;
		pthread_barrier_wait(&all_here);
		for (long i = 0; i < n; i++)
			failed += pthread_join(threads[i], NULL) != 0;
	}
	printf("%ld, %ld failed\n", n, failed);
	return failed != 0;
}
