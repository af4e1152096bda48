/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entries and exits of system calls. */
#pragma once
#include "call_record.h"
#include "mapped.h"
#include "on_demand.h"
#include "registers.h"
#include "scope.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct variant);
	__type(value, u32);
} variants SEC(".maps");

const volatile u32 greatest = 0; /* numbers from here on are not in the table */
const volatile u32 beyond = 0;	 /* the index of the plan of those numbers */
const volatile u32 unknown = 1;	 /* the index of the plan that captures registers only */
const volatile u32 outcomes =
	7; /* which calls are recorded, by how they end: bits of the enum below */

enum { SUCCEEDED = 1, FAILED = 2, UNFINISHED = 4, WHATEVER = 7 };

static __always_inline u32 plan_of(u64 nr, const u64 args[6])
{
	u32 at = nr < greatest ? nr : greatest;
	struct number *n = bpf_map_lookup_elem(&numbers, &at);
	if (nr >= greatest)
		return beyond;
	if (!n || !n->plan || !n->variants)
		return n ? n->plan : 0;
	struct variant v = {nr, (n->by < 6 ? args[n->by] : 0) & n->mask};
	u32 *other = bpf_map_lookup_elem(&variants, &v);
	return other ? *other : n->plan;
}

/* Whether the call creates a context of libaio. */
static __always_inline bool creates_context(u64 nr)
{
	u32 at = nr < greatest ? nr : greatest;
	struct number *n = bpf_map_lookup_elem(&numbers, &at);
	return n && n->aio == AIO_CREATE;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = thread_of(task);
	if (!t)
		return 0;
	if (t->ticket)
		await(false);
	if (watching == LEAVING)
		return 0;
	bool compat = is_compat(task);
	if (!compat && !t->launching && creates_context(nr))
		is_requested(t, true);
	t->entered = bpf_ktime_get_ns();
	registers(regs, compat, t->args);
	t->nr = nr;
	t->tid = task->pid;
	t->flags = compat ? COMPAT : 0;
	t->retry = 0;
	t->incomplete = 0;
	t->ring = 0;
	t->plan = compat || nr >= 0x40000000 ? unknown : plan_of((u32)nr, t->args);
	t->phase = t->plan ? IN : SKIPPED;
	if (!t->plan)
		return 0;
	u32 at = t->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	struct scratch *s = scratch();
	t->fd_snapshot = (struct fd_snapshot){};
	if (!p || !s)
		return 0;
	if (p->mapping && !t->launching)
		look_before(task, t, p);
	if (p->fd < 6)
		take_fd_snapshot(task, (s32)t->args[p->fd], &t->fd_snapshot);
	if (!p->count[ENTRY])
		return 0;
	if (t->launching && !p->begins)
		return 0;
	if (outcomes != WHATEVER) {
		/*
		 * Its end shows whether it is recorded. Of a call that begins a program, the kernel
		 * keeps the arguments.
		 */
		t->retry = (1u << (p->count[ENTRY] & 31)) - 1;
		return 0;
	}
	head(s, task->tgid, t);
	s->head.left = t->entered;
	s->phase = ENTRY;
	for (u32 i = 0; i < STEPS && i < p->count[ENTRY]; i++)
		take_step(i);
	flush(s);
	t->retry = s->retry;
	t->incomplete = s->incomplete;
	return 0;
}

/* SECCOMP_MODE_DEAD: a seccomp filter ends the thread. */
enum { SECCOMP_FILTER = 2, SECCOMP_DEAD = 3, SIGSYS_BIT = 1 << (31 - 1) };

static __always_inline bool ended_by_filter(struct task_struct *task)
{
	return bpf_core_field_exists(task->seccomp.mode) && task->seccomp.mode == SECCOMP_DEAD;
}

/*
 * A thread that has been in scope for longer leaves the kernel without an entry: a seccomp filter
 * answered the call. The kernel asks filters before it calls the entry tracepoint
 * (syscall_trace_enter, kernel/entry), and calls the exit tracepoint in any case.
 */
