/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interprets the steps of a plan, with the same outcome as crates/capture/src/ptrace/steps.rs,
 * which says why each bound is what it is. It names no call.
 */
#pragma once
#include "file_request.h"
#include "messages.h"
#include "strings.h"

static __always_inline void bytes_of(struct scratch *s, const struct step *t)
{
	u64 n = length();
	if (n)
		from_user(t->arg | (t->flags & DATA ? DATA_PAYLOAD : BYTES) << 8,
			  argument(s, t->arg), min(n, t->limit), n);
}

static __always_inline void identity_of(struct scratch *s, const struct step *t)
{
	struct task_struct *task = bpf_get_current_task_btf();
	flush(s);
	u32 n = 0;
	if (t->arg == WORKING_DIRECTORY)
		n = directory(s, task, false);
	else if (t->arg == ROOT_DIRECTORY)
		n = directory(s, task, true);
	else
		n = descriptor(s, task, t->arg == RESULT ? s->head.ret : (s32)argument(s, t->arg));
	if (n)
		from_scratch(t->arg | IDENTITY << 8, n, n);
}

/*
 * Takes step number `i` of the call's plan, at the end of it that `s->phase` says. The verifier
 * checks this once for each program, however often it is called.
 */
__noinline int take_step(u32 i)
{
	struct scratch *s = scratch();
	const struct step *t = s ? step_of_plan(s, i) : 0;
	if (!t)
		return 0;
	bool after = s->phase != ENTRY;
	if (after && failed(s) && t->when == EXIT)
		return 0;
	s->step = i;
	s->broken = 0;
	if (t->what == W_IDENTITY)
		identity_of(s, t);
	else if (t->what == W_FILE || t->what == W_LANDED || t->what == W_RANGE)
		return after ? file() : 0;
	else if (!argument(s, t->arg))
		return 0;
	else if (t->what == W_BYTES)
		bytes_of(s, t);
	else if (t->what == W_STRING)
		string_of(s, t);
	else if (t->what == W_STR_VEC)
		strings_of(s, t);
	else if (t->what == W_IOV)
		vectors_of(s, t);
#ifndef NO_MESSAGES
	else if (t->what == W_IOCBS)
		blocks_of(s, t);
	else
		messages_of(s, t);
#endif
	return 0;
}
