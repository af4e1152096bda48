/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interprets the steps of a plan; with the same outcome as crates/capture/src/ptrace/steps.rs, which says why each bound is what it is. It names no call. */
#pragma once
#include "identity.h"
#include "ring.h"

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct plan); } plans SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 18); } requests SEC(".maps");

#define MOST 0x7ffff000ULL
#define MOST_PASSED (16ULL << 20)
#define MOST_TOLD (1ULL << 20)
#define VECTORS 1024
#define MSGHDR 56
#define MMSGHDR 64
#define IOCB 64

static __always_inline u64 least(u64 a, u64 b) { return a < b ? a : b; }

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

static __always_inline u32 word(u64 addr)
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

static __always_inline u64 length(const struct scratch *s, const struct take *t)
{
	u64 n = 0;
	switch (t->from) {
	case FIXED:
		n = t->unit;
		break;
	case ARG:
		n = times(argument(s, t->len_arg), t->unit, t->flags & DATA ? MOST : MOST_PASSED);
		break;
	case RET:
		n = times(moved(s), t->unit, MOST);
		if (t->len_arg != NONE)
			n = least(n, times(argument(s, t->len_arg), t->unit, MOST));
		break;
	case DEREF:
		n = times(word(argument(s, t->len_arg)), t->unit, MOST_TOLD);
		break;
	case HEAD:
		n = least(t->base + times(word(argument(s, t->arg) + t->len_arg), t->unit, MOST_TOLD), MOST_TOLD);
		break;
	case BITS:
		n = least(((argument(s, t->len_arg) & 0xffffffff) + 63) / 64 * 8, MOST_TOLD);
		break;
	}
	return t->flags & CLAMP ? least(n, moved(s)) : n;
}

struct string { u64 addr, total; u32 arg, bad; };

static long one_string_chunk(u32 i, void *ctx)
{
	struct string *a = ctx;
	struct scratch *s = scratch();
	u8 next = 0;
	if (!s)
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
	from_scratch(s, a->arg, STRING, n, n);
	a->addr += n;
	a->total += n;
	return next == 0;
}

static __always_inline void unreadable(struct scratch *s, u32 arg, u32 kind)
{
	u32 zero = 0;
	struct common_state *c = bpf_map_lookup_elem(&common, &zero);
	from_scratch(s, arg, kind, 0, 1);
	s->piece.flags = (s->piece.flags & ~CUT) | UNREADABLE;
	if (c)
		__sync_fetch_and_add(&c->unreadable, 1);
}

/* What could not be read before the call is tried again after it; what then cannot be read is marked. */
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

struct strings { u64 next, cursor, sent; u32 arg, at, bad; };

