/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the probe that records operations of libaio. It is loaded when a context is created,
 * and shares the maps of engine.bpf.c.
 *
 * There is no event of an operation's completion, and the program can take it from the context's
 * ring without a call. So the rings of a process are looked at when it leaves the kernel, and
 * before it submits operations, which alone lets the kernel use an event's place again.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#define NO_MESSAGES
#include "aio_block.h"
#include "registers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Whether the program may have taken the event at this place of the ring. */
static __always_inline bool is_taken(const struct aio_ring *ring, u32 at)
{
	u32 nr = ring->nr;
	if (!nr)
		return true;
	u32 after_head = (at + nr - ring->head % nr) % nr;
	u32 present = (ring->tail % nr + nr - ring->head % nr) % nr;
	return after_head >= present;
}

/* The last record of the operation with this id. `ring`: of its context, where its event is at
 * place `at`; 0: the current call returns the event. */
static __always_inline void complete(struct aio_work *w, struct block *b, u64 ring, u32 at)
{
	struct scratch *s = scratch();
	u32 plan = b->call.plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &plan);
	if (!s || !p)
		return;
	head(s, b->pid, &b->call);
	s->head.left = bpf_ktime_get_ns();
	s->head.ret = w->event.res;
	bool reads_memory = b->call.retry || p->count[EXIT];
	take_put_off(s, p, b->call.retry);
	s->phase = EXIT;
	s->late = 0;
	for (u32 i = 0; i < STEPS && i < p->count[EXIT]; i++)
		take_step(i);
	if (ring && reads_memory) {
		flush(s);
		if (bpf_probe_read_user(&w->ring, sizeof(w->ring), (void *)ring) ||
		    is_taken(&w->ring, at))
			s->head.flags |= TAKEN;
	}
	call(s);
}

/* Returns whether the event has to be looked at again: its data are being captured. */
static __always_inline bool complete_event(struct aio_work *w, u64 ring, u32 at)
{
	struct block_id id = {w->pid, w->event.obj};
	struct block *b = bpf_map_lookup_elem(&blocks, &id);
	if (!b)
		return false;
	u32 state = b->state;
	if (state == COMPLETING)
		return false;
	if (state == CAPTURING ||
	    __sync_val_compare_and_swap(&b->state, state, COMPLETING) != state)
		return true;
	complete(w, b, ring, at);
	bpf_map_delete_elem(&blocks, &id);
	return false;
}

/* Looks at the next event of a context's ring, or goes to the next context. */
static long look_on(u32 i, void *ctx)
{
	struct aio_work *w = aio_work();
	struct aio_process *p = w ? bpf_map_lookup_elem(&aio_processes, &w->pid) : 0;
	if (!p)
		return 1;
	u32 n = w->at;
	if (n >= CONTEXTS)
		return 1;
	struct aio_context *c = &p->contexts[n];
	u64 addr = c->addr, seen = c->seen;
	if (!addr || (!w->ring.nr && bpf_probe_read_user(&w->ring, sizeof(w->ring), (void *)addr)))
		goto next;
	u32 nr = w->ring.nr;
	if (!nr || nr > MOST_EVENTS || w->ring.magic != RING_MAGIC)
		goto next;
	u32 at = seen % nr;
	if (at == w->ring.tail % nr)
		goto next;
	u64 from = addr + w->ring.header_length + (u64)at * sizeof(w->event);
	if (bpf_probe_read_user(&w->event, sizeof(w->event), (void *)from)) {
		/* The program has not touched this part of the ring, so a call takes the event. */
		if (!is_taken(&w->ring, at))
			goto next;
	} else if (complete_event(w, addr, at)) {
		goto next;
	}
	__sync_val_compare_and_swap(&c->seen, seen, seen + 1);
	return 0;
next:
	w->ring.nr = 0;
	w->at = n + 1;
	return 0;
}

/* Looks at the rings of the current process. */
static __always_inline void look(struct aio_work *w)
{
	w->at = 0;
	w->ring.nr = 0;
	bpf_loop(MOST_EVENTS, look_on, 0, 0);
}

