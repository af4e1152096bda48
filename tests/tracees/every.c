/* Makes the calls of the table that calls.c does not make, each once or so,
	with arguments of its
 * kinds. The same in every run: what would change the machine,
	wait or depend on others is answered
 * by a filter of the program's own, after its arguments have been seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* A call by its name; those that are newer than the headers of some machines go by their number. */
#define call(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define AT AT_FDCWD

static char page[8192] __attribute__((aligned(4096))), buf[4096];
static const sigset_t none, usr1 = {{1ul << (SIGUSR1 - 1)}};
static int word;

static void handler(int signal)
{
	(void)signal;
}

/* Calls with these numbers fail with EPERM from now on. */
static void refuse(const int *numbers, unsigned n)
{
	struct sock_filter code[128] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	for (unsigned i = 0; i < n; i++)
		code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i],
							   n - i, 0);
	code[n + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	struct sock_fprog program = {n + 3, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    call(seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
		perror("seccomp");
		exit(1);
	}
}

static void files(void)
{
	struct stat st;
	int fd = call(open, "file", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0640);
	call(write, fd, "some bytes\n", 11), call(stat, "file", &st), call(fstat, fd, &st);
	call(lstat, "none", &st), call(link, "file", "linked"), call(symlink, "file", "symbolic");
	call(readlink, "symbolic", buf, 100), call(chown, "file", -1, getegid());
	call(fchown, fd, geteuid(), -1), call(access, "file", R_OK | W_OK);
	call(utime, "file", (long[]){1000000000, 1100000000});
	call(utimes, "file", (struct timeval[]){{1, 2}, {3, 4}});
	call(futimesat, AT, "file", (struct timeval[]){{5, 6}, {7, 8}});
	call(utimensat, AT, "file", (struct timespec[]){{0, UTIME_NOW}, {0, UTIME_OMIT}},
	     AT_SYMLINK_NOFOLLOW);
	call(mknod, "node", S_IFIFO | 0622, 0), call(mkdirat, AT, "below", 0755);
	call(faccessat, AT, "file", X_OK), call(uselib, "file"), call(ustat, 0x102, buf);
	call(sysfs, 3), call(lsetxattr, "file", "user.x", "\1\2val", 5, XATTR_CREATE);
	call(llistxattr, "file", buf, 100), call(fremovexattr, fd, "user.x");
	call(lremovexattr, "file", "user.none"), call(ioctl, fd, FIONREAD, &word);
	call(ioctl, fd, TCGETS, buf), call(syncfs, fd);
	struct {
		unsigned bytes;
		int type;
		char handle[128];
	} h = {sizeof h.handle, 0, ""};
	call(name_to_handle_at, AT, "file", &h, &word, AT_SYMLINK_FOLLOW);
	call(open_by_handle_at, fd, &h, O_RDONLY | O_PATH);
	int d = call(open, ".", O_RDONLY | O_DIRECTORY);
	call(getdents, d, buf, 10), call(close, d), call(unlink, "linked");
	syscall(451, fd, (uint64_t[]){0, 4096}, buf, 0);
	syscall(452, AT, "file", 0600, AT_SYMLINK_NOFOLLOW);
	struct {
		uint64_t value;
		uint32_t size, flags;
	} x = {(uintptr_t)"at", 2, XATTR_CREATE};
	syscall(463, AT, "file", AT_SYMLINK_NOFOLLOW, "user.y", &x, sizeof x);
	x.value = (uintptr_t)buf, x.size = 100, x.flags = 0;
	syscall(464, AT, "file", 0, "user.y", &x, sizeof x), syscall(465, AT, "file", 0, buf, 100);
	syscall(466, AT, "file", 0, "user.y"), syscall(468, AT, "file", buf, 24, 0);
	syscall(469, AT, "file", buf, 24, 0), call(close, fd);
}

static void pipes(void)
{
	int p[2], q[2];
	char one[1] = "x";
	struct iovec v[2] = {{page, 5}, {page + 10, 7}};
	call(pipe, p), call(pipe2, q, O_NONBLOCK | O_DIRECT);
	call(vmsplice, p[1], v, 2, SPLICE_F_GIFT | SPLICE_F_NONBLOCK);
	call(tee, p[0], q[1], 12, SPLICE_F_MORE | SPLICE_F_MOVE);
	struct pollfd polled[2] = {{p[0], POLLIN | POLLPRI, 0}, {q[1], POLLOUT, 0}};
	call(poll, polled, 2, 0), call(ppoll, polled, 1, &(struct timespec){1, 2}, &usr1, 8);
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(p[0], &in);
	FD_SET(q[1], &out);
	call(select, q[1] + 1, &in, &out, NULL, &(struct timeval){1, 0});
	call(pselect6, q[1] + 1, NULL, &out, NULL, &(struct timespec){1, 0},
	     (void *[]){(void *)&usr1, (void *)8});
	int e = call(eventfd, 1), e2 = call(eventfd2, 2, EFD_SEMAPHORE | EFD_CLOEXEC);
	int s = call(signalfd, -1, &usr1, 8), s4 = call(signalfd4, -1, &usr1, 8, SFD_NONBLOCK);
	int ep = call(epoll_create, 7), ep1 = call(epoll_create1, EPOLL_CLOEXEC);
	struct epoll_event ev = {EPOLLIN | EPOLLET, {.u64 = 0x1234567890}};
	call(epoll_ctl, ep, EPOLL_CTL_ADD, e, &ev), call(epoll_wait, ep, &ev, 1, 0);
	call(epoll_ctl, ep, EPOLL_CTL_MOD, e, &ev), call(epoll_pwait, ep, &ev, 1, 0, &usr1, 8);
	call(epoll_pwait2, ep, &ev, 1, &(struct timespec){0, 0}, NULL, 8);
	call(epoll_ctl, ep, EPOLL_CTL_DEL, e, NULL), call(epoll_ctl_old), call(epoll_wait_old);
	int t = call(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec spec = {{0, 0}, {1000, 0}};
	call(timerfd_settime, t, TFD_TIMER_ABSTIME, &spec, &spec);
	call(timerfd_settime, t, 0, &(struct itimerspec){{0, 0}, {0, 0}}, NULL);
	call(timerfd_gettime, t, &spec);
	int i = call(inotify_init), i1 = call(inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
	int w = call(inotify_add_watch, i, "file", IN_MODIFY | IN_DONT_FOLLOW | IN_ONESHOT);
	call(inotify_rm_watch, i, w);
	int f = call(fanotify_init, FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY | O_LARGEFILE);
	call(fanotify_mark, f, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW,
	     (uint64_t)(FAN_OPEN | FAN_CLOSE), AT, "below");
	int m = call(memfd_secret, O_CLOEXEC), u = call(userfaultfd, O_NONBLOCK | O_CLOEXEC);
	call(write, q[1], one, 1);
	int all[] = {p[0], p[1], q[0], q[1], e, e2, s, s4, ep, ep1, t, i, i1, f, m, u};
	for (unsigned n = 0; n < sizeof all / sizeof *all; n++)
		call(close, all[n]);
}

static void network(void)
{
	struct sockaddr_un name = {AF_UNIX, "a socket"};
	struct sockaddr_storage from;
	socklen_t len = sizeof from, size = sizeof word;
	int l = call(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    c = call(socket, AF_UNIX, SOCK_STREAM, 0);
	call(bind, l, &name, sizeof name), call(listen, l, 5), call(connect, c, &name, sizeof name);
	int a = call(accept, l, &from, &len);
	int c2 = call(socket, AF_UNIX, SOCK_STREAM, 0);
	call(connect, c2, &name, sizeof name);
	len = sizeof from;
	int a2 = call(accept4, l, &from, &len, SOCK_NONBLOCK);
	len = sizeof from, call(getsockname, a, &from, &len);
	len = sizeof from, call(getpeername, c, &from, &len);
	call(setsockopt, c, SOL_SOCKET, SO_SNDBUF, (int[]){65536}, 4);
	call(getsockopt, c, SOL_SOCKET, SO_TYPE, &word, &size);
	call(sendto, c, "sent", 4, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
	len = sizeof from, call(recvfrom, a, buf, 100, MSG_PEEK, &from, &len);
	struct iovec v[2] = {{page, 5}, {page + 10, 7}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 2}},
			       {.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}};
	call(sendmmsg, c, m, 2, MSG_NOSIGNAL), call(recvmmsg, a, m, 2, MSG_DONTWAIT, NULL);
	call(sendmsg, c, &m[0].msg_hdr, 0), call(recvmsg, a, &m[0].msg_hdr, MSG_DONTWAIT);
	call(shutdown, c, SHUT_WR);
	int pair[2], dgram = call(socket, AF_INET, SOCK_DGRAM, 17);
	call(socketpair, AF_UNIX, SOCK_DGRAM, 0, pair);
	int all[] = {l, c, a, c2, a2, dgram, pair[0], pair[1]};
	for (unsigned n = 0; n < sizeof all / sizeof *all; n++)
		call(close, all[n]);
	call(unlink, "a socket");
}

static void memory(void)
{
	char *m = mmap(NULL, 16384, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	call(mremap, m, 16384, 8192, MREMAP_MAYMOVE, 0);
	call(msync, m, 4096, MS_SYNC | MS_INVALIDATE), call(mincore, m, 4096, buf);
	call(madvise, m, 4096, MADV_DONTNEED), call(mprotect, m, 4096, PROT_NONE);
	call(pkey_mprotect, m, 4096, PROT_READ, -1);
	call(mlock, m, 4096), call(mlock2, m, 4096, MLOCK_ONFAULT), call(munlock, m, 4096);
	call(mlockall, MCL_FUTURE | MCL_ONFAULT), call(munlockall);
	call(remap_file_pages, m, 4096, 0, 0, 0);
	unsigned long nodes = 1;
	call(mbind, m, 4096, MPOL_DEFAULT, NULL, 0, 0), call(set_mempolicy, MPOL_DEFAULT, NULL, 0);
	call(set_mempolicy, 99, &nodes, 8), call(get_mempolicy, &word, &nodes, 1024, NULL, 0);
	call(set_mempolicy_home_node, m, 4096, 0, 0);
	call(migrate_pages, getpid(), 8, &nodes, &nodes);
	call(move_pages, 0, 1, (void *[]){page}, (int[]){0}, &word, 0);
	call(membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	int key = call(pkey_alloc, 0, 0);
	call(pkey_free, key);
	int self = call(pidfd_open, getpid(), 0);
	call(process_madvise, self, &(struct iovec){m, 4096}, 1, MADV_COLD, 0);
	call(process_mrelease, self, 0), call(pidfd_getfd, self, 1, 0), call(close, self + 1);
	call(pidfd_send_signal, self, 0, NULL, 0);
	struct iovec here = {buf, 5}, there = {page, 5};
	call(process_vm_readv, getpid(), &here, 1, &there, 1, 0);
	call(process_vm_writev, getpid(), &here, 1, &there, 1, 0);
	call(kcmp, getpid(), getpid(), 0, 0, 1), syscall(453, 0, 4096, 0), syscall(462, m, 4096, 1);
	call(close, self), call(munmap, m, 8192), call(userfaultfd, ~0u);
}

static void clocks(void)
{
	struct timeval tv;
	struct timespec ts = {0, 1};
	struct itimerval it = {{0, 0}, {1000, 5}};
	struct itimerspec is = {{0, 0}, {1000, 0}};
	call(gettimeofday, &tv, buf), call(time, &tv), call(times, buf);
	call(clock_gettime, CLOCK_BOOTTIME, &ts), call(clock_getres, CLOCK_REALTIME_COARSE, &ts);
	ts = (struct timespec){0, 1};
	call(nanosleep, &ts, &ts), call(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	call(setitimer, ITIMER_VIRTUAL, &it, &it), call(getitimer, ITIMER_PROF, &it);
	call(alarm, 0);
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	int timer;
	call(timer_create, CLOCK_MONOTONIC, &event, &timer);
	call(timer_settime, timer, 0, &is, &is);
	call(timer_settime, timer, TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {0, 0}}, NULL);
	call(timer_gettime, timer, &is), call(timer_getoverrun, timer), call(timer_delete, timer);
	call(adjtimex, memset(buf, 0, 208)), call(clock_adjtime, CLOCK_REALTIME, buf);
}

static void signals(void)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER};
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	sigaction(SIGUSR1, &act, NULL);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	call(kill, getpid(), SIGUSR1), call(rt_sigpending, buf, 8), call(rt_sigsuspend, &none, 8);
	call(tkill, gettid(), SIGUSR1);
	call(rt_sigtimedwait, &usr1, &info, &(struct timespec){1, 0}, 8);
	call(tgkill, getpid(), gettid(), 0);
	info = (siginfo_t){.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	call(rt_sigqueueinfo, getpid(), SIGUSR1, &info),
		call(rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	call(sigaltstack, &(stack_t){page, 0, 8192}, NULL),
		call(sigaltstack, &(stack_t){NULL, SS_DISABLE, 0}, buf);
	call(restart_syscall);
}

static void attributes(void)
{
	struct rlimit limit;
	unsigned mask = 1;
	call(sched_yield), call(uname, buf), call(sysinfo, buf), call(getppid), call(getpgrp),
		call(setsid);
	call(getrlimit, RLIMIT_NOFILE, &limit), call(setrlimit, RLIMIT_NOFILE, &limit);
	call(prlimit64, 0, RLIMIT_CORE, NULL, &limit), call(getrusage, RUSAGE_CHILDREN, buf);
	call(setpgid, 0, 0), call(getpgid, 0), call(getsid, 0);
	call(setuid, getuid()), call(setgid, getgid()), call(setreuid, -1, -1),
		call(setregid, -1, -1);
	call(setresuid, -1, -1, -1), call(getresuid, &word, &word, &word);
	call(setresgid, -1, -1, -1), call(getresgid, &word, &word, &word);
	call(setfsuid, geteuid()), call(setfsgid, getegid()), call(getgroups, 0, NULL);
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	call(capget, &header, buf), call(capset, &header, buf);
	call(personality, 0xffffffff), call(getpriority, PRIO_PROCESS, 0),
		call(setpriority, PRIO_PROCESS, 0, 0);
	call(sched_getparam, 0, &word), call(sched_setparam, 0, (int[]){0}),
		call(sched_getscheduler, 0);
	call(sched_setscheduler, 0, SCHED_OTHER | SCHED_RESET_ON_FORK, (int[]){0});
	call(sched_get_priority_max, SCHED_FIFO), call(sched_get_priority_min, SCHED_RR);
	call(sched_rr_get_interval, 0, buf), call(sched_setaffinity, 0, 4, &mask),
		call(sched_getaffinity, 0, 8, buf);
	call(sched_getattr, 0, buf, 56, 0), call(sched_setattr, 0, buf, 0);
	call(ioprio_get, 1, 0), call(ioprio_set, 1, 0, 0x4004), call(getcpu, &word, NULL, NULL);
	call(prctl, PR_SET_NAME, "every"), call(prctl, PR_GET_DUMPABLE),
		call(arch_prctl, 0x1003, buf);
	call(get_robust_list, 0, buf, buf + 8), call(syslog, 10, NULL, 0),
		call(modify_ldt, 0, buf, 16);
	call(gettid), call(getrandom, buf, 3, GRND_NONBLOCK),
		call(futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	call(futex, &word, FUTEX_WAIT, ~word, &(struct timespec){1, 0}, NULL, 0);
	struct {
		uint64_t value, address;
		uint32_t flags, zero;
	} w = {~0u, (uintptr_t)&word, 2, 0};
	call(futex_waitv, &w, 1, 0, NULL, CLOCK_MONOTONIC);
	syscall(454, &word, 1, 1, 2), syscall(455, &word, ~0u, 1, 2, NULL, CLOCK_MONOTONIC),
		syscall(456, &w, 0, 0, 0);
	syscall(457, (uint64_t[]){24, 0, 0}, buf, 512, 0),
		syscall(458, (uint64_t[]){24, 0, 0}, buf, 0, 0);
	syscall(459, 99, buf, (int[]){64}, 0), syscall(460, 99, buf, 8, 0),
		syscall(461, buf, (int[]){64}, 0);
	call(lookup_dcookie, 1, buf, 10), call(set_thread_area, buf), call(get_thread_area, buf);
	call(_sysctl), call(create_module), call(get_kernel_syms), call(query_module),
		call(nfsservctl);
	call(getpmsg), call(putpmsg), call(afs_syscall), call(tuxcall), call(security),
		call(vserver), syscall(336);
}

static void rings(void)
{
	aio_context_t context = 0;
	struct io_event events[2];
	char bytes[20];
	int fd = open("file", O_RDONLY);
	struct iocb one = {.aio_lio_opcode = IOCB_CMD_PREAD,
			   .aio_fildes = fd,
			   .aio_buf = (uintptr_t)bytes,
			   .aio_nbytes = 5};
	call(io_setup, 4, &context), call(io_submit, context, 1, (struct iocb *[]){&one});
	call(io_getevents, context, 1, 2, events, NULL);
	call(io_pgetevents, context, 0, 2, events, &(struct timespec){0, 0}, NULL);
	call(io_cancel, context, &one, events), call(io_destroy, context);
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 8};
	int ring = call(io_uring_setup, 2, &params);
	call(io_uring_enter, ring, 0, 0, IORING_ENTER_GETEVENTS, NULL, 8);
	call(io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1);
	call(io_uring_register, ring, IORING_UNREGISTER_FILES, NULL, 0);
	call(close, ring), call(close, fd);
}

static void messages(void)
{
	struct {
		long type;
		char text[4];
	} m = {3, "msg"};
	int s = call(shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600),
	    q = call(msgget, IPC_PRIVATE, 0600);
	void *at = (void *)call(shmat, s, NULL, SHM_RDONLY);
	call(shmctl, s, IPC_RMID, NULL), call(shmdt, at);
	call(msgsnd, q, &m, 4, IPC_NOWAIT), call(msgrcv, q, &m, 4, 0, IPC_NOWAIT | MSG_NOERROR),
		call(msgctl, q, IPC_RMID, NULL);
	int sem = call(semget, 0x1234, 1, IPC_CREAT | 0600);
	struct sembuf op = {0, 1, IPC_NOWAIT | SEM_UNDO};
	call(semop, sem, &op, 1), call(semtimedop, sem, &op, 1, &(struct timespec){1, 0}),
		call(semctl, sem, 0, IPC_RMID, 0);
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
	int mq = call(mq_open, "every", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attr);
	call(mq_timedsend, mq, "queued", 6, 1, &(struct timespec){1, 0}),
		call(mq_timedreceive, mq, buf, 8, &word, NULL);
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	call(mq_notify, mq, &event), call(mq_getsetattr, mq, NULL, &attr), call(close, mq),
		call(mq_unlink, "every");
}

static void births(void)
{
	siginfo_t info;
	struct clone_args args = {.flags = CLONE_FS, .exit_signal = SIGCHLD};
	if (call(fork) == 0)
		call(exit, 3);
	call(wait4, -1, &word, WUNTRACED, buf);
	if (call(clone3, &args, sizeof args) == 0)
		call(exit_group, 4);
	call(waitid, P_ALL, 0, &info, WEXITED | WNOWAIT, NULL),
		call(waitid, P_ALL, 0, &info, WEXITED, buf);
	if (call(clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0)
		call(exit, 5);
	call(wait4, -1, &word, 0, NULL);
	if (call(fork) == 0)
		syscall(335); /* uretprobe is for the kernel's own code: it ends in SIGILL */
	call(wait4, -1, &word, 0, NULL);
	call(execveat, AT, "none", (char *[]){"none", "an argument", NULL}, (char *[]){"A=b", NULL},
	     AT_SYMLINK_NOFOLLOW);
	call(execve, "none", (char *[]){"none", NULL}, (char *[]){NULL});
}

/* All of these are refused. */
static void refused(int own)
{
	static const int numbers[] = {
		SYS_pause, SYS_ptrace, SYS_vhangup, SYS_pivot_root, SYS_chroot, SYS_acct,
		SYS_settimeofday, SYS_mount, SYS_umount2, SYS_swapon, SYS_swapoff, SYS_reboot,
		SYS_sethostname, SYS_setdomainname, SYS_iopl, SYS_ioperm, SYS_init_module,
		SYS_delete_module, SYS_quotactl, SYS_clock_settime, SYS_kexec_load,
		SYS_kexec_file_load, SYS_finit_module, SYS_add_key, SYS_request_key, SYS_keyctl,
		SYS_setns, SYS_unshare, SYS_setgroups, SYS_perf_event_open, SYS_bpf, SYS_open_tree,
		SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
		SYS_mount_setattr, 443, SYS_landlock_create_ruleset, SYS_landlock_add_rule,
		SYS_landlock_restrict_self, 467, SYS_vfork,
		/* Those that another program could see, without a name space of our own. */
		SYS_shmget, SYS_msgget, SYS_semget, SYS_mq_open, SYS_mq_unlink};
	refuse(numbers, sizeof numbers / sizeof *numbers - (own ? 5 : 0));
	messages();
	call(pause), call(ptrace, PTRACE_TRACEME, 0, 0, 0), call(vhangup),
		call(pivot_root, ".", "below"), call(chroot, "below");
	call(acct, "file"), call(settimeofday, &(struct timeval){1, 2}, NULL),
		call(swapon, "file", 0), call(swapoff, "file");
	call(mount, "source", "below", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_RDONLY, "size=1m"),
		call(umount2, "below", 2);
	call(reboot, 0xfee1dead, 0x28121969, RB_AUTOBOOT, NULL), call(sethostname, "host", 4),
		call(setdomainname, "domain", 6);
	call(iopl, 0), call(ioperm, 0x80, 1, 0), call(init_module, page, 10, "a=b"),
		call(delete_module, "module", O_NONBLOCK);
	call(quotactl, QCMD(Q_SYNC, USRQUOTA), "/dev/none", 0, NULL),
		syscall(443, 1, QCMD(Q_GETFMT, GRPQUOTA), 0, buf);
	call(clock_settime, CLOCK_REALTIME, &(struct timespec){1, 2}),
		call(kexec_load, 0, 0, NULL, 0);
	call(kexec_file_load, -1, -1, 4, "arg", 4), call(finit_module, -1, "a=b", 1);
	call(add_key, "user", "described", "payload", 7, -2),
		call(request_key, "user", "described", "info", -2), call(keyctl, 0, -2, 0, 0, 0);
	call(setns, 1, CLONE_NEWNS), call(unshare, CLONE_NEWNS | CLONE_FS),
		call(setgroups, 2, (int[]){1, 2});
	struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE,
					.size = sizeof event,
					.config = PERF_COUNT_SW_CPU_CLOCK};
	call(perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	call(bpf, BPF_MAP_CREATE, &map, sizeof map);
	call(open_tree, AT, "below", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
		call(move_mount, AT, "below", AT, "below", MOVE_MOUNT_F_SYMLINKS);
	call(fsopen, "tmpfs", FSOPEN_CLOEXEC),
		call(fsconfig, 1, FSCONFIG_SET_STRING, "size", "1m", 0),
		call(fsmount, 1, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC);
	call(fspick, AT, "below", FSPICK_NO_AUTOMOUNT);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	call(mount_setattr, AT, "below", AT_RECURSIVE, &attr, sizeof attr),
		syscall(467, AT, "below", OPEN_TREE_CLONE, &attr, sizeof attr);
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
	struct landlock_path_beneath_attr rule = {LANDLOCK_ACCESS_FS_EXECUTE, 1};
	call(landlock_create_ruleset, &rules, sizeof rules, 0),
		call(landlock_add_rule, 1, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	call(landlock_restrict_self, 1, 0);
}

int main(void)
{
	int own = unshare(CLONE_NEWIPC) == 0;
	files();
	pipes();
	network();
	memory();
	clocks();
	signals();
	attributes();
	rings();
	births();
	refused(own);
	printf("all made\n");
	return 0;
}
