/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes records into the ring of this CPU. A record holds one payload at most; a call with several
 * comes as parts, and the last payload is in the call's own record.
 *
 * Invariant: programs run with preemption off, so a program has the scratch memory of its CPU for
 * itself, and sequence numbers of a CPU are in the order of its records in its ring.
 */
#pragma once
#include "scratch.h"

/* Set by user space before loading. */
const volatile bool dynptrs = true;
const volatile bool drops = false;
const volatile u32 recorder = 0;
/* Set before attaching: they depend on other recorders, which show once this is loaded. */
volatile u64 ring_bytes = 64 << 20;
/* What the ring can hold: more than `ring_bytes`, for the rest of calls under way. */
volatile u64 room_bytes = 64 << 20;
volatile u32 chunk_bytes = 1 << 20;
/*
 * The programs are attached one after the other, and detached so. A call counts if it begins while
 * all of them are there: not before, and not once we are leaving.
 */
enum watching { NOT_YET, WATCHING, LEAVING };
volatile u32 watching = NOT_YET;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_state);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct common_state);
} common SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} alarms SEC(".maps");

extern int bpf_probe_read_user_dynptr(struct bpf_dynptr *to, u32 off, u32 size, const void *from)
	__ksym __weak;

#include "back_pressure.h"

/* The wakeup flag of this record: whether it wakes the consumer. */
static __always_inline u64 waking(struct cpu_state *cpu, u64 waiting)
{
	if (waiting < cpu->wake_at)
		return BPF_RB_NO_WAKEUP;
	cpu->wake_at = ~0ULL;
	return BPF_RB_FORCE_WAKEUP;
}

#define HEADS (sizeof(struct header) + sizeof(struct payload))

static __always_inline int fill(struct scratch *s, void *record, u32 size, u32 len)
{
	__builtin_memcpy(record, &s->head, HEADS);
	if (!s->staged || !len)
		return 0;
	/*
	 * Hidden from the compiler, which would turn the bounds into bit operations that older
	 * verifiers do not understand.
	 */
	u32 pad = len & ~7u;
	barrier_var(len);
	barrier_var(pad);
	if (len > size || pad > size)
		return -1;
	*(u64 *)(record + HEADS + pad) = 0;
	if (s->source == FROM_USER)
		return bpf_probe_read_user(record + HEADS, len, (void *)s->addr);
	return bpf_probe_read_kernel(record + HEADS,
				     len < sizeof(s->bytes) ? len : sizeof(s->bytes), s->bytes);
}

/*
 * For kernels without copies of run-time size into the ring: the smallest reservation that holds
 * the record.
 */
#define TRY(size)                                                                \
	if (len <= (size)) {                                                     \
		void *record = bpf_ringbuf_reserve(ring, HEADS + (size) + 8, 0); \
		if (!record)                                                     \
			return 1;                                                \
		if (fill(s, record, size, len)) {                                \
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);           \
			return -1;                                               \
		}                                                                \
		bpf_ringbuf_submit(record, wake);                                \
		return 0;                                                        \
	}

static __always_inline int put_chunked(struct scratch *s, void *ring, u32 len, u64 wake)
{
	TRY(64)
	TRY(512)
	TRY(4096)
	TRY(16384)
	TRY(65536)
	return -1;
}

static __always_inline int put_dynptr(struct scratch *s, void *ring, u32 len, u64 wake)
{
	struct bpf_dynptr record;
	u64 zeros = 0;
	int bad = 0;
	if (bpf_ringbuf_reserve_dynptr(ring, s->head.len, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 1;
	}
	if (s->staged) {
		bpf_dynptr_write(&record, 0, &s->head, HEADS, 0);
		if (len & 7)
			bpf_dynptr_write(&record, HEADS + (len & ~7u), &zeros, sizeof(zeros), 0);
		if (s->source == FROM_USER)
			bad = len ? bpf_probe_read_user_dynptr(&record, HEADS, len, (void *)s->addr)
				  : 0;
		else
			bad = bpf_dynptr_write(&record, HEADS, s->bytes,
					       len < sizeof(s->bytes) ? len : sizeof(s->bytes), 0);
	} else {
		bpf_dynptr_write(&record, 0, &s->head, sizeof(s->head), 0);
	}
	if (bad)
		bpf_ringbuf_discard_dynptr(&record, BPF_RB_NO_WAKEUP);
	else
		bpf_ringbuf_submit_dynptr(&record, wake);
	return bad ? -1 : 0;
}

/*
 * Emits a record of this kind with the staged payload, if there is one. -1: the payload's memory
 * could not be read, and there is no record.
 */
__noinline int emit(u32 kind)
{
	struct scratch *s = scratch();
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = bpf_map_lookup_elem(&cpus, &at);
	void *ring = bpf_map_lookup_elem(&rings, &at);
	if (!s || !cpu || !ring)
		return 0;
	if (s->incomplete) {
		s->staged = 0;
		return 0;
	}
	u32 len = s->staged ? s->payload.len : 0;
	s->head.kind = kind;
	s->head.cpu = at;
	s->head.payloads = s->staged ? 1 : 0;
	s->head.len = s->staged ? HEADS + ((len + 7) & ~7u) : sizeof(s->head);
	u64 waiting = throttle(s, cpu, ring, kind);
	if (kind == PART && waiting >= room_bytes / 4)
		cpu->long_calls++;
	s->head.seq = cpu->seq;
	u64 wake = waking(cpu, waiting);
	int outcome = dynptrs ? put_dynptr(s, ring, len, wake) : put_chunked(s, ring, len, wake);
	if (outcome < 0)
		return -1;
	s->staged = 0;
	if (outcome == 0)
		cpu->seq++;
	else
		s->incomplete = 1;
	return 0;
}

/*
 * Ends the records of a call or an event. If one of them found no room, the later ones are not
 * emitted either, and one sequence number is left out: the gaps count the calls and events that are
 * missing.
 */
static __always_inline void end_record(struct scratch *s)
{
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = s->incomplete ? bpf_map_lookup_elem(&cpus, &at) : 0;
	if (!cpu)
		return;
	cpu->seq++;
	s->incomplete = 0;
}
