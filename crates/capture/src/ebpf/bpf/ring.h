/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records on their way into the ring of this CPU. A record holds one piece at most; a call with several comes as parts, and the last piece is in the call's own record.
 *
 * Invariant: programs run with preemption off, so whoever holds the scratch memory of a CPU is alone there; sequence numbers of a CPU are taken in the order in which
 * its records stand in its ring.
 */
#pragma once
#include "record.h"

/* Set by user space before loading. */
const volatile bool dynptrs = true;
const volatile bool drops = false;
const volatile u32 recorder = 0;
/* And before attaching: who else records shows when this is loaded. */
volatile u64 ring_bytes = 64 << 20;
/* What the ring can hold: above what it should, there is room for the rest of calls under way. */
volatile u64 room_bytes = 64 << 20;
volatile u32 chunk_bytes = 1 << 20;
/*
 * The programs are attached one after the other, and detached so. A call counts if it begins while
 * all of them are there: not before, and not once we are leaving.
 */
enum watching { NOT_YET, WATCHING, LEAVING };
volatile u32 watching = NOT_YET;

#define SCRATCH (16 << 10)
#define STRING_BYTES 4096

enum source { FROM_USER, FROM_SCRATCH };

/* States of loops live in the scratch memory too: what the verifier knows nothing of it need not follow through every turn. */
struct stretch { u64 addr, rest, paged; u32 what, unused; };
struct walk { struct dentry *dentry; struct vfsmount *mnt; u64 digits; u32 at, due; };
struct vectors { u64 addr, left, limit; u32 arg, unused; };
struct messages { u64 addr, moved, limit; u32 arg, size, count, unused; };
/* Control messages at `addr`, and descriptors in the last one that was looked at. */
struct rights { u64 addr, end, fd, fds_end; u32 arg, unused; };
/* What the kernel has of a call that began another program. */
struct recovery { struct mm_struct *mm; const char *filename; u32 retry, vectors, script, unused; };
struct string { u64 addr, total; u32 arg, bad; };
struct strings { u64 next, cursor, sent; u32 arg, at, bad, unused; };

struct scratch {
	struct header head;
	struct piece piece;    /* follows the head in a record */
	u64 staged;            /* whether `piece` waits */
	u64 addr;
	u64 sum;               /* bytes of the ring that the call's records take so far */
	u32 source, step, phase, retry;
	u32 late, plan;
	u32 spoiled;           /* a record of the call found no room */
	u32 broken;            /* argument | kind << 8 | 1 << 16 of a piece whose rest cannot be read */
	struct stretch stretch;
	struct walk walk;
	struct vectors vectors;
	struct messages messages;
	struct rights rights;
	struct recovery recovery;
	struct string string;
	struct strings strings;
	u8 bytes[SCRATCH + STRING_BYTES];
	u8 path[2 * STRING_BYTES];
};

struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct scratch); } scratches SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 1); __type(key, u32); __type(value, struct cpu_state); } cpus SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 1); __type(key, u32); __type(value, struct common_state); } common SEC(".maps");
struct ring { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 20); };
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, u32); __array(values, struct ring); } rings SEC(".maps");

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } alarms SEC(".maps");

extern int bpf_probe_read_user_dynptr(struct bpf_dynptr *to, u32 off, u32 size, const void *from) __ksym __weak;

static struct scratch *scratch(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&scratches, &zero);
}

struct wait { u64 until, room; };

/* Until a moment, or until there is room. */
static long spin(u32 i, void *ctx)
{
	struct wait *w = ctx;
	if (w->room) {
		u32 at = bpf_get_smp_processor_id();
		void *ring = bpf_map_lookup_elem(&rings, &at);
		if (!ring || bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + w->room < room_bytes)
			return 1;
	}
	return bpf_ktime_get_ns() >= w->until;
}

/*
 * Waits for room, if it must four seconds: what comes late is one long call, or many CPUs at once,
 * while the disk stands still. Whoever waits keeps its CPU, and user space needs one to make room:
 * if all CPUs would wait, nobody could, and the one that comes last goes without.
 */
static __always_inline void await_room(u64 room, u64 begin)
{
	u32 zero = 0;
	struct common_state *c = bpf_map_lookup_elem(&common, &zero);
	struct wait w = { begin + 4000000000ULL, room };
	if (!c)
		return;
	__sync_fetch_and_add(&c->waiting, 1);
	/* A loop has a bound on its rounds, which may come before the time. */
	for (int i = 0; i < 12 && *(volatile u64 *)&c->waiting < c->cpus; i++)
		bpf_loop(1 << 23, spin, &w, 0);
	__sync_fetch_and_add(&c->waiting, -1);
}

