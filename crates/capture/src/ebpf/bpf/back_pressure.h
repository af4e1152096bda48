/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The first stage of back-pressure: calls are delayed while the ring of their CPU is more than half
 * full. The second stage is in back_pressure.rs.
 *
 * Part of ring.h, which includes it after the maps and variables that it uses.
 */
#pragma once

/* A wait until a time, or until the ring has this much room; room 0: until the time only. */
struct wait {
	u64 until, room;
};

/* One iteration of a wait: returns 1, which ends it, at its end time or when there is room. */
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
 * Waits for room, four seconds at most: for one long call, or many CPUs at once, while the disk
 * stands still. A CPU that waits runs nothing else, and user space needs one to make room: if all
 * others wait already, this one does not.
 */
static __always_inline void await_room(u64 room, u64 begin)
{
	u32 zero = 0;
	struct common_state *c = bpf_map_lookup_elem(&common, &zero);
	struct wait w = {begin + 4000000000ULL, room};
	if (!c)
		return;
	__sync_fetch_and_add(&c->waiting, 1);
	/* A loop has a bound on its rounds, which may come before the time. */
	for (int i = 0; i < 12 && *(volatile u64 *)&c->waiting < c->cpus; i++)
		bpf_loop(1 << 23, spin, &w, 0);
	__sync_fetch_and_add(&c->waiting, -1);
}

/*
 * Back-pressure. The fuller the ring was before this call and the more the call adds, the longer
 * the call is delayed at its end (fill^2 x bytes x 20 ns, 2 ms at most), as the kernel throttles
 * processes that dirty pages faster than the disk writes them (balance_dirty_pages). At three
 * quarters user space is woken and freezes all processes in scope. Until it has, the last eighth is
 * given out ever more slowly: between two calls this CPU can run other threads, also those that
 * user space waits for; while a call waits it cannot.
 */
static __always_inline u64 throttle(struct scratch *s, struct cpu_state *cpu, void *ring, u32 kind)
{
	u64 bytes = s->head.len;
	/* Since the ring was asked last, it has grown by no more than what was put there. */
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
		struct wait w = {begin + delay, room_bytes - ring_bytes / 2};
		bpf_loop(1 << 20, spin, &w, 0);
	}
	await_room(room_taken, begin);
	cpu->held += bpf_ktime_get_ns() - begin;
	return waiting;
}
