/* A program that changes its root, and walks to and fro there: by `..`, absolute links, directory
   descriptors from inside and outside. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int strange;

static int must(int result, const char *what) {
	if (result < 0) {
		perror(what);
		strange = 1;
	}
	return result;
}

static void put(int dir, const char *name) {
	int fd = must(openat(dir, name, O_CREAT | O_WRONLY | O_APPEND, 0644), name);
	must(write(fd, name, strlen(name)), name);
	close(fd);
}

int main(void) {
	char cwd[4096];
	struct stat s;
	must(mkdir("r", 0755), "r");
	must(mkdir("r/in", 0755), "r/in");
	must(mkdir("r/in/deep", 0755), "r/in/deep");
	must(mkdir("beside", 0755), "beside");
	must(symlink("/in/deep", "r/abs"), "abs");
	must(symlink("/../../in", "r/in/deep/up"), "up");
	must(symlink("deep/../abs-file", "r/in/rel"), "rel");
	must(symlink("/in/target", "r/in/abs-file"), "abs-file");
	int outside = must(open("beside", O_DIRECTORY | O_RDONLY), "beside");
	must(chroot("r"), "chroot");
	/* The working directory is outside still. */
	put(AT_FDCWD, "outside");
	must(chdir("/in"), "chdir");
	if (!getcwd(cwd, sizeof cwd) || strcmp(cwd, "/in"))
		fprintf(stderr, "in %s\n", cwd), strange = 1;
	put(AT_FDCWD, "../../../in/a");
	put(AT_FDCWD, "/../b");
	put(AT_FDCWD, "/abs/c");
	put(AT_FDCWD, "/abs/up/d");
	put(AT_FDCWD, "rel");
	put(outside, "e");
	put(outside, "../f");
	put(outside, "/g");
	int top = must(open("/", O_DIRECTORY | O_PATH), "/");
	put(top, "in/../h");
	put(top, "../i");
	put(top, "abs/j");
	must(rename("/../b", "../abs/b"), "rename");
	must(link("/in/target", "../in/second"), "link");
	must(symlink("/abs", "again"), "symlink");
	put(AT_FDCWD, "again/k");
	must(unlink("again"), "unlink");
	must(stat("/in/deep/up/a", &s), "stat");
	must(lstat("/abs", &s), "lstat");
	must(truncate("/abs/up/a", 3), "truncate");
	must(chmod("/abs/c", 0600), "chmod");
	must(mkdir("/abs/new", 0700), "mkdir");
	must(rmdir("/in/deep/new/../../deep/new"), "rmdir");
	if (stat("/r", &s) == 0 || stat("/../beside", &s) == 0)
		fprintf(stderr, "out of the root\n"), strange = 1;
	DIR *d = opendir("/abs");
	int n = 0;
	while (d && readdir(d))
		n++;
	if (n < 5)
		fprintf(stderr, "%d names\n", n), strange = 1;
	pid_t child = must(fork(), "fork");
	if (!child) {
		must(chroot("deep"), "chroot");
		must(chdir("/"), "chdir");
		put(AT_FDCWD, "../../l");
		put(top, "m");
		_exit(strange);
	}
	int status = 0;
	must(waitpid(child, &status, 0), "waitpid");
	return strange || status;
}
