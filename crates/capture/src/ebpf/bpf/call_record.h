/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The records of one call or operation, from its first step to its last. */
#pragma once
#include "scope.h"
#include "steps.h"

/* Begins to build records of the call that `t` describes, by process `pid`. */
static __always_inline void head(struct scratch *s, u32 pid, const struct thread *t)
{
	s->head.pid = pid;
	s->head.tid = t->tid;
	s->head.nr = t->nr;
	s->head.flags = t->flags;
	s->head.entered = t->entered;
	s->head.ret = 0;
	__builtin_memcpy(s->head.args, t->args, sizeof(t->args));
	s->head.fd_snapshot = t->fd_snapshot;
	s->plan = t->plan;
	s->staged = 0;
	s->sum = 0;
	s->broken = 0;
	s->retry = 0;
	s->late = 0;
	s->incomplete = t->incomplete;
}

/* The last record of a call, with the staged payload. */
static __always_inline void call(struct scratch *s)
{
	if (emit(CALL)) {
		send_readable_part();
		s->staged = 0;
		emit(CALL);
	}
	end_record(s);
}

/* Takes the steps that could not be taken before the call. */
static __always_inline void again(struct scratch *s, u32 retry)
{
	s->phase = ENTRY;
	s->late = 1;
	for (u32 i = 0; i < STEPS; i++)
		if (retry & 1u << i)
			take_step(i);
	flush(s);
}

/*
 * Takes the steps of an operation that were put off until its completion, whose result is known; of
 * one that failed, no data.
 */
static __always_inline void take_put_off(struct scratch *s, const struct plan *p, u32 retry)
{
	if (s->head.ret < 0)
		for (u32 i = 0; i < STEPS; i++)
			if (p->steps[ENTRY][i].flags & DATA)
				retry &= ~(1u << i);
	if (retry)
		again(s, retry);
}

/* Counts operations that are lost. */
static __always_inline void lose(u64 count)
{
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = bpf_map_lookup_elem(&cpus, &at);
	if (cpu)
		cpu->seq += count;
}
