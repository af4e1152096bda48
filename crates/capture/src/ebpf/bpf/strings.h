/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Strings, and vectors of strings. */
#pragma once
#include "plan.h"

static long one_string_chunk(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct string *a = s ? &s->string : 0;
	u8 next = 0;
	if (!a)
		return 1;
	flush(s);
	long n = bpf_probe_read_user_str(s->bytes, STRING_BYTES, (void *)a->addr);
	if (n < 0 || n > STRING_BYTES) {
		a->bad = 1;
		return 1;
	}
	if (n > 0)
		n--;
	if (n == STRING_BYTES - 1)
		bpf_probe_read_user(&next, 1, (void *)(a->addr + n));
	from_scratch(a->arg | STRING << 8, n, n);
	a->addr += n;
	a->total += n;
	return next == 0;
}

static __always_inline void unreadable(struct scratch *s, u32 arg, u32 kind)
{
	from_scratch(arg | kind << 8, 0, 1);
	s->payload.flags = (s->payload.flags & ~CUT) | UNREADABLE;
}

/*
 * What could not be read before the call is tried again after it. What cannot be read then either
 * is marked.
 */
static __always_inline void unread(struct scratch *s, u32 arg, u32 kind, u64 total)
{
	if (s->phase == ENTRY && !s->late && !total) {
		s->staged = 0;
		s->retry |= 1u << (s->step & 31);
		return;
	}
	flush(s);
	unreadable(s, arg, kind);
}

/* One pointer of a vector and its string, or as much of it as the scratch memory holds. */
static long one_of_strings(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct strings *a = s ? &s->strings : 0;
	u8 more = 0;
	if (!a)
		return 1;
	u32 at = a->at;
	if (at >= SCRATCH) {
		from_scratch(a->arg | STR_VEC << 8, at, at);
		flush(s);
		a->sent += at;
		a->at = at = 0;
	}
	a->bad = 1;
	if (!a->cursor) {
		if (bpf_probe_read_user(&a->cursor, sizeof(a->cursor), (void *)a->next))
			return 1;
		a->next += sizeof(a->cursor);
	}
	if (a->cursor) {
		long n = bpf_probe_read_user_str(s->bytes + at, STRING_BYTES, (void *)a->cursor);
		if (n <= 0)
			return 1;
		if (n == STRING_BYTES)
			bpf_probe_read_user(&more, 1, (void *)(a->cursor + n - 1));
		if (more)
			n--;
		a->cursor = more ? a->cursor + n : 0;
		a->at = at + n;
		a->bad = 0;
		return 0;
	}
	a->at = at;
	a->bad = 0;
	return 1;
}

static __always_inline void string_of(struct scratch *s, const struct step *t)
{
	s->string = (struct string){argument(s, t->arg), 0, t->arg, 0};
	bpf_loop(1 << 10, one_string_chunk, 0, 0);
	if (s->string.bad)
		unread(s, t->arg, STRING, s->string.total);
}

static __always_inline void strings_of(struct scratch *s, const struct step *t)
{
	struct strings *a = &s->strings;
	*a = (struct strings){argument(s, t->arg), 0, 0, t->arg, 0, 0};
	flush(s);
	bpf_loop(1 << 18, one_of_strings, 0, 0);
	u32 n = a->at;
	if (a->bad && s->phase == ENTRY && !s->late && !a->sent) {
		s->retry |= 1u << (s->step & 31);
		return;
	}
	from_scratch(t->arg | STR_VEC << 8, n, n);
	if (a->bad)
		unread(s, t->arg, STR_VEC, a->sent + n);
}