/* One pointer of a vector and its string, or as much of that as the scratch memory takes. */
static long one_of_strings(u32 i, void *ctx)
{
	struct strings *a = ctx;
	struct scratch *s = scratch();
	u8 more = 0;
	if (!s)
		return 1;
	u32 at = a->at;
	if (at >= SCRATCH) {
		from_scratch(s, a->arg, STR_VEC, at < sizeof(s->bytes) ? at : sizeof(s->bytes), at);
		flush(s);
		a->sent += at;
		at = 0;
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

struct vectors { u64 addr, left, limit; u32 arg; };

/* What one `struct iovec` names. */
static long one_vector(u32 i, void *ctx)
{
	struct vectors *a = ctx;
	struct { u64 base, len; } v = {};
	if (!a->left || bpf_probe_read_user(&v, sizeof(v), (void *)(a->addr + i * 16ULL)))
		return 1;
	u64 n = least(v.len, a->left), take = least(n, a->limit);
	a->left -= n;
	a->limit -= take;
	if (n)
		from_user(a->arg | DATA_PIECE << 8, v.base, take, n);
	return 0;
}

struct messages { u64 addr, moved, limit; u32 arg, size, pass; };

/* What one `struct msghdr` or `struct mmsghdr` names, of one kind: names, control messages, vectors, data. */
static long one_message(u32 i, void *ctx)
{
	struct messages *a = ctx;
	struct { u64 name; u32 namelen, pad; u64 iov, iovs, control, controls; u32 flags, pad2, moved, pad3; } m = {};
	if (bpf_probe_read_user(&m, a->size == MSGHDR ? MSGHDR : MMSGHDR, (void *)(a->addr + (u64)i * a->size)))
		return 1;
	u64 moved = a->size == MSGHDR ? a->moved : m.moved, count = least(m.iovs, VECTORS);
	if (a->pass == NAME && m.name && m.namelen) {
		from_user(a->arg | NAME << 8, m.name, least(m.namelen, 128), least(m.namelen, 128));
	} else if (a->pass == CONTROL && m.control && m.controls) {
		from_user(a->arg | CONTROL << 8, m.control, least(m.controls, MOST_TOLD), least(m.controls, MOST_TOLD));
	} else if (a->pass == IOVECS && m.iov && count) {
		from_user(a->arg | IOVECS << 8, m.iov, count * 16, count * 16);
	} else if (a->pass == DATA_PIECE && m.iov) {
		struct vectors v = { m.iov, moved, a->limit, a->arg };
		bpf_loop(count, one_vector, &v, 0);
		a->limit = v.limit;
	}
	return 0;
}

static __always_inline void messages(const struct scratch *s, const struct take *t, u64 addr)
{
	u32 size = t->what == W_MSG ? MSGHDR : MMSGHDR;
	u64 count = t->what == W_MSG ? 1 : least(length(s, t), VECTORS);
	struct messages a = { addr, moved(s), t->limit, t->arg, size, NAME };
	if (!count)
		return;
	from_user(t->arg | MSG << 8, addr, count * size, count * size);
	bpf_loop(count, one_message, &a, 0);
	a.pass = CONTROL;
	bpf_loop(count, one_message, &a, 0);
	a.pass = IOVECS;
	bpf_loop(count, one_message, &a, 0);
	a.pass = DATA_PIECE;
	bpf_loop(count, one_message, &a, 0);
}

enum { AIO_WRITE = 1, AIO_WRITE_VECTORS = 8 };
struct blocks { u64 addr, limit; u32 arg, pass; };

/* One `struct iocb`, or what it writes. */
static long one_block(u32 i, void *ctx)
{
	struct blocks *a = ctx;
	struct { u64 data; u32 key, flags; u16 opcode; short prio; u32 fd; u64 buf, bytes, offset; } b = {};
	u64 at = 0;
	if (bpf_probe_read_user(&at, sizeof(at), (void *)(a->addr + i * 8ULL)) || bpf_probe_read_user(&b, sizeof(b), (void *)at))
		return 1;
	if (a->pass == IOCBS) {
		from_user(a->arg | IOCBS << 8, at, IOCB, IOCB);
	} else if (b.opcode == AIO_WRITE && a->pass == DATA_PIECE) {
		u64 n = least(b.bytes, 0x7fffffff), take = least(n, a->limit);
		a->limit -= take;
		from_user(a->arg | DATA_PIECE << 8, b.buf, take, n);
	} else if (b.opcode == AIO_WRITE_VECTORS) {
		u64 count = least(b.bytes, VECTORS);
		struct vectors v = { b.buf, 0x7fffffff, a->limit, a->arg };
		if (a->pass == IOVECS)
			from_user(a->arg | IOVECS << 8, b.buf, count * 16, count * 16);
		else
			bpf_loop(count, one_vector, &v, 0);
		a->limit = v.limit;
	}
	return 0;
}

/* Bytes that the kernel moved from a file by itself: user space is asked to read them. */
static __always_inline void ask_for_file(const struct scratch *s, const struct take *t)
{
	struct task_struct *task = bpf_get_current_task_btf();
	s32 fd = argument(s, t->arg);
	struct file *file = open_file(task, fd);
	struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : 0;
	u64 after = moved(s), pointer = argument(s, t->arg2);
	if (!inode || (BPF_CORE_READ(inode, i_mode) & 0170000) != 0100000)
		return;
	if (t->arg2 != NONE && !pointer)
		after = BPF_CORE_READ(file, f_pos);
	else if (t->arg2 != NONE && bpf_probe_read_user(&after, sizeof(after), (void *)pointer))
		return;
	struct request r = {
		.pid = s->head.pid, .tid = s->head.tid, .entered = s->head.entered, .limit = t->limit, .nr = s->head.nr, .fd = fd, .arg = t->arg,
		.from = after > moved(s) ? after - moved(s) : 0, .whole = t->from == FIXED && t->unit == 0xffffffff, .wanted = length(s, t),
		.dev = device(BPF_CORE_READ(inode, i_sb, s_dev)), .ino = BPF_CORE_READ(inode, i_ino),
	};
	u32 zero = 0;
	struct common_state *c = bpf_map_lookup_elem(&common, &zero);
	if (bpf_ringbuf_output(&requests, &r, sizeof(r), BPF_RB_FORCE_WAKEUP) && c)
		__sync_fetch_and_add(&c->refused, 1);
}

static __always_inline void identify(struct scratch *s, const struct take *t)
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
		from_scratch(s, t->arg, IDENTITY, n, n);
}

/* Takes step number `i` of the call's plan, at this end of it. */
__noinline int step(u32 i)
{
	struct scratch *s = scratch();
	if (!s || i >= STEPS)
		return 0;
	u32 at = s->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	if (!p)
		return 0;
	const struct take *t = &p->take[s->phase == ENTRY ? 0 : 1][i];
	if (failed(s) && t->when == EXIT)
		return 0;
	s->step = i;
	s->broken = 0;
	if (t->what == W_IDENTITY) {
		identify(s, t);
		return 0;
	}
	if (t->what == W_FILE) {
		ask_for_file(s, t);
		return 0;
	}
	u64 addr = argument(s, t->arg), n;
	u32 data = t->arg | (t->flags & DATA ? DATA_PIECE : BYTES) << 8;
	if (!addr)
		return 0;
	switch (t->what) {
	case W_BYTES:
		n = length(s, t);
		if (n)
			from_user(data, addr, least(n, t->limit), n);
		break;
	case W_STRING: {
		struct string a = { addr, 0, t->arg, 0 };
		bpf_loop(1 << 10, one_string_chunk, &a, 0);
		if (a.bad)
			unread(s, t->arg, STRING, a.total);
		break;
	}
	case W_STR_VEC: {
		struct strings a = { addr, 0, 0, t->arg, 0, 0 };
		flush(s);
		bpf_loop(1 << 18, one_of_strings, &a, 0);
		n = a.at < sizeof(s->bytes) ? a.at : sizeof(s->bytes);
		if (a.bad && s->phase == ENTRY && !s->late && !a.sent) {
			s->retry |= 1u << (i & 31);
			break;
		}
		from_scratch(s, t->arg, STR_VEC, n, n);
		if (a.bad)
			unread(s, t->arg, STR_VEC, a.sent + n);
		break;
	}
	case W_IOV: {
		u64 count = least(argument(s, t->len_arg), VECTORS);
		struct vectors v = { addr, t->flags & CLAMP ? moved(s) : MOST, t->limit, t->arg };
		from_user(t->arg | IOVECS << 8, addr, count * 16, count * 16);
		bpf_loop(count, one_vector, &v, 0);
		break;
	}
	case W_MSG:
	case W_MSGS:
		messages(s, t, addr);
		break;
	case W_IOCBS: {
		u64 count = least(argument(s, t->len_arg), VECTORS);
		struct blocks a = { addr, t->limit, t->arg, IOCBS };
		bpf_loop(count, one_block, &a, 0);
		a.pass = IOVECS;
		bpf_loop(count, one_block, &a, 0);
		a.pass = DATA_PIECE;
		bpf_loop(count, one_block, &a, 0);
		break;
	}
	}
	return 0;
}
