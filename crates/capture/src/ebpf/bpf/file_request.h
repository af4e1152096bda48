/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests to user space: to read a file whose bytes the kernel moved itself. */
#pragma once
#include "plan.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} requests SEC(".maps");

/* The inode of a regular file; NULL of anything else. */
static __always_inline struct inode *regular(struct file *file)
{
	struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : 0;
	return inode && (BPF_CORE_READ(inode, i_mode) & 0170000) == 0100000 ? inode : 0;
}

#define IDENTITY_LESS_REQUEST (sizeof(struct identity) - sizeof(struct request))

struct served {
	u64 ticket, until;
};

/* Tickets that are served when it is decided whether operations of io_uring or libaio are recorded.
 */
#define UNTIL_URING (~0ULL)
#define UNTIL_AIO (~1ULL)

static __always_inline bool is_ticket_served(struct common_state *c, u64 ticket)
{
	if (ticket == UNTIL_URING)
		return *(volatile u64 *)&c->uring_state != ABSENT;
	if (ticket == UNTIL_AIO)
		return *(volatile u64 *)&c->aio_state != ABSENT;
	return *(volatile u64 *)&c->served >= ticket;
}

static long is_served(u32 i, void *ctx)
{
	struct served *w = ctx;
	struct common_state *c = common_state();
	return !c || is_ticket_served(c, w->ticket) || bpf_ktime_get_ns() >= w->until;
}

/*
 * Holds the thread until user space has read the file, before the thread can close or change it;
 * but not for ever. A thread that is held keeps its CPU, which user space may need, and another
 * thread that is held may keep the other one. So a thread is held for a short time after the call,
 * and again before each of its next calls, for a second in all (for two until operations of
 * io_uring or libaio can be recorded). Returns whether what it waited for has been done. Not
 * inline: the verifier checks it once.
 */
__noinline int await(u32 after)
{
	struct thread *t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	struct common_state *c = common_state();
	if (!c || !t)
		return 0;
	/* A thread that is to be stopped should not reach its next call, nor store to a mapping. */
	u64 at_first = t->ticket >= UNTIL_AIO || t->maps ? 20000000 : c->file_wait_ns;
	struct served w = {t->ticket, bpf_ktime_get_ns() + (after ? at_first : 50000000)};
	if (c->file_wait_ns)
		bpf_loop(1 << 22, is_served, &w, 0);
	t->waits--;
	bool served = is_ticket_served(c, t->ticket);
	bool is_uring = t->ticket == UNTIL_URING, is_aio = t->ticket == UNTIL_AIO;
	if (!served && t->waits && (c->file_wait_ns || is_uring || is_aio))
		return 0;
	if (!served && is_uring)
		c->uring_late = 1;
	if (!served && is_aio)
		c->aio_late = 1;
	t->ticket = 0;
	return served;
}

/* Where a request is built: behind it stands the path of a file that was described. */
static __always_inline struct request *request_in(struct scratch *s)
{
	return (void *)(s->bytes + IDENTITY_LESS_REQUEST);
}

/*
 * Sends the request, which has `len` bytes with the path, and waits until it is served. Returns
 * whether it has been.
 */
__noinline int request(u32 len)
{
	struct thread *me = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	struct common_state *c = common_state();
	struct scratch *s = scratch();
	if (!c || !me || !s)
		return 0;
	/* Counted before it can be seen, and read afterwards: once so many are served, it is. */
	__sync_fetch_and_add(&c->asked, 1);
	barrier_var(len);
	if (len > SCRATCH ||
	    bpf_ringbuf_output(&requests, request_in(s), len, BPF_RB_FORCE_WAKEUP)) {
		__sync_fetch_and_add(&c->served, 1);
		__sync_fetch_and_add(&c->refused, 1);
		return 0;
	}
	me->ticket = *(volatile u64 *)&c->asked;
	me->waits = 20;
	return await(true);
}

/*
 * Bytes that the kernel moved between files itself. User space is asked to read them: from where
 * they came or, if they are not kept there, from where they went.
 */
__noinline int file(void)
{
	struct scratch *s = scratch();
	const struct step *t = s ? step_of_plan(s, s->step) : 0;
	if (!t)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	u64 pointer = argument(s, t->arg2), wanted = length(), n = moved(s), after = n;
	bool whole = t->from == FIXED && t->unit == 0xffffffff;
	struct {
		s64 fd;
		u64 from, len;
	} range = {(s32)argument(s, t->arg)};
	if (t->what == W_RANGE &&
	    bpf_probe_read_user(&range, sizeof(range), (void *)argument(s, t->arg)))
		return 0;
	struct file *file = open_file(task, range.fd);
	struct inode *inode = regular(file);
	if (!inode)
		return 0;
	if (t->what == W_LANDED) {
		struct inode *source = regular(open_file(task, (s32)argument(s, t->arg3)));
		if (!n || (source && (u64)BPF_CORE_READ(source, i_size) >= n))
			return 0;
	}
	if (t->what == W_RANGE) {
		after = range.from;
		n = 0;
		wanted = range.len;
		whole = !wanted;
	} else if (t->arg2 == OWN || (t->arg2 != NONE && !pointer)) {
		after = BPF_CORE_READ(file, f_pos);
	} else if (t->arg2 != NONE && bpf_probe_read_user(&after, sizeof(after), (void *)pointer)) {
		return 0;
	}
	/* The file's path goes with the request, which stands where the identity stood before it.
	 */
	flush(s);
	u32 len = describe_file(s, file) - IDENTITY_LESS_REQUEST;
	*request_in(s) = (struct request){
		.pid = s->head.pid,
		.tid = s->head.tid,
		.entered = s->head.entered,
		.limit = t->limit,
		.nr = s->head.nr,
		.fd = range.fd,
		.arg = t->arg,
		.from = after > n ? after - n : 0,
		.wanted = wanted,
		.how = (whole ? TO_THE_END : 0) | (t->what == W_LANDED ? WRITTEN_THERE : 0),
		.ino = BPF_CORE_READ(inode, i_ino),
	};
	/*
	 * What is read comes into a journal in the order of requests: no call whose request is
	 * before this one may have begun after this one returned.
	 */
	s->head.left = bpf_ktime_get_ns();
	request(len);
	return 0;
}
