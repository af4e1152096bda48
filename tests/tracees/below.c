/* Makes, renames, links and removes names below directory descriptors, in processes that start from
   different directories. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define must(e) \
	((e) ? (void)0 : (printf("line %d: %s: %s\n", __LINE__, #e, strerror(errno)), exit(1)))

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_CREAT | O_WRONLY | O_TRUNC, 0640);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

int main(void)
{
	must(mkdir("a", 0755) == 0 && mkdir("b", 0700) == 0);
	int a = open("a", O_RDONLY | O_DIRECTORY), b = open("b", O_PATH | O_DIRECTORY);
	must(a >= 0 && b >= 0);
	put(a, "same", "in a"), put(b, "same", "in b"), put(AT_FDCWD, "same", "above");
	must(mkdirat(a, "sub", 0711) == 0 && mkdirat(b, "sub", 0755) == 0);
	must(renameat(a, "same", b, "sub/moved") == 0 &&
	     linkat(b, "same", a, "sub/linked", 0) == 0);
	must(symlinkat("../same", a, "sub/up") == 0 && mkfifoat(b, "pipe", 0600) == 0);
	put(a, "odd <name> (\"x\", [y]) = 7", "odd"), put(b, "gone", "gone");
	must(unlinkat(b, "gone", 0) == 0 && mkdirat(b, "empty", 0755) == 0 &&
	     unlinkat(b, "empty", AT_REMOVEDIR) == 0);
	must(fchmodat(a, "sub/linked", 0600, 0) == 0 &&
	     renameat2(a, "sub", b, "sub", RENAME_EXCHANGE) == 0);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			must(fchdir(i ? a : b) == 0);
			put(AT_FDCWD, "child", i ? "one" : "two");
			must(mkdirat(i ? b : a, i ? "by1" : "by2", 0755) == 0 &&
			     rename("child", "sub/child") == 0);
			_exit(0);
		}
		int status;
		must(waitpid(pid, &status, 0) == pid && status == 0);
	}
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {1000000000, 5}};
	must(utimensat(b, "same", times, 0) == 0 && faccessat(a, "sub/child", R_OK, 0) == 0);
	printf("all as it should be\n");
	return 0;
}
