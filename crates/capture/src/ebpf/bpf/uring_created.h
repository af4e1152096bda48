/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread creates a ring of io_uring. */
#pragma once
#include "call_record.h"
#include "on_demand.h"
#include "uring_scope.h"

SEC("tp_btf/io_uring_create")
int BPF_PROG(on_ring_created, int fd, void *ring)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = thread_of(task);
	u64 key = (u64)ring;
	/* A ring that had this address is gone. */
	bpf_map_delete_elem(&uring_scope, &key);
	if (!t || t->launching || watching != WATCHING || !is_requested(t, false))
		return 0;
	u32 number = add_ring(key, false);
	if (t->phase == IN)
		t->ring = number;
	return 0;
}
