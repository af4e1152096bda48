/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The plan of a call: its steps, and how many bytes each of them takes. */
#pragma once
#include "identity.h"
#include "scope.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct plan);
} plans SEC(".maps");

#define MAX_DATA 0x7ffff000ULL
#define MAX_INPUT (16ULL << 20)
#define MAX_RETURNED (1ULL << 20)

static __always_inline u64 min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static __always_inline u64 argument(const struct scratch *s, u32 n)
{
	return n < 6 ? s->head.args[n] : 0;
}

static __always_inline bool failed(const struct scratch *s)
{
	return s->phase != ENTRY && s->head.ret < 0 && s->head.ret >= -4095;
}

static __always_inline u64 moved(const struct scratch *s)
{
	return s->phase == ENTRY ? ~0ULL : s->head.ret > 0 ? s->head.ret : 0;
}

static __always_inline u32 read_u32(u64 addr)
{
	u32 value = 0;
	if (addr)
		bpf_probe_read_user(&value, sizeof(value), (void *)addr);
	return value;
}

/* `count` times `unit`, at most `most`. */
static __always_inline u64 times(u64 count, u64 unit, u64 most)
{
	return unit && count > most / unit ? most : count * unit;
}

static __always_inline const struct step *step_of_plan(struct scratch *s, u32 i)
{
	u32 at = s->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	return p && i < STEPS ? &p->steps[s->phase == ENTRY ? 0 : 1][i] : 0;
}

/* How many bytes the step wants. Not inline: the verifier checks it once for each program. */
__noinline u64 length(void)
{
	struct scratch *s = scratch();
	const struct step *t = s ? step_of_plan(s, s->step) : 0;
	u64 n = 0;
	if (!t)
		return 0;
	switch (t->from) {
	case FIXED:
		n = t->unit;
		break;
	case ARG:
		n = times(argument(s, t->len_arg), t->unit, t->flags & DATA ? MAX_DATA : MAX_INPUT);
		break;
	case RET:
		n = times(moved(s), t->unit, MAX_DATA);
		if (t->len_arg != NONE)
			n = min(n, times(argument(s, t->len_arg), t->unit, MAX_DATA));
		break;
	case DEREF:
		n = times(read_u32(argument(s, t->len_arg)), t->unit, MAX_RETURNED);
		break;
	case HEAD:
		n = min(t->base + times(read_u32(argument(s, t->arg) + t->len_arg), t->unit,
					MAX_RETURNED),
			MAX_RETURNED);
		break;
	case BITS:
		n = min(((argument(s, t->len_arg) & 0xffffffff) + 63) / 64 * 8, MAX_RETURNED);
		break;
	}
	return t->flags & CLAMP ? min(n, moved(s)) : n;
}
