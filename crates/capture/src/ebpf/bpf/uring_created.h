/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread creates a ring of io_uring. */
#pragma once
#include "call_record.h"
#include "uring_scope.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} uring_alarms SEC(".maps");

static long is_uring_decided(u32 i, void *until)
{
	struct common_state *c = common_state();
	return !c || *(volatile u64 *)&c->uring_state != URING_ABSENT ||
	       bpf_ktime_get_ns() >= *(u64 *)until;
}

/*
 * Whether operations of rings are recorded. The first ring waits until user space has loaded the
 * programs for that, but for no more than five seconds: it keeps its CPU meanwhile.
 */
static __always_inline bool is_uring_recorded(void)
{
	struct common_state *c = common_state();
	u64 until = bpf_ktime_get_ns() + 5000000000;
	if (!c)
		return false;
	if (c->uring_state == URING_ABSENT) {
		bpf_ringbuf_output(&uring_alarms, &until, sizeof(until), BPF_RB_FORCE_WAKEUP);
		for (int i = 0; i < 32; i++)
			bpf_loop(1 << 23, is_uring_decided, &until, 0);
	}
	return *(volatile u64 *)&c->uring_state == URING_ATTACHED;
}

SEC("tp_btf/io_uring_create")
int BPF_PROG(on_ring_created, int fd, void *ring)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = thread_of(task);
	u64 key = (u64)ring;
	/* A ring that had this address is gone. */
	bpf_map_delete_elem(&uring_scope, &key);
	if (!t || t->launching || watching != WATCHING || !is_uring_recorded())
		return 0;
	u32 number = add_ring(key);
	struct scratch *s = scratch();
	if (!s || !number || t->phase != IN)
		return 0;
	/* The call that creates the ring says which one it is. */
	head(s, task->tgid, t);
	s->head.left = bpf_ktime_get_ns();
	s->phase = EXIT;
	*(u32 *)s->bytes = number;
	from_scratch(RING | BYTES << 8, sizeof(number), sizeof(number));
	flush(s);
	t->incomplete = s->incomplete;
	return 0;
}