static __always_inline bool answered_by_filter(struct task_struct *task, bool known)
{
	return known && bpf_core_field_exists(task->seccomp.mode) &&
	       task->seccomp.mode >= SECCOMP_FILTER;
}

/* SECCOMP_RET_TRAP puts the call's number where a result is, and sends the thread SIGSYS. */
static __always_inline bool trapped(struct task_struct *task, struct pt_regs *regs, long ret)
{
	return ret == (long)regs->orig_ax && task->pending.signal.sig[0] & SIGSYS_BIT;
}

/* A call without an entry: its arguments are taken at its exit. */
static __always_inline void begin_at_exit(struct thread *t, struct task_struct *task,
					  struct pt_regs *regs, u64 now)
{
	bool compat = is_compat(task);
	t->entered = now;
	registers(regs, compat, t->args);
	t->nr = regs->orig_ax;
	t->tid = task->pid;
	t->flags = compat ? COMPAT : 0;
	t->retry = 0;
	t->incomplete = 0;
	t->fd_snapshot = (struct fd_snapshot){};
	t->plan = compat ? unknown : plan_of((u32)regs->orig_ax, t->args);
}

/* A call that a filter answered: nothing has changed since, so its arguments can still be read. */
static __always_inline void not_made(struct scratch *s, struct task_struct *task, struct thread *t,
				     const struct plan *p, u64 now, long ret)
{
	if (p->fd < 6)
		take_fd_snapshot(task, (s32)t->args[p->fd], &t->fd_snapshot);
	head(s, task->tgid, t);
	s->head.left = now;
	s->head.ret = t->flags & NO_EXIT ? 0 : ret;
	again(s, (1u << (p->count[ENTRY] & 31)) - 1);
	call(s);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = thread_of(task);
	if (!t)
		return 0;
	u32 phase = t->phase;
	bool known = t->known;
	if (watching != LEAVING)
		t->phase = OUT;
	else if (!claim(t, OUT))
		return 0;
	t->known = 1;
	if (phase == SKIPPED || phase == NEW || t->launching)
		return 0;
	u64 left = bpf_ktime_get_ns();
	if (phase == OUT) {
		/* There was no entry. */
		begin_at_exit(t, task, regs, left);
		if (!answered_by_filter(task, known))
			t->flags |= NO_ENTRY;
		else
			t->flags |= trapped(task, regs, ret) ? NOT_MADE | NO_EXIT : NOT_MADE;
		if (ended_by_filter(task))
			t->phase = SKIPPED;
	}
	u32 outcome = t->flags & NO_EXIT	? UNFINISHED
		      : ret < 0 && ret >= -4095 ? FAILED
						: SUCCEEDED;
	if (!t->plan || !(outcomes & outcome))
		return 0;
	u32 at = t->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	struct scratch *s = scratch();
	if (!p || !s)
		return 0;
	if (t->flags & NOT_MADE) {
		not_made(s, task, t, p, left, ret);
		return 0;
	}
	head(s, task->tgid, t);
	s->head.left = left;
	s->head.ret = ret;
	if (t->retry)
		again(s, t->retry);
	s->phase = EXIT;
	s->late = 0;
	for (u32 i = 0; i < STEPS && i < p->count[EXIT]; i++)
		take_step(i);
	if (t->ring) {
		/* The call that creates a ring says which one it is. */
		*(u32 *)s->bytes = t->ring;
		from_scratch(RING | BYTES << 8, sizeof(t->ring), sizeof(t->ring));
		flush(s);
		t->ring = 0;
	}
	if (p->mapping == MAP_FILE && !failed(s))
		begin_mapping();
	call(s);
	if (p->changes != NONE && !failed(s))
		note_change(p->changes);
	if (p->mapping)
		look_after(task, t, p, ret);
	return 0;
}