/* An event that the current call returns. */
static long take_returned(u32 i, void *ctx)
{
	struct aio_work *w = aio_work();
	if (!w || bpf_probe_read_user(&w->event, sizeof(w->event),
				      (void *)(w->array + (u64)i * sizeof(w->event))))
		return 1;
	complete_event(w, 0, 0);
	return 0;
}

/* Remembers a context. `seen`: so many of its events belong to operations that are not known. */
static __always_inline void add_context(struct aio_work *w, u64 addr, u64 seen)
{
	struct aio_process *p = bpf_map_lookup_elem(&aio_processes, &w->pid);
	if (!p) {
		bpf_map_update_elem(&aio_processes, &w->pid, &w->none, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&aio_processes, &w->pid);
	}
	if (!p)
		return;
	for (u32 i = 0; i < CONTEXTS; i++)
		if (p->contexts[i].addr == addr)
			return;
	for (u32 i = 0; i < CONTEXTS; i++)
		if (!__sync_val_compare_and_swap(&p->contexts[i].addr, 0, addr)) {
			p->contexts[i].seen = seen;
			return;
		}
}

static __always_inline void remove_context(struct aio_work *w, u64 addr)
{
	struct aio_process *p = bpf_map_lookup_elem(&aio_processes, &w->pid);
	bool is_used = false;
	if (!p)
		return;
	for (u32 i = 0; i < CONTEXTS; i++)
		if (p->contexts[i].addr == addr)
			p->contexts[i].addr = 0;
		else if (p->contexts[i].addr)
			is_used = true;
	if (!is_used)
		bpf_map_delete_elem(&aio_processes, &w->pid);
}

/* Reads the address of number `i` of the blocks that are submitted. */
static __always_inline bool read_id(struct aio_work *w, u32 i, struct block_id *id)
{
	id->pid = w->pid;
	id->addr = 0;
	return !bpf_probe_read_user(&id->addr, sizeof(id->addr), (void *)(w->array + i * 8ULL));
}

/* Begins an operation, before the kernel has it. */
static long begin_block(u32 i, void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct aio_work *w = aio_work();
	struct scratch *s = scratch();
	struct block_id id;
	if (!w || !s || !read_id(w, i, &id))
		return 1;
	struct iocb *iocb = &w->iocb;
	if (bpf_probe_read_user(iocb, sizeof(*iocb), (void *)id.addr))
		return 0;
	u32 opcode = iocb->opcode;
	struct opcode *of = bpf_map_lookup_elem(&aio_opcodes, &opcode);
	u32 at = of ? of->plan : 0;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	if (!of || !at || !p)
		return 0;
	struct block *b = &w->block;
	__builtin_memset(b, 0, sizeof(*b));
	b->call.entered = w->begin + i;
	for (u32 n = 0; n < 6; n++)
		b->call.args[n] = iocb_field(iocb, of->fields[n]);
	b->call.nr = AIO_NUMBERS + opcode;
	b->call.tid = task->pid;
	b->call.plan = at;
	b->pid = w->pid;
	b->state = p->count[ENTRY] ? BEGUN : SUBMITTED;
	b->call.retry = (1u << (p->count[ENTRY] & 31)) - 1;
	take_fd_snapshot(task, iocb->fd, &b->call.fd_snapshot);
	struct block *old = bpf_map_lookup_elem(&blocks, &id);
	if (old) {
		/* Its completion was not seen, and the program uses the block again. */
		head(s, old->pid, &old->call);
		s->head.flags |= NO_EXIT;
		s->head.left = w->begin;
		call(s);
	}
	if (bpf_map_update_elem(&blocks, &id, b, BPF_ANY))
		lose(1);
	return 0;
}

/*
 * The call that submits has returned: captures what the operation writes, unless it has completed.
 * The kernel did not take the operations from `ret` on.
 */
