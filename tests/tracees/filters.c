/* Seccomp filters of a program's own: what they answer is the same whether the program is recorded
   or not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int filter(unsigned number, unsigned answer)
{
	struct sock_filter f[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number},
		{BPF_RET, 0, 0, answer},
		{BPF_RET, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog p = {4, f};
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

static void say(const char *what, long result)
{
	printf("%s: %d %s\n", what, result < 0 ? -1 : 0, result < 0 ? strerrorname_np(errno) : "-");
}

static void all(const char *role)
{
	printf("%s\n", role);
	say("getgid", syscall(SYS_getgid));
	say("getegid", syscall(SYS_getegid));
	say("getuid", syscall(SYS_getuid));
	say("geteuid", syscall(SYS_geteuid));
	say("mkdir", syscall(SYS_mkdir, "made", 0700));
	say("getpgrp", syscall(SYS_getpgrp));
	fflush(stdout);
}

int main(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (filter(SYS_getgid, SECCOMP_RET_TRACE) || filter(SYS_getegid, SECCOMP_RET_TRACE | 1) ||
	    filter(SYS_geteuid, SECCOMP_RET_TRACE | 0x7fff) ||
	    filter(SYS_getuid, SECCOMP_RET_ERRNO | EUCLEAN) ||
	    filter(SYS_mkdir, SECCOMP_RET_ERRNO | EXDEV))
		return 90;
	all("first");
	pid_t child = fork();
	if (child == 0) {
		all("child");
		exit(0);
	}
	int status;
	return waitpid(child, &status, 0) == child && status == 0 ? 0 : 91;
}
