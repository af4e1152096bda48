/* Where a thread is, told by calls that take neither a name nor a descriptor: the first that a
   thread, a child and its own thread make, after the place was changed and renamed. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

static int out;

static void *where(void *no) {
	char place[500];
	if (!getcwd(place, sizeof place))
		strcpy(place, "nowhere");
	strcat(place, "\n");
	if (write(out, place, strlen(place)) < 0)
		abort();
	return no;
}

static void thread(void) {
	pthread_t other;
	pthread_create(&other, 0, where, 0);
	pthread_join(other, 0);
}

static void child(void (*then)(void)) {
	if (!fork()) {
		where(0);
		if (then)
			then();
		_exit(0);
	}
	wait(0);
}

int main(void) {
	out = open("out", O_CREAT | O_WRONLY, 0644);
	mkdir("d", 0755);
	mkdir("d/e", 0755);
	int e = open("d/e", O_RDONLY | O_DIRECTORY);
	if (chdir("d"))
		return 1;
	child(thread);
	thread();
	if (fchdir(e))
		return 2;
	thread();
	if (rename("../e", "../f"))
		return 3;
	child(thread);
	if (rmdir("../f"))
		return 4;
	child(0);
	thread();
	return 0;
}
