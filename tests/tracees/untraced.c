/* Children that ask not to be traced, made in every way; none of them may notice that they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int leave(const char *name, int right)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0644);
	const char *text = right ? "right\n" : "wrong\n";
	return write(fd, text, 6) != 6 || close(fd);
}

/* The call itself, which shows what is in its first register afterwards. */
static long raw(long number, long first, long second, long *after)
{
	long result;
	register long third __asm__("r10") = 0;
	register long fourth __asm__("r8") = 0;
	__asm__ volatile("syscall"
			 : "=a"(result), "+D"(first)
			 : "a"(number), "S"(second), "d"(0L), "r"(third), "r"(fourth)
			 : "rcx", "r11", "memory");
	*after = first;
	return result;
}

static int ended(pid_t child)
{
	int status;
	return waitpid(child, &status, __WALL) == child && status == 0;
}

static int body(void *name)
{
	return leave(name, 1);
}

int main(void)
{
	static char stack[4][1 << 16];
	long after, flags = CLONE_UNTRACED | SIGCHLD;

	long child = raw(SYS_clone, flags, 0, &after);
	if (child == 0)
		_exit(leave("by-clone", after == flags));
	if (child < 0 || after != flags || !ended(child))
		return 90;

	/* The structure is in memory that cannot be written. */
	struct clone_args *args =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*args = (struct clone_args){.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
	mprotect(args, 4096, PROT_READ);
	child = raw(SYS_clone3, (long)args, sizeof *args, &after);
	if (child == 0)
		_exit(leave("by-clone3", args->flags == CLONE_UNTRACED && after == (long)args));
	if (child < 0 || args->flags != CLONE_UNTRACED || after != (long)args || !ended(child))
		return 91;

	/* The maker waits in the call, and memory is shared. */
	child = clone(body, stack[0] + sizeof stack[0],
		      CLONE_UNTRACED | CLONE_VM | CLONE_VFORK | SIGCHLD, "by-vfork");
	if (child < 0 || !ended(child))
		return 92;

	/* A child without a signal, with the same table of descriptors. */
	child = clone(body, stack[1] + sizeof stack[1], CLONE_UNTRACED | CLONE_FILES | CLONE_FS,
		      "by-files");
	if (child < 0 || !ended(child))
		return 93;

	/* A thread. */
	pid_t tid = 1;
	int all = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	child = clone(body, stack[2] + sizeof stack[2], all | CLONE_UNTRACED | CLONE_CHILD_CLEARTID,
		      "by-thread", NULL, NULL, &tid);
	if (child < 0)
		return 94;
	while (__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(1000);

	/* A call that fails changes nothing either. */
	flags = CLONE_UNTRACED | CLONE_THREAD;
	if (raw(SYS_clone, flags, 0, &after) >= 0 || after != flags)
		return 95;
	/* The default child of one. */
	flags = CLONE_UNTRACED | SIGCHLD;
	child = raw(SYS_clone, flags, 0, &after);
	if (child == 0) {
		pid_t again = fork();
		if (again == 0)
			_exit(leave("by-grandchild", 1));
		_exit(!ended(again));
	}
	return child < 0 || !ended(child) ? 96 : 0;
}
