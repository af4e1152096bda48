/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number and the arguments of a call. */
#pragma once
#include "record.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct number);
} numbers SEC(".maps");

enum { TS_COMPAT = 2 };

static __always_inline bool is_compat(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

static __always_inline void registers(struct pt_regs *regs, bool compat, u64 args[6])
{
	args[0] = compat ? (u32)regs->bx : regs->di;
	args[1] = compat ? (u32)regs->cx : regs->si;
	args[2] = compat ? (u32)regs->dx : regs->dx;
	args[3] = compat ? (u32)regs->si : regs->r10;
	args[4] = compat ? (u32)regs->di : regs->r8;
	args[5] = compat ? (u32)regs->bp : regs->r9;
}