/*
 * The fuller the ring was before this call and the more the call puts there, the longer it is
 * delayed at its end (fill^2 x bytes x 20 ns, 2 ms at most): as the kernel throttles who writes
 * more than the disk takes (balance_dirty_pages). At three quarters user space hears of it, and
 * stops everybody who produces. Until it does, the last eighth is given out ever more slowly:
 * between two calls this CPU can run others, among them whom user space waits for; while a call
 * waits it cannot.
 */
static __always_inline u64 hold_back(struct scratch *s, struct cpu_state *cpu, void *ring, u32 kind)
{
	u64 bytes = s->head.len;
	/* Since the ring was looked at last it has become no fuller than by what was put there. */
	u64 room_taken = dynptrs ? bytes + 64 : (bytes < 8192 ? bytes * 8 : 65536) + 1024;
	u64 waiting = cpu->at_most, own = s->sum;
	cpu->at_most += room_taken;
	s->sum += room_taken;
	if (cpu->at_most < ring_bytes / 4 && waiting < cpu->wake_at)
		return waiting;
	waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	cpu->at_most = waiting + room_taken;
	bool fits = waiting + room_taken < room_bytes;
	u64 before = waiting > own ? waiting - own : 0;
	if (drops || (fits && (kind == PART || before < ring_bytes / 2)))
		return waiting;
	u64 begin = bpf_ktime_get_ns();
	if (before >= cpu->alarm_at || waiting >= room_bytes / 4 * 3) {
		cpu->alarm_at = ~0ULL;
		bpf_ringbuf_output(&alarms, &waiting, sizeof(waiting), BPF_RB_FORCE_WAKEUP);
	}
	if (kind != PART && before >= ring_bytes / 2) {
		u64 fill = (before - ring_bytes / 2) * 1024 / (ring_bytes / 2);
		u64 delay = fill * fill / 1024 * (own + bytes) * 20 / 1024;
		delay = delay < 2000000 ? delay : 2000000;
		u64 room = waiting < room_bytes ? room_bytes - waiting : 0;
		if (room < room_bytes / 8) {
			u64 scarce = 400000 * (room_bytes / 8) / (room + room_bytes / 512);
			delay = delay > scarce ? delay : scarce;
		}
		struct wait w = { begin + delay, room_bytes - ring_bytes / 2 };
		bpf_loop(1 << 20, spin, &w, 0);
	}
	await_room(room_taken, begin);
	cpu->held += bpf_ktime_get_ns() - begin;
	return waiting;
}

/* Whether this record is the one that wakes the consumer. */
static __always_inline u64 waking(struct cpu_state *cpu, u64 waiting)
{
	if (waiting < cpu->wake_at)
		return BPF_RB_NO_WAKEUP;
	cpu->wake_at = ~0ULL;
	return BPF_RB_FORCE_WAKEUP;
}

#define HEADS (sizeof(struct header) + sizeof(struct piece))

static __always_inline int fill(struct scratch *s, void *record, u32 size, u32 len)
{
	__builtin_memcpy(record, &s->head, HEADS);
	if (!s->staged || !len)
		return 0;
	/* Hidden from the compiler, which would fold the bounds into bits that older verifiers make nothing of. */
	u32 pad = len & ~7u;
	barrier_var(len);
	barrier_var(pad);
	if (len > size || pad > size)
		return -1;
	*(u64 *)(record + HEADS + pad) = 0;
	if (s->source == FROM_USER)
		return bpf_probe_read_user(record + HEADS, len, (void *)s->addr);
	return bpf_probe_read_kernel(record + HEADS, len < sizeof(s->bytes) ? len : sizeof(s->bytes), s->bytes);
}

/* Kernels without copies of run-time size into the ring: the least reservation that holds the record. */
#define TRY(size)                                                                                       \
	if (len <= (size)) {                                                                            \
		void *record = bpf_ringbuf_reserve(ring, HEADS + (size) + 8, 0);                        \
		if (!record)                                                                            \
			return 1;                                                                       \
		if (fill(s, record, size, len)) {                                                       \
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                                  \
			return -1;                                                                      \
		}                                                                                       \
		bpf_ringbuf_submit(record, wake);                                                       \
		return 0;                                                                               \
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
			bad = len ? bpf_probe_read_user_dynptr(&record, HEADS, len, (void *)s->addr) : 0;
		else
			bad = bpf_dynptr_write(&record, HEADS, s->bytes, len < sizeof(s->bytes) ? len : sizeof(s->bytes), 0);
	} else {
		bpf_dynptr_write(&record, 0, &s->head, sizeof(s->head), 0);
	}
	if (bad)
		bpf_ringbuf_discard_dynptr(&record, BPF_RB_NO_WAKEUP);
	else
		bpf_ringbuf_submit_dynptr(&record, wake);
	return bad ? -1 : 0;
}

