/* Runs a program without some system calls: each fails with EPERM, as in a container.
   usage: deny NUMBER... -- PROGRAM ARGUMENT... */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int at = 1;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (; at < argc && strcmp(argv[at], "--"); at++) {
		struct sock_filter f[] = {
			{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
			{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, strtoul(argv[at], 0, 10)},
			{BPF_RET, 0, 0, SECCOMP_RET_ERRNO | EPERM},
			{BPF_RET, 0, 0, SECCOMP_RET_ALLOW},
		};
		struct sock_fprog p = {4, f};
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) {
			perror("seccomp");
			return 1;
		}
	}
	execv(argv[at + 1], argv + at + 1);
	perror("execv");
	return 1;
}
