/* Calls that something refuses which is not in the file system: a seccomp filter, Landlock, a limit
   of size, memory. What they would have done must not happen.
   usage: refused filter|landlock|limit|memory */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

static void right(int is, int line)
{
	if (!is) {
		fprintf(stderr, "line %d: %m\n", line);
		exit(9);
	}
}
#define OK(is) right(is, __LINE__)
#define FAILS(call, error) OK((call) < 0 && errno == (error))

static int put(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_RDWR, 0644);
	OK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

/* A few calls are answered by a filter: each with another error. */
static void filter(void)
{
	static const struct {
		int nr, error;
	} REFUSED[] = {
		{SYS_unlink, EPERM},	 {SYS_mkdir, EACCES},	     {SYS_rename, EPERM},
		{SYS_link, EPERM},	 {SYS_symlink, EACCES},	     {SYS_chmod, EPERM},
		{SYS_ftruncate, EINVAL}, {SYS_rmdir, EBUSY},	     {SYS_fchmod, EPERM},
		{SYS_pwrite64, EINVAL},	 {SYS_truncate, EFAULT},     {SYS_creat, EPERM},
		{SYS_setxattr, EPERM},	 {SYS_lseek, EPERM},	     {SYS_mknod, ENOKEY},
		{SYS_access, EPERM},	 {SYS_fallocate, ETIMEDOUT},
	};
	enum { N = sizeof REFUSED / sizeof *REFUSED };
	struct sock_filter program[2 * N + 2] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}};
	for (int i = 0; i < N; i++) {
		program[2 * i + 1] =
			(struct sock_filter){BPF_JMP | BPF_JEQ | BPF_K, 0, 1, REFUSED[i].nr};
		program[2 * i + 2] =
			(struct sock_filter){BPF_RET, 0, 0, SECCOMP_RET_ERRNO | REFUSED[i].error};
	}
	program[2 * N + 1] = (struct sock_filter){BPF_RET, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog all = {2 * N + 2, program};
	int a = put("a", "content");
	mkdir("empty", 0755);
	OK(lseek(a, 0, SEEK_SET) == 0);
	OK(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all));
	FAILS(syscall(SYS_unlink, "a"), EPERM);
	FAILS(syscall(SYS_mkdir, "made", 0755), EACCES);
	FAILS(syscall(SYS_rename, "a", "b"), EPERM);
	FAILS(syscall(SYS_link, "a", "c"), EPERM);
	FAILS(syscall(SYS_symlink, "a", "d"), EACCES);
	FAILS(syscall(SYS_chmod, "a", 0600), EPERM);
	FAILS(syscall(SYS_ftruncate, a, 3), EINVAL);
	FAILS(syscall(SYS_rmdir, "empty"), EBUSY);
	FAILS(syscall(SYS_fchmod, a, 0600), EPERM);
	FAILS(syscall(SYS_pwrite64, a, "XXX", 3, 0), EINVAL);
	FAILS(syscall(SYS_truncate, "a", 1), EFAULT);
	FAILS(syscall(SYS_creat, "e", 0644), EPERM);
	FAILS(syscall(SYS_creat, "a", 0644), EPERM);
	FAILS(syscall(SYS_setxattr, "a", "user.x", "v", 1, 0), EPERM);
	FAILS(syscall(SYS_lseek, a, 2, SEEK_SET), EPERM);
	FAILS(syscall(SYS_mknod, "f", S_IFREG | 0644, 0), ENOKEY);
	FAILS(syscall(SYS_access, "a", F_OK), EPERM);
	FAILS(syscall(SYS_access, "nowhere", F_OK), EPERM);
	FAILS(syscall(SYS_fallocate, a, 0, 0, 100), ETIMEDOUT);
	char all_of_it[8] = "";
	OK(read(a, all_of_it, 7) == 7 && !strcmp(all_of_it, "content"));
}

static void landlock(void)
{
	__u64 rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		       LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
		       LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REMOVE_DIR;
	struct landlock_ruleset_attr attr = {.handled_access_fs = rights};
	close(put("a", "content"));
	mkdir("empty", 0755);
	int set = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	OK(set >= 0);
	struct landlock_path_beneath_attr below = {rights, open("ok", O_PATH)};
	OK(!syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below, 0));
	OK(!syscall(SYS_landlock_restrict_self, set, 0));
	FAILS(unlink("a"), EACCES);
	FAILS(rmdir("empty"), EACCES);
	FAILS(mkdir("made", 0755), EACCES);
	FAILS(symlink("a", "b"), EACCES);
	FAILS(open("c", O_CREAT | O_WRONLY, 0644), EACCES);
	FAILS(open("a", O_WRONLY | O_TRUNC), EACCES);
	FAILS(open("a", O_CREAT | O_WRONLY, 0644), EACCES);
	OK(rename("a", "d") < 0);
	OK(link("a", "ok/e") < 0);
	close(put("ok/x", "written"));
	close(open("a", O_RDONLY));
}

/* A limit of the process cuts writes short, and then refuses them. */
static void limit(void)
{
	char big[4096];
	memset(big, 'x', sizeof big);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){6000, 6000});
	int a = open("a", O_CREAT | O_RDWR, 0644);
	OK(write(a, big, 4096) == 4096);
	OK(write(a, big, 4096) == 6000 - 4096);
	FAILS(write(a, big, 4096), EFBIG);
	FAILS(ftruncate(a, 9000), EFBIG);
	FAILS(truncate("a", 9000), EFBIG);
	FAILS(fallocate(a, 0, 0, 9000), EFBIG);
	OK(lseek(a, 0, SEEK_END) == 6000);
}

/* Memory that ends or cannot be written: calls fail, or come short. */
static void memory(void)
{
	char *two = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(two + 4096, 4096);
	memset(two, 'm', 4096);
	int a = open("a", O_CREAT | O_RDWR, 0644);
	char *volatile nowhere = (char *)8;
	struct iovec bad[2] = {{nowhere, 100}, {nowhere, 100}};
	struct iovec half[2] = {{two, 100}, {nowhere, 100}};
	FAILS(writev(a, bad, 2), EFAULT);
	FAILS(pwritev(a, bad, 2, 0), EFAULT);
	OK(writev(a, half, 2) == 100);
	OK(write(a, two, 8192) == 4096);
	OK(pwrite(a, two, 4096, 10000) == 4096);
	FAILS(readv(a, bad, 2), EFAULT);
	OK(pread(a, two, 8192, 50) == 4096);
	OK(lseek(a, 0, SEEK_SET) == 0);
	OK(read(a, two, 8192) == 4096);
	OK(lseek(a, 0, SEEK_CUR) == 4096);
	half[1] = (struct iovec){two + 4096, 50};
	OK(readv(a, half, 2) == 100);
	OK(lseek(a, 0, SEEK_CUR) == 4196);
	FAILS(open(nowhere, O_CREAT | O_WRONLY, 0644), EFAULT);
	FAILS(rename("a", nowhere), EFAULT);
	FAILS(setxattr("a", "user.x", nowhere, 5, 0), EFAULT);
}

int main(int argc, char **argv)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	mkdir("ok", 0755);
	switch (argc > 1 ? argv[1][0] : 0) {
	case 'f':
		filter();
		break;
	case 'l':
		argv[1][1] == 'a' ? landlock() : limit();
		break;
	case 'm':
		memory();
		break;
	default:
		return 90;
	}
	close(put("ok/after", "done"));
	return 0;
}