/* Emits a record of this kind with the staged piece, if there is one. -1: the piece's memory could not be read, and there is no record. */
__noinline int emit(u32 kind)
{
	struct scratch *s = scratch();
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = bpf_map_lookup_elem(&cpus, &at);
	void *ring = bpf_map_lookup_elem(&rings, &at);
	if (!s || !cpu || !ring)
		return 0;
	if (s->spoiled) {
		s->staged = 0;
		return 0;
	}
	u32 len = s->staged ? s->piece.len : 0;
	s->head.kind = kind;
	s->head.cpu = at;
	s->head.pieces = s->staged ? 1 : 0;
	s->head.len = s->staged ? HEADS + ((len + 7) & ~7u) : sizeof(s->head);
	u64 waiting = hold_back(s, cpu, ring, kind);
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
		s->spoiled = 1;
	return 0;
}

/*
 * Ends a call or an event. What found no room for one of its records has none of the later ones either, and leaves one number behind as a gap: so that the gaps say
 * how many calls and events are missing.
 */
static __always_inline void account(struct scratch *s)
{
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = s->spoiled ? bpf_map_lookup_elem(&cpus, &at) : 0;
	if (!cpu)
		return;
	cpu->seq++;
	s->spoiled = 0;
}

static __always_inline void stage(struct scratch *s, u32 arg, u32 kind, u64 len, u64 wanted)
{
	s->piece.arg = arg;
	s->piece.kind = kind;
	s->piece.flags = (s->phase != ENTRY ? AT_EXIT : 0) | (len >= wanted ? 0 : s->broken ? UNREADABLE : CUT);
	s->piece.len = len;
	s->piece.wanted = wanted;
	s->staged = 1;
}

/* Sends the next chunk of a stretch as a part; one that cannot be read whole, page by page. */
static long one_chunk(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct stretch *a = s ? &s->stretch : 0;
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

/* Sends what of the staged piece, which could not be read whole, can be read from its beginning, and a piece that says what could not. */
static __always_inline void salvage_here(struct scratch *s)
{
	s->staged = 0;
	if (s->phase == ENTRY && !s->late) {
		s->retry |= 1u << (s->step & 31);
		return;
	}
	u64 wanted = s->piece.wanted, len = s->piece.len;
	s->stretch = (struct stretch){ s->addr, len, 1, s->piece.arg | s->piece.kind << 8 };
	bpf_loop((1 << 20) / 4096 + 2, one_chunk, 0, 0);
	stage(s, s->piece.arg, s->piece.kind, 0, wanted - len + s->stretch.rest);
	s->piece.flags = (s->piece.flags & ~CUT) | UNREADABLE;
	s->broken = 1 << 16 | s->piece.arg | s->piece.kind << 8;
	emit(PART);
}

/* Rare, and called from many places: not inline, so that the verifier checks it once. */
__noinline int salvage(void)
{
	struct scratch *s = scratch();
	if (s)
		salvage_here(s);
	return 0;
}

/* Sends the staged piece as a part of the call. */
static __always_inline void flush(struct scratch *s)
{
	if (s->staged && emit(PART))
		salvage();
}

/* Stages `take` of `wanted` bytes of the program's memory; all but the last chunk are sent at once. `what`: argument | kind << 8. */
__noinline int from_user(u32 what, u64 addr, u64 take, u64 wanted)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	/* The verifier follows no more than eight calls within each other. */
	if (s->staged && emit(PART))
		salvage_here(s);
	if (s->broken == (1 << 16 | what))
		take = 0;
	else
		s->broken = 0;
	struct stretch *a = &s->stretch;
	*a = (struct stretch){ addr, take, 0, what };
	u32 at = bpf_get_smp_processor_id();
	struct cpu_state *cpu = take > room_bytes / 8 ? bpf_map_lookup_elem(&cpus, &at) : 0;
	if (cpu)
		cpu->long_calls++;
	if (take > chunk_bytes) {
		u64 last = take % chunk_bytes ?: chunk_bytes;
		a->rest = take - last;
		bpf_loop(1 << 20, one_chunk, 0, 0);
		/* If reading stopped early, what is left is the stretch from there on, and will be salvaged. */
		a->rest += last;
	}
	s->source = FROM_USER;
	s->addr = a->addr;
	stage(s, what & 255, what >> 8, a->rest, a->rest + (wanted - take));
	if (a->rest > chunk_bytes)
		salvage_here(s);
	return 0;
}

/*
 * Stages bytes of the scratch memory, `what` as above. They must be sent before others take their
 * place.
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
