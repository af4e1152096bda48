/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads and processes: forks, execs, signals and ends. */
#pragma once
#include "calls.h"

#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_THREAD 0x10000

static __always_inline struct scratch *event(u32 pid, u32 tid)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	u64 now = bpf_ktime_get_ns();
	s->head = (struct header){.pid = pid, .tid = tid, .entered = now, .left = now};
	s->staged = 0;
	s->sum = 0;
	s->broken = 0;
	s->incomplete = 0;
	s->phase = EXIT;
	return s;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (!thread_of(parent))
		return 0;
	struct thread *t = enlist(child);
	struct scratch *s = event(child->tgid, child->pid);
	if (!t || !s)
		return 0;
	t->phase = NEW;
	bool thread = parent->tgid == child->tgid;
	u64 flags = thread ? CLONE_THREAD : 0;
#define SHARED(field) (FIELD(parent, task_struct, field) == FIELD(child, task_struct, field))
	flags |= SHARED(mm) ? CLONE_VM : 0;
	flags |= SHARED(fs) ? CLONE_FS : 0;
	flags |= SHARED(files) ? CLONE_FILES : 0;
	flags |= SHARED(sighand) ? CLONE_SIGHAND : 0;
#undef SHARED
	s->head.args[0] = parent->tgid;
	s->head.args[1] = parent->pid;
	s->head.args[2] = flags;
	s->head.args[3] = !thread;
	emit(START);
	end_record(s);
	if (!(flags & CLONE_VM))
		copy_mappings(parent->tgid, child->tgid);
	return 0;
}

/*
 * One step of the plan of an exec whose arguments could not be read before. The old memory is gone,
 * but the kernel still has the arguments.
 */
__noinline int recovered(u32 i)
{
	struct scratch *s = scratch();
	const struct step *take = s ? step_of_plan(s, i) : 0;
	if (!take)
		return 0;
	struct recovery *r = &s->recovery;
	struct mm_struct *mm = r->mm;
	bool unread = r->retry & 1u << (i & 31);
	if (take->what == W_STRING && unread) {
		long n = bpf_probe_read_kernel_str(s->bytes, STRING_BYTES, r->filename);
		if (n > 0 && n <= STRING_BYTES)
			from_scratch(take->arg | STRING << 8, n - 1, n - 1);
		flush(s);
	} else if (take->what == W_STR_VEC) {
		bool first = !r->vectors++;
		u64 from = first ? BPF_CORE_READ(mm, arg_start) : BPF_CORE_READ(mm, env_start);
		u64 to = first ? BPF_CORE_READ(mm, arg_end) : BPF_CORE_READ(mm, env_end);
		if (unread && r->script && first)
			unreadable(s, take->arg, STR_VEC);
		else if (unread && to > from)
			from_user(take->arg | STR_VEC << 8, from, to - from, to - from);
		flush(s);
	}
	return 0;
}

/* All steps of its plan. */
static __always_inline void recover(struct scratch *s, struct task_struct *task, struct thread *t,
				    struct linux_binprm *bprm)
{
	u32 at = t->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	if (!p)
		return;
	head(s, task->tgid, t);
	s->head.left = t->entered;
	s->phase = ENTRY;
	s->late = 1;
	const char *filename = BPF_CORE_READ(bprm, filename);
	/* Of a script, the kernel has changed the arguments: its interpreter is among them. */
	s->recovery = (struct recovery){
		.mm = BPF_CORE_READ(task, mm),
		.filename = filename,
		.retry = t->retry,
		.script = BPF_CORE_READ(bprm, interp) != filename,
	};
	for (u32 i = 0; i < STEPS && i < p->count[ENTRY]; i++)
		recovered(i);
	t->retry = 0;
	t->incomplete = s->incomplete;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct thread *t = bpf_task_storage_get(&threads, task, 0, 0);
	struct scratch *s = scratch();
	if (!t || !s)
		return 0;
	t->launching = 0;
	if (t->phase == IN && t->retry && outcomes & SUCCEEDED)
		recover(s, task, t, bprm);
	s = event(task->tgid, task->pid);
	if (!s)
		return 0;
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	u32 n = file ? describe_file(s, file) : 0;
	s->head.args[0] = old_pid;
	s->head.args[1] = BPF_CORE_READ(task, cred, euid.val);
	s->head.args[2] = BPF_CORE_READ(task, cred, egid.val);
	s->head.args[3] = 1;
	u32 len = n - sizeof(struct identity);
	barrier_var(len);
	if (n > sizeof(struct identity) && len <= STRING_BYTES) {
		bpf_probe_read_kernel(s->bytes, len, s->bytes + sizeof(struct identity));
		s->phase = ENTRY;
		from_scratch(0 | STRING << 8, len, len);
	}
	emit(EXEC);
	end_record(s);
	end_mappings(task);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (!bpf_task_storage_get(&threads, task, 0, 0))
		return 0;
	struct scratch *s = event(task->tgid, task->pid);
	if (!s)
		return 0;
	s->head.args[0] = signal;
	s->head.args[1] = (s64)BPF_CORE_READ(info, si_code);
	s->head.args[2] = BPF_CORE_READ(info, _sifields._kill._pid);
	emit(SIGNAL);
	end_record(s);
	return 0;
}