static long submit_block(u32 i, void *ctx)
{
	struct aio_work *w = aio_work();
	struct scratch *s = scratch();
	struct block_id id;
	if (!w || !s || !read_id(w, i, &id))
		return 1;
	struct block *b = bpf_map_lookup_elem(&blocks, &id);
	if (!b)
		return 0;
	if ((s64)i >= w->ret) {
		bpf_map_delete_elem(&blocks, &id);
		return 0;
	}
	u32 at = b->call.plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	if (!p || __sync_val_compare_and_swap(&b->state, BEGUN, CAPTURING) != BEGUN)
		return 0;
	head(s, b->pid, &b->call);
	s->head.left = b->call.entered;
	s->phase = ENTRY;
	for (u32 n = 0; n < STEPS && n < p->count[ENTRY]; n++)
		take_step(n);
	flush(s);
	b->call.retry = s->retry;
	b->call.incomplete = s->incomplete;
	*(volatile u32 *)&b->state = SUBMITTED;
	return 0;
}

static __always_inline u32 use_of(u64 nr)
{
	u32 at = nr;
	struct number *n = nr >> 32 ? 0 : bpf_map_lookup_elem(&numbers, &at);
	return n ? n->aio : 0;
}

/* Whether the current thread is recorded, and its calls have the numbers of this machine. */
static __always_inline bool is_recorded(struct task_struct *task)
{
	struct thread *t = bpf_task_storage_get(&threads, task, 0, 0);
	return t && !t->launching && !is_compat(task);
}

static __always_inline u32 submitted_at_most(const struct aio_work *w)
{
	return (s64)w->args[1] < 0 ? 0 : w->args[1] < MOST_EVENTS ? w->args[1] : MOST_EVENTS;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_aio_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 use = use_of(nr);
	if (use != AIO_SUBMIT && use != AIO_DESTROY && use != AIO_LAST_LOOK)
		return 0;
	struct aio_work *w = aio_work();
	if (!w || !is_recorded(task))
		return 0;
	w->pid = task->tgid;
	registers(regs, false, w->args);
	look(w);
	if (use != AIO_SUBMIT)
		return 0;
	struct aio_ring *ring = &w->ring;
	u64 addr = w->args[0];
	/*
	 * A context that was created before these programs were there. If its ring was never
	 * touched, it was not used: the kernel reads the ring of each call's context.
	 */
	if (bpf_probe_read_user(ring, sizeof(*ring), (void *)addr))
		add_context(w, addr, 0);
	else if (ring->magic == RING_MAGIC && ring->nr)
		add_context(w, addr, ring->tail % ring->nr);
	w->array = w->args[2];
	w->begin = bpf_ktime_get_ns();
	bpf_loop(submitted_at_most(w), begin_block, 0, 0);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_aio_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 pid = task->tgid, use = use_of(regs->orig_ax);
	if (use != AIO_CREATE && !bpf_map_lookup_elem(&aio_processes, &pid))
		return 0;
	struct aio_work *w = aio_work();
	if (!w || !is_recorded(task))
		return 0;
	w->pid = pid;
	w->ret = ret;
	registers(regs, false, w->args);
	if (use == AIO_CREATE) {
		u64 addr = 0;
		if (!ret && !bpf_probe_read_user(&addr, sizeof(addr), (void *)w->args[1]))
			add_context(w, addr, 0);
		return 0;
	}
	if (use == AIO_SUBMIT) {
		w->array = w->args[2];
		bpf_loop(submitted_at_most(w), submit_block, 0, 0);
	} else if (use == AIO_REAP && ret > 0) {
		w->array = w->args[3];
		bpf_loop(ret < MOST_EVENTS ? ret : MOST_EVENTS, take_returned, 0, 0);
	}
	look(w);
	if (use == AIO_DESTROY && !ret)
		remove_context(w, w->args[0]);
	return 0;
}

/* The contexts of a process that begins another program or ends are gone. */
static __always_inline void forget(struct task_struct *task)
{
	u32 pid = task->tgid;
	bpf_map_delete_elem(&aio_processes, &pid);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_aio_exec, struct task_struct *task)
{
	forget(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_aio_end, struct task_struct *task)
{
	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		forget(task);
	return 0;
}
