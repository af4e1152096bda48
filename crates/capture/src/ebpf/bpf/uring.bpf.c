/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the probe that records operations of io_uring. It is loaded when a ring is created,
 * and shares the maps of engine.bpf.c.
 *
 * What an operation takes from the program's memory is captured when it is submitted, what it puts
 * there when it completes. The program may be anywhere then, so nothing is read from it in between.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "uring_operation.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * The last record of an operation. `addr`: where its data are, if the kernel selected the place.
 * `flags`: 0, or why its completion was not seen; then nothing that it put into memory is captured.
 */
static __always_inline void complete(struct operation *o, s64 result, u64 addr, u8 flags)
{
	struct scratch *s = scratch();
	u32 at = o->call.plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	if (!s || !p)
		return;
	head(s, o->pid, &o->call);
	s->head.left = bpf_ktime_get_ns();
	s->head.ret = result;
	s->head.flags |= flags;
	if (addr)
		s->head.args[1] = addr;
	take_put_off(s, p, o->call.retry);
	s->phase = EXIT;
	s->late = 0;
	for (u32 i = 0; i < STEPS && i < p->count[EXIT]; i++) {
		const struct step *step = &p->steps[EXIT][i];
		/* The result is no descriptor if the file was opened into the ring. */
		bool descriptor = step->what == W_IDENTITY && step->arg == RESULT;
		if (!flags && !(descriptor && o->direct))
			take_step(i);
	}
	call(s);
}

static long add_length(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	u64 len = 0;
	if (!s || bpf_probe_read_user(&len, sizeof(len), (void *)(s->vectors.addr + i * 16ULL + 8)))
		return 1;
	s->vectors.left += len;
	return 0;
}

/* What an operation with these arguments returns if it moves all that it was asked for. */
static __always_inline u64 asked(struct scratch *s, const struct opcode *of, const u64 args[6])
{
	if (!of->returns_bytes)
		return 0;
	if (!of->vectors)
		return args[2];
	s->vectors = (struct vectors){args[1]};
	bpf_loop(min(args[2], VECTORS), add_length, 0, 0);
	return s->vectors.left;
}

/*
 * Begins an operation, whose entry is in `new`. `follows`: other operations, which it waits
 * for, may put there what it writes; so its data are captured when it completes.
 */
static __always_inline void begin(struct io_kiocb *req, struct io_ring_ctx *uring,
				  struct new_operation *new, u32 ring, bool follows)
{
	const struct sqe *sqe = &new->sqe;
	struct task_struct *task = bpf_get_current_task_btf();
	u32 opcode = sqe->opcode;
	u64 key = (u64)req;
	struct operation *o = &new->operation;
	struct opcode *of = bpf_map_lookup_elem(&opcodes, &opcode);
	struct scratch *s = scratch();
	if (!of || !s || !of->plan)
		return;
	__builtin_memset(o, 0, sizeof(*o));
	o->call.entered = bpf_ktime_get_ns();
	for (u32 i = 0; i < 6; i++)
		o->call.args[i] = sqe_field(sqe, of->fields[i]);
	if (!of->fields[5])
		o->call.args[5] = sqe_word(sqe, ring);
	o->call.nr = URING_NUMBERS + opcode;
	o->call.tid = task->pid;
	o->call.plan = of->plan;
	o->pid = task->tgid;
	o->ctx = (u64)uring;
	o->user_data = sqe->user_data;
	o->sqe_flags = sqe->flags;
	o->direct = sqe->file_index != 0;
	o->asked = sqe->flags & SKIP_SUCCESS ? asked(s, of, o->call.args) : 0;
	o->multishot = of->multishot;
	u32 at = of->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	if (p && p->count[ENTRY]) {
		head(s, o->pid, &o->call);
		s->head.left = o->call.entered;
		s->phase = ENTRY;
		for (u32 i = 0; i < STEPS && i < p->count[ENTRY]; i++)
			if (follows && p->steps[ENTRY][i].flags & DATA)
				s->retry |= 1u << i;
			else
				take_step(i);
		flush(s);
		o->call.retry = s->retry;
		o->call.incomplete = s->incomplete;
	}
	if (bpf_map_update_elem(&operations, &key, o, BPF_ANY)) {
		lose(1);
		return;
	}
	if (of->multishot) {
		struct user_data of_ring = {(u64)uring, sqe->user_data};
		bpf_map_update_elem(&multishots, &of_ring, &key, BPF_ANY);
	}
}

/* A request is used again, so the operation that had it is over, though nothing said so. */
static __always_inline void end_unreported(struct io_kiocb *req)
{
	u64 key = (u64)req;
	struct operation *o = bpf_map_lookup_elem(&operations, &key);
	if (!o)
		return;
	bool skips = o->sqe_flags & SKIP_SUCCESS;
	complete(o, skips ? o->asked : 0, 0, skips ? BY_CONTRACT : NO_EXIT);
	bpf_map_delete_elem(&operations, &key);
}

