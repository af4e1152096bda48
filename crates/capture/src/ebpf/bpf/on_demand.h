/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asks for the parts of the probe that are loaded when a program first needs them. */
#pragma once
#include "call_record.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} uring_alarms SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} aio_alarms SEC(".maps");

/*
 * Whether operations of rings (or, with `aio`, of contexts) are recorded, or will be. The thread
 * that creates the first one waits until user space has stopped it, to load the programs for that:
 * for a short time here, and before each of its next calls (`await`). It must not wait for the
 * loading, which may itself have to wait until no program of ours runs.
 */
static __always_inline bool is_requested(struct thread *t, bool aio)
{
	struct common_state *c = common_state();
	if (!c)
		return false;
	volatile u64 *state = aio ? &c->aio_state : &c->uring_state;
	if (*state == ABSENT) {
		u64 wanted = 1;
		if (aio)
			bpf_ringbuf_output(&aio_alarms, &wanted, sizeof(wanted),
					   BPF_RB_FORCE_WAKEUP);
		else
			bpf_ringbuf_output(&uring_alarms, &wanted, sizeof(wanted),
					   BPF_RB_FORCE_WAKEUP);
		t->ticket = aio ? UNTIL_AIO : UNTIL_URING;
		t->waits = 40;
		await(true);
	}
	if (*state != IMPOSSIBLE)
		return true;
	*(aio ? &c->aio_late : &c->uring_late) = 1;
	return false;
}
