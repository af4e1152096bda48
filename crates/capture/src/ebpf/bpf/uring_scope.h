/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which rings of io_uring are recorded. An operation belongs to the ring that it was submitted to,
 * whichever thread carries it out: a worker of the kernel is no thread of the program.
 */
#pragma once
#include "scope.h"

struct io_ring_ctx;

struct uring {
	u32 number;  /* counted from 1; in the records of its operations */
	u8 is_chain; /* the last entry is linked to the next one */
	u8 is_seen;  /* an operation of it was seen */
	u8 pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64); /* the address of its context */
	__type(value, struct uring);
} uring_scope SEC(".maps");

/* Takes a ring into scope. Returns its number; 0: there is no memory, which `missed` counts. */
static __always_inline u32 add_ring(u64 ring, bool is_seen)
{
	struct common_state *c = common_state();
	if (!c)
		return 0;
	struct uring new = {__sync_fetch_and_add(&c->uring_count, 1) + 1, .is_seen = is_seen};
	if (!bpf_map_update_elem(&uring_scope, &ring, &new, BPF_ANY))
		return new.number;
	__sync_fetch_and_add(&c->missed, 1);
	return 0;
}