static __always_inline int submitted(struct io_kiocb *req)
{
	struct io_ring_ctx *uring = BPF_CORE_READ(req, ctx);
	u64 key = (u64)uring;
	struct uring *ring = bpf_map_lookup_elem(&uring_scope, &key);
	struct new_operation *new = new_operation();
	if (!new)
		return 0;
	if (!ring) {
		/* A ring that was there before its process was recorded. */
		struct thread *t = thread_of(bpf_get_current_task_btf());
		if (t && !t->launching && add_ring(key, true))
			ring = bpf_map_lookup_elem(&uring_scope, &key);
	}
	if (!ring)
		return 0;
	/* Operations that were submitted before these programs were attached are lost. */
	if (!ring->is_seen)
		lose(BPF_CORE_READ(uring, cached_sq_head) - 1);
	ring->is_seen = 1;
	end_unreported(req);
	if (!read_sqe(uring, &new->sqe)) {
		lose(1);
		return 0;
	}
	bool follows = ring->is_chain || new->sqe.flags & AFTER_ALL;
	ring->is_chain = (new->sqe.flags &LINKS) != 0;
	begin(req, uring, new, ring->number, follows);
	return 0;
}

/* Until Linux 6.2, and from then on. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_submit_old, struct io_kiocb *req)
{
	return submitted(req);
}
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_submit, struct io_kiocb *req)
{
	return submitted(req);
}

/* An entry is refused before it is submitted. Its completion follows. */
SEC("tp_btf/io_uring_req_failed")
int BPF_PROG(on_refused, const void *entry, struct io_kiocb *req)
{
	struct io_ring_ctx *uring = BPF_CORE_READ(req, ctx);
	u64 key = (u64)uring, request = (u64)req;
	struct uring *ring = bpf_map_lookup_elem(&uring_scope, &key);
	struct new_operation *new = new_operation();
	if (!ring || !new || bpf_probe_read_kernel(&new->sqe, sizeof(new->sqe), entry))
		return 0;
	struct operation *o = bpf_map_lookup_elem(&operations, &request);
	if (o && o->user_data == new->sqe.user_data)
		return 0;
	end_unreported(req);
	begin(req, uring, new, ring->number, false);
	return 0;
}

/* A completion that comes with its request. */
static __always_inline int completed(struct io_kiocb *req, s32 result, u32 cqe_flags)
{
	u64 key = (u64)req;
	struct operation *o = bpf_map_lookup_elem(&operations, &key);
	if (!o)
		return 0;
	bool more = cqe_flags & CQE_MORE;
	if (!(cqe_flags & CQE_NOTIFICATION)) {
		struct file *file = BPF_CORE_READ(req, file);
		take_file_snapshot(file, &o->call.fd_snapshot);
		u64 moved = result > 0 ? result : 0;
		/* At the file offset of the open file, which has moved since. */
		if (o->call.args[3] == ~0ULL && o->call.fd_snapshot.offset >= moved)
			o->call.fd_snapshot.offset -= moved;
		u64 addr =
			o->sqe_flags & BUFFER_SELECT ? BPF_CORE_READ((struct io_rw *)req, addr) : 0;
		complete(o, result, addr, 0);
	}
	if (more) {
		o->call.entered = bpf_ktime_get_ns();
		o->call.retry = 0;
		o->call.incomplete = 0;
		return 0;
	}
	if (o->multishot) {
		struct user_data of_ring = {o->ctx, o->user_data};
		bpf_map_delete_elem(&multishots, &of_ring);
	}
	bpf_map_delete_elem(&operations, &key);
	return 0;
}

/* A completion without its request: one of many, or the queue of completions was full. */
static __always_inline int completed_by_number(void *uring, u64 user_data, s32 result,
					       u32 cqe_flags)
{
	struct user_data of_ring = {(u64)uring, user_data};
	u64 *req = bpf_map_lookup_elem(&multishots, &of_ring);
	return req ? completed((struct io_kiocb *)*req, result, cqe_flags) : 0;
}

/* Until Linux 6.12. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_complete_old, void *uring, void *req, u64 user_data, int result, u32 cqe_flags)
{
	if (req)
		return completed(req, result, cqe_flags);
	return completed_by_number(uring, user_data, result, cqe_flags);
}
SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_complete, void *uring, void *req, struct io_uring_cqe *cqe)
{
	s32 result = BPF_CORE_READ(cqe, res);
	u32 flags = BPF_CORE_READ(cqe, flags);
	if (req)
		return completed(req, result, flags);
	return completed_by_number(uring, BPF_CORE_READ(cqe, user_data), result, flags);
}

struct overflow {
	u64 ctx, user_data, req;
	s32 result;
};

/* Finds the request whose completion found the queue full. */
struct bpf_map;
static long has_overflowed(struct bpf_map *map, u64 *key, struct operation *o,
			   struct overflow *searched)
{
	if (o->ctx != searched->ctx || o->user_data != searched->user_data)
		return 0;
	s32 result = BPF_CORE_READ((struct io_kiocb *)*key, cqe.res);
	searched->req = *key;
	return result == searched->result;
}

/* The queue of completions was full: the kernel keeps the completion elsewhere, without a request.
 */
SEC("tp_btf/io_uring_cqe_overflow")
int BPF_PROG(on_overflow, void *uring, u64 user_data, s32 result, u32 cqe_flags)
{
	u64 key = (u64)uring;
	if (!bpf_map_lookup_elem(&uring_scope, &key))
		return 0;
	struct overflow searched = {(u64)uring, user_data, 0, result};
	bpf_for_each_map_elem(&operations, has_overflowed, &searched, 0);
	return searched.req ? completed((struct io_kiocb *)searched.req, result, cqe_flags) : 0;
}
