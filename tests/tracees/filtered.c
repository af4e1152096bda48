/*
 * Calls that seccomp filters answer, each in its own way; all of them say that something was done
 * or fail, and none of them does anything. What really happened is in the directory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static void caught(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	long to = 0;
	(void)signal;
	/* One is carried out by another call, as a broker does; the other seems to have been. */
	if (info->si_syscall == SYS_mkdir)
		to = syscall(SYS_mkdirat, AT_FDCWD, c->uc_mcontext.gregs[REG_RDI], 0700);
	c->uc_mcontext.gregs[REG_RAX] = to;
}

static int install(unsigned number, unsigned answer, unsigned flags)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, f };
	int got = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (got < 0) {
		perror("seccomp");
		exit(1);
	}
	return got;
}

/* Says of one call that it succeeded. */
static void *supervise(void *listener)
{
	struct seccomp_notif asked;
	struct seccomp_notif_resp answer = { 0 };
	memset(&asked, 0, sizeof(asked));
	if (ioctl(*(int *)listener, SECCOMP_IOCTL_NOTIF_RECV, &asked))
		return "no notification";
	answer.id = asked.id;
	return ioctl(*(int *)listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) ? "no answer" : NULL;
}

static void expect(const char *what, long got, long wanted)
{
	if (got != wanted) {
		fprintf(stderr, "%s: %ld\n", what, got);
		exit(1);
	}
}

/* The first call of a process. */
static void a_child_that_is_refused(void)
{
	/* On the stack: pages of the program's file are not there until they are touched. */
	char name[] = "kept";
	int pid = syscall(SYS_fork), status = -1;
	if (!pid)
		syscall(SYS_unlink, name) ? _exit(1) : syscall(SYS_exit_group, 0);
	while (syscall(SYS_wait4, pid, &status, 0, 0) < 0)
		;
	expect("child", status, 0);
}

/* Filters that end the thread or process that makes the call, which is their last. */
static void *is_killed(void *action)
{
	install(SYS_rmdir, *(unsigned *)action, 0);
	syscall(SYS_rmdir, "kept");
	return "it went on";
}

static void the_last_call(void)
{
	unsigned thread = SECCOMP_RET_KILL_THREAD, process = SECCOMP_RET_KILL_PROCESS;
	pthread_t killed;
	void *wrong = NULL;
	pthread_create(&killed, NULL, is_killed, &thread);
	pthread_join(killed, &wrong);
	if (wrong)
		puts(wrong);
	int pid = fork(), status = 0;
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		is_killed(&process);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	expect("a killed child", status & 0x7f, SIGSYS);
}

/* `filtered`: all ways; `filtered signals`: only those that send SIGSYS. */
int main(int argc, char **argv)
{
	int all = argc < 2;
	(void)argv;
	struct sigaction a = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER };
	pthread_t supervisor;
	void *wrong = NULL;
	int fd = open("kept", O_CREAT | O_RDWR, 0644), listener;
	write(fd, "abc", 3);
	sigaction(SIGSYS, &a, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	install(SYS_mkdir, SECCOMP_RET_TRAP, 0);
	install(SYS_unlink, SECCOMP_RET_TRAP, 0);
	if (!all) {
		expect("mkdir", syscall(SYS_mkdir, "brokered", 0700), 0);
		expect("unlink", syscall(SYS_unlink, "kept"), 0);
		a_child_that_is_refused();
		return close(open("kept", O_RDONLY));
	}
	install(SYS_ftruncate, SECCOMP_RET_ERRNO, 0);
	install(SYS_rename, SECCOMP_RET_ERRNO | EPERM, 0);
	install(SYS_link, SECCOMP_RET_TRACE, 0);
	listener = install(SYS_symlink, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	pthread_create(&supervisor, NULL, supervise, &listener);
	expect("mkdir", syscall(SYS_mkdir, "brokered", 0700), 0);
	expect("unlink", syscall(SYS_unlink, "kept"), 0);
	expect("ftruncate", syscall(SYS_ftruncate, fd, 0), 0);
	expect("rename", syscall(SYS_rename, "kept", "gone"), -1);
	expect("errno of rename", errno, EPERM);
	expect("link", syscall(SYS_link, "kept", "second"), -1);
	expect("errno of link", errno, ENOSYS);
	expect("symlink", syscall(SYS_symlink, "kept", "pointer"), 0);
	pthread_join(supervisor, &wrong);
	if (wrong)
		puts(wrong);
	a_child_that_is_refused();
	the_last_call();
	close(open("kept", O_RDONLY));
	close(open("gone", O_RDONLY));
	close(open("pointer", O_RDONLY));
	return 0;
}