/* Whether a thread ends because another thread of its process calls execve. */
static __always_inline bool replaced(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, group_exec_task);
}

/*
 * A call that a filter answered with SECCOMP_RET_KILL_THREAD: the thread ends at once, and there is
 * no entry or exit of the call. If the kernel frees the memory before it reports the thread's end,
 * what the arguments point to is unreadable.
 */
static __always_inline void last_call(struct task_struct *task, struct thread *t, struct scratch *s)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u64 now = bpf_ktime_get_ns();
	begin_at_exit(t, task, regs, now);
	t->flags |= NOT_MADE | NO_EXIT;
	u32 at = t->plan;
	struct plan *p = at ? bpf_map_lookup_elem(&plans, &at) : 0;
	if (p)
		not_made(s, task, t, p, now, 0);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_end, struct task_struct *task)
{
	struct thread *t = bpf_task_storage_get(&threads, task, 0, 0);
	struct common_state *c = common_state();
	struct scratch *s = scratch();
	if (!t || !s)
		return 0;
	u32 phase = t->phase;
	if (claim(t, OUT) && !t->launching && outcomes & UNFINISHED) {
		head(s, task->tgid, t);
		s->head.flags |= NO_EXIT;
		s->head.left = bpf_ktime_get_ns();
		s->phase = ENTRY;
		call(s);
	}
	if (phase == OUT && t->known && !t->launching && outcomes & UNFINISHED &&
	    ended_by_filter(task))
		last_call(task, t, s);
	bool last = BPF_CORE_READ(task, signal, live.counter) == 0;
	/* A leader that another thread replaced has not ended: its thread id is used on. */
	if (!t->launching && (task->pid != task->tgid || last || !replaced(task))) {
		s = event(task->tgid, task->pid);
		if (s) {
			s->head.args[0] = task->exit_code;
			s->head.args[1] = last;
			emit(EXIT_);
			end_record(s);
		}
	}
	if (last)
		end_mappings(task);
	bpf_task_storage_delete(&threads, task);
	if (c)
		__sync_fetch_and_add(&c->alive, -1);
	return 0;
}

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} KERNEL;

/* Read by user space at the end of a recording: the calls under way. */
SEC("iter/task")
int calls_under_way(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *t = task ? bpf_task_storage_get(&threads, task, 0, 0) : 0;
	if (!t || t->launching || !(outcomes & UNFINISHED))
		return 0;
	/* The kernel asks again for the same thread if the buffer was full. */
	if (!claim(t, REPORTED) && t->phase != REPORTED)
		return 0;
	struct under_way u = {.entered = t->entered,
			      .pid = task->tgid,
			      .tid = t->tid,
			      .nr = t->nr,
			      .flags = t->flags};
	__builtin_memcpy(u.args, t->args, sizeof(u.args));
	bpf_seq_write(ctx->meta->seq, &u, sizeof(u));
	return 0;
}

/* Read by user space before it freezes processes: the process of each thread in scope. */
SEC("iter/task")
int in_scope(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *t = task ? bpf_task_storage_get(&threads, task, 0, 0) : 0;
	if (!t || t->launching)
		return 0;
	u32 process = task->tgid;
	bpf_seq_write(ctx->meta->seq, &process, sizeof(process));
	return 0;
}

/* Not used here: user space takes the layout of these structs from the object's types. */
const volatile struct request layout_of_request;
const volatile struct under_way layout_of_under_way;
