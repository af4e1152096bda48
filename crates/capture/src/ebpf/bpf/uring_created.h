/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread creates a ring of io_uring. */
#pragma once
#include "call_record.h"
#include "uring_scope.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} uring_alarms SEC(".maps");

/*
 * Whether operations of rings are recorded, or will be. The thread that creates the first ring
 * waits until user space has stopped it, to load the programs for that: for a short time here, and
 * before each of its next calls (`await`). It must not wait for the loading, which may itself have
 * to wait until no program of ours runs.
 */
static __always_inline bool is_uring_recorded(struct thread *t)
{
	struct common_state *c = common_state();
	if (!c)
		return false;
	if (c->uring_state == URING_ABSENT) {
		u64 wanted = 1;
		bpf_ringbuf_output(&uring_alarms, &wanted, sizeof(wanted), BPF_RB_FORCE_WAKEUP);
		t->ticket = UNTIL_URING;
		t->waits = 40;
		await(t, true);
	}
	if (*(volatile u64 *)&c->uring_state != URING_IMPOSSIBLE)
		return true;
	c->uring_late = 1;
	return false;
}

SEC("tp_btf/io_uring_create")
int BPF_PROG(on_ring_created, int fd, void *ring)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = thread_of(task);
	u64 key = (u64)ring;
	/* A ring that had this address is gone. */
	bpf_map_delete_elem(&uring_scope, &key);
	if (!t || t->launching || watching != WATCHING || !is_uring_recorded(t))
		return 0;
	u32 number = add_ring(key, false);
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
