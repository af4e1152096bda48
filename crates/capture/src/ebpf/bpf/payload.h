/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The payloads of a record: from the program's memory, or from the scratch memory. */
#pragma once
#include "ring.h"

static __always_inline void stage(struct scratch *s, u32 arg, u32 kind, u64 len, u64 wanted)
{
	s->payload.arg = arg;
	s->payload.kind = kind;
	s->payload.flags = (s->phase != ENTRY ? AT_EXIT : 0) | (len >= wanted ? 0
								: s->broken   ? UNREADABLE
									      : CUT);
	s->payload.len = len;
	s->payload.wanted = wanted;
	s->staged = 1;
}

/* Sends the next chunk of a memory range as a part; if it cannot be read whole, page by page. */
static long one_chunk(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct memory_range *a = s ? &s->memory_range : 0;
	if (!a || !a->rest)
		return 1;
	u64 upto = a->paged ? 4096 - (a->addr & 4095) : chunk_bytes;
	u32 len = a->rest < upto ? a->rest : upto;
	s->source = FROM_USER;
	s->addr = a->addr;
	stage(s, a->what & 255, a->what >> 8, len, len);
	if (emit(PART)) {
		s->staged = 0;
		if (a->paged)
			return 1;
		a->paged = 1;
		return 0;
	}
	a->addr += len;
	a->rest -= len;
	return 0;
}

/*
 * The staged payload could not be read whole. Sends what can be read from its beginning, and a
 * payload that says how much could not.
 */
static __always_inline void send_readable_part_inline(struct scratch *s)
{
	s->staged = 0;
	if (s->phase == ENTRY && !s->late) {
		s->retry |= 1u << (s->step & 31);
		return;
	}
	u64 wanted = s->payload.wanted, len = s->payload.len;
	s->memory_range =
		(struct memory_range){s->addr, len, 1, s->payload.arg | s->payload.kind << 8};
	bpf_loop((1 << 20) / 4096 + 2, one_chunk, 0, 0);
	stage(s, s->payload.arg, s->payload.kind, 0, wanted - len + s->memory_range.rest);
	s->payload.flags = (s->payload.flags & ~CUT) | UNREADABLE;
	s->broken = 1 << 16 | s->payload.arg | s->payload.kind << 8;
	emit(PART);
}

/* The same; rare and called from many places: not inline, so that the verifier checks it once. */
__noinline int send_readable_part(void)
{
	struct scratch *s = scratch();
	if (s)
		send_readable_part_inline(s);
	return 0;
}

/* Sends the staged payload as a part of the call. */
static __always_inline void flush(struct scratch *s)
{
	if (s->staged && emit(PART))
		send_readable_part();
}

/*
 * Stages `take` of `wanted` bytes of the program's memory; all but the last chunk are sent at once.
 * `what`: argument | kind << 8.
 */
__noinline int from_user(u32 what, u64 addr, u64 take, u64 wanted)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	/* The verifier follows no more than eight calls within each other. */
	if (s->staged && emit(PART))
		send_readable_part_inline(s);
	if (s->broken == (1 << 16 | what))
		take = 0;
	else
		s->broken = 0;
	struct memory_range *a = &s->memory_range;
	*a = (struct memory_range){addr, take, 0, what};
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = take > room_bytes / 8 ? bpf_map_lookup_elem(&cpus, &at) : 0;
	if (cpu)
		cpu->long_calls++;
	if (take > chunk_bytes) {
		u64 last = take % chunk_bytes ?: chunk_bytes;
		a->rest = take - last;
		bpf_loop(1 << 20, one_chunk, 0, 0);
		/* If reading stopped early, the rest begins there, and its readable part is sent.
		 */
		a->rest += last;
	}
	s->source = FROM_USER;
	s->addr = a->addr;
	stage(s, what & 255, what >> 8, a->rest, a->rest + (wanted - take));
	if (a->rest > chunk_bytes)
		send_readable_part_inline(s);
	return 0;
}

/*
 * Stages bytes of the scratch memory, `what` as above. They must be sent before others are put
 * there.
 */
__noinline int from_scratch(u32 what, u32 len, u64 wanted)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	s->source = FROM_SCRATCH;
	stage(s, what & 255, what >> 8, len, wanted);
	return 0;
}
