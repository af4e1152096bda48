/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which threads are recorded. A thread in scope has task storage. It is created when a thread in
 * scope creates the thread, so that the first call is seen; when the thread's process is joined;
 * or, if the whole system or a cgroup is recorded, at the thread's first call.
 */
#pragma once
#include "payload.h"

/* REPORTED: user space knows that the call is under way. Its end is not recorded. */
enum phase { OUT, IN, SKIPPED, NEW, REPORTED };
/* How a process was joined. */
enum joined { AT_ONCE = 1, FROM_EXEC };
enum scope { PROCESS_TREE, CGROUP, SYSTEM_WIDE };

struct thread {
	u64 entered;
	u64 args[6];
	struct fd_snapshot fd_snapshot;
	u32 nr, plan, tid, retry;
	u32 phase;
	u8 flags;
	u8 launching;  /* nothing is recorded before its next exec */
	u8 incomplete; /* a record of the call found no room */
	u8 waits;      /* how often it may still wait for its request */
	u8 known;      /* it has left the kernel while it was in scope */
	u8 maps;       /* its request is about a new mapping */
	u8 pad[2];
	u32 ring;   /* the number of the ring of io_uring that its call has created, or 0 */
	u64 ticket; /* of a request to user space that was not served in time, or 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u32);
} joined SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cgroup SEC(".maps");

const volatile u32 scope = PROCESS_TREE;

static __always_inline struct common_state *common_state(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&common, &zero);
}

/* Takes a thread into scope. NULL: there is no memory, which `missed` counts. */
static __always_inline struct thread *enlist(struct task_struct *task)
{
	struct common_state *c = common_state();
	struct thread *t = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (c)
		__sync_fetch_and_add(t ? (u64 *)&c->alive : &c->missed, 1);
	return t;
}

/* The storage of the current thread; NULL if it is not in scope. */
static __always_inline struct thread *thread_of(struct task_struct *task)
{
	struct thread *t = bpf_task_storage_get(&threads, task, 0, 0);
	if (t)
		return t;
	if (watching != WATCHING)
		return 0;
	if (scope == PROCESS_TREE) {
		struct common_state *c = common_state();
		u32 pid = task->tgid;
		u32 *how = c && c->joining ? bpf_map_lookup_elem(&joined, &pid) : 0;
		if (!how)
			return 0;
		t = enlist(task);
		if (t)
			t->launching = *how == FROM_EXEC;
		return t;
	} else if (task->tgid == recorder ||
		   (scope == CGROUP && bpf_current_task_under_cgroup(&cgroup, 0) != 1)) {
		return 0;
	}
	return enlist(task);
}

/*
 * Whether the thread was in a call that the caller is to record now. The call's exit, the thread's
 * end and user space's question what is under way compete: one of them gets it.
 */
static __always_inline bool claim(struct thread *t, u32 phase)
{
	return __sync_val_compare_and_swap(&t->phase, IN, phase) == IN;
}
