/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waits for the parts of the probe that are loaded when a program first needs them. */
#pragma once
#include "scope.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} uring_alarms SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} aio_alarms SEC(".maps");

/* `aio`: aio.bpf.c, else uring.bpf.c. */
static __always_inline u64 load_state(u32 aio)
{
	struct common_state *c = common_state();
	return !c ? IMPOSSIBLE : *(volatile u64 *)(aio ? &c->aio_state : &c->uring_state);
}

struct load {
	u64 until;
	u32 aio, unused;
};

static long is_decided(u32 i, void *ctx)
{
	struct load *load = ctx;
	return load_state(load->aio) != ABSENT || bpf_ktime_get_ns() >= load->until;
}

/*
 * Whether that part records. The first use waits until user space has loaded it, but for no more
 * than five seconds: it keeps its CPU meanwhile. Not inline, so that the verifier checks it once.
 */
__noinline int is_loaded(u32 aio)
{
	struct load load = {bpf_ktime_get_ns() + 5000000000, aio, 0};
	if (load_state(aio) == ABSENT) {
		u64 alarm = 0;
		if (aio)
			bpf_ringbuf_output(&aio_alarms, &alarm, sizeof(alarm), BPF_RB_FORCE_WAKEUP);
		else
			bpf_ringbuf_output(&uring_alarms, &alarm, sizeof(alarm),
					   BPF_RB_FORCE_WAKEUP);
		for (int i = 0; i < 32; i++)
			bpf_loop(1 << 23, is_decided, &load, 0);
	}
	return load_state(aio) == ATTACHED;
}
