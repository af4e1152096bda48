/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interprets the steps of a plan; with the same outcome as crates/capture/src/ptrace/steps.rs, which says why each bound is what it is. It names no call. */
#pragma once
#include "identity.h"
#include "scope.h"

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct plan); } plans SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 18); } requests SEC(".maps");

#define MOST 0x7ffff000ULL
#define MOST_PASSED (16ULL << 20)
#define MOST_TOLD (1ULL << 20)
#define VECTORS 1024
#define MSGHDR 56
#define MMSGHDR 64
#define IOCB 64
/* Descriptors that come with a message (SCM_MAX_FD), and other control messages. */
#define RIGHTS 512
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1 };

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

static __always_inline const struct take *taken(struct scratch *s, u32 i)
{
	u32 at = s->plan;
	struct plan *p = bpf_map_lookup_elem(&plans, &at);
	return p && i < STEPS ? &p->take[s->phase == ENTRY ? 0 : 1][i] : 0;
}

/* How many bytes the step wants. Once for each program, as all that is not inline. */
__noinline u64 length(void)
{
	struct scratch *s = scratch();
	const struct take *t = s ? taken(s, s->step) : 0;
	u64 n = 0;
	if (!t)
		return 0;
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
	s->piece.flags = (s->piece.flags & ~CUT) | UNREADABLE;
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

/* One pointer of a vector and its string, or as much of that as the scratch memory takes. */
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

/* What one `struct iovec` names. */
static long one_vector(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct vectors *a = s ? &s->vectors : 0;
	struct { u64 base, len; } v = {};
	if (!a || !a->left || bpf_probe_read_user(&v, sizeof(v), (void *)(a->addr + i * 16ULL)))
		return 1;
	u64 n = least(v.len, a->left), take = least(n, a->limit);
	a->left -= n;
	a->limit -= take;
	if (n)
		from_user(a->arg | DATA_PIECE << 8, v.base, take, n);
	return 0;
}

/* What a descriptor is that came with a message; or the next control message (cmsg(3)). */
static long one_right(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct rights *a = s ? &s->rights : 0;
	struct { u64 len; u32 level, type; } c = {};
	s32 fd = -1;
	if (!a)
		return 1;
	if (a->fd + sizeof(fd) <= a->fds_end) {
		bpf_probe_read_user(&fd, sizeof(fd), (void *)a->fd);
		a->fd += sizeof(fd);
		flush(s);
		u32 n = descriptor(s, bpf_get_current_task_btf(), fd);
		from_scratch(a->arg | IDENTITY << 8, n, n);
		return 0;
	}
	if (a->addr + sizeof(c) > a->end || bpf_probe_read_user(&c, sizeof(c), (void *)a->addr) || c.len < sizeof(c))
		return 1;
	if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS) {
		a->fd = a->addr + sizeof(c);
		a->fds_end = least(a->addr + c.len, a->end);
	}
	a->addr += least((c.len + 7) & ~7ULL, MOST_TOLD);
	return 0;
}

/* What one `struct msghdr` or `struct mmsghdr` names, in one pass over all of them: names, control messages, vectors, data, received descriptors. */
static long one_message(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct messages *a = s ? &s->messages : 0;
	struct { u64 name; u32 namelen, pad; u64 iov, iovs, control, controls; u32 flags, pad2, moved, pad3; } m = {};
	if (!a)
		return 1;
	u32 pass = a->count ? i / a->count : 0;
	u64 at = a->addr + (u64)(i - pass * a->count) * a->size;
	if (bpf_probe_read_user(&m, a->size == MSGHDR ? MSGHDR : MMSGHDR, (void *)at))
		return 1;
	u64 moved = a->size == MSGHDR ? a->moved : m.moved, count = least(m.iovs, VECTORS);
	u64 addr = m.iov, len = count * 16;
	u32 kind = IOVECS;
	if (pass == 4) {
		s->rights = (struct rights){ m.control, m.control + least(m.controls, MOST_TOLD), 0, 0, a->arg };
		if (m.control)
			bpf_loop(RIGHTS, one_right, 0, 0);
		return 0;
	}
	if (pass == 3) {
		s->vectors = (struct vectors){ m.iov, moved, a->limit, a->arg };
		if (m.iov)
			bpf_loop(count, one_vector, 0, 0);
		a->limit = s->vectors.limit;
		return 0;
	}
	if (pass == 0) {
		addr = m.name;
		len = least(m.namelen, 128);
		kind = NAME;
	} else if (pass == 1) {
		addr = m.control;
		len = least(m.controls, MOST_TOLD);
		kind = CONTROL;
	}
	if (addr && len)
		from_user(a->arg | kind << 8, addr, len, len);
	return 0;
}

enum { AIO_WRITE = 1, AIO_WRITE_VECTORS = 8 };
/* One `struct iocb`, or what it writes. */
static long one_block(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct messages *a = s ? &s->messages : 0;
	struct { u64 data; u32 key, flags; u16 opcode; short prio; u32 fd; u64 buf, bytes, offset; } b = {};
	u64 at = 0;
	if (!a)
		return 1;
	u32 pass = a->count ? i / a->count : 0;
	u64 pointer = a->addr + (i - pass * a->count) * 8ULL;
	if (bpf_probe_read_user(&at, sizeof(at), (void *)pointer) || bpf_probe_read_user(&b, sizeof(b), (void *)at))
		return 1;
	if (pass == 0) {
		from_user(a->arg | IOCBS << 8, at, IOCB, IOCB);
	} else if (b.opcode == AIO_WRITE && pass == 2) {
		u64 n = least(b.bytes, 0x7fffffff), take = least(n, a->limit);
		a->limit -= take;
		from_user(a->arg | DATA_PIECE << 8, b.buf, take, n);
	} else if (b.opcode == AIO_WRITE_VECTORS && pass == 1) {
		u64 len = least(b.bytes, VECTORS) * 16;
		from_user(a->arg | IOVECS << 8, b.buf, len, len);
	} else if (b.opcode == AIO_WRITE_VECTORS) {
		s->vectors = (struct vectors){ b.buf, 0x7fffffff, a->limit, a->arg };
		bpf_loop(least(b.bytes, VECTORS), one_vector, 0, 0);
		a->limit = s->vectors.limit;
	}
	return 0;
}

/* The inode of a descriptor, if it is of a regular file. */
static __always_inline struct inode *regular(struct file *file)
{
	struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : 0;
	return inode && (BPF_CORE_READ(inode, i_mode) & 0170000) == 0100000 ? inode : 0;
}

#define IDENTITY_LESS_REQUEST (sizeof(struct identity) - sizeof(struct request))
struct served { u64 ticket, until; };

static long is_served(u32 i, void *ctx)
{
	struct served *w = ctx;
	struct common_state *c = common_state();
	return !c || *(volatile u64 *)&c->served >= w->ticket || bpf_ktime_get_ns() >= w->until;
}

/*
 * Keeps the thread until user space has read what it asked for: before it can close or change the file; but not for ever. The CPU is kept too, and whoever is to read
 * may want it, or another thread that waits may keep the other one: so after the call only until whoever wants the CPU more gets it when the thread goes on, and then
 * again before each of the thread's next calls, for a second in all.
 */
static __always_inline void await(struct thread *t, bool after)
{
	struct common_state *c = common_state();
	if (!c)
		return;
	struct served w = { t->ticket, bpf_ktime_get_ns() + (after ? c->patience : 50000000) };
	if (c->patience)
		bpf_loop(1 << 22, is_served, &w, 0);
	t->waits--;
	if (!c->patience || !t->waits || *(volatile u64 *)&c->served >= t->ticket)
		t->ticket = 0;
}

/* Bytes that the kernel moved from file to file by itself: user space is asked to read them, from where they came or, if nothing keeps them there, where they went. */
__noinline int file(void)
{
	struct scratch *s = scratch();
	const struct take *t = s ? taken(s, s->step) : 0;
	if (!t)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	u64 pointer = argument(s, t->arg2), wanted = length(), n = moved(s), after = n;
	bool whole = t->from == FIXED && t->unit == 0xffffffff;
	struct { s64 fd; u64 from, len; } range = { (s32)argument(s, t->arg) };
	if (t->what == W_RANGE && bpf_probe_read_user(&range, sizeof(range), (void *)argument(s, t->arg)))
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
	struct common_state *c = common_state();
	struct thread *me = bpf_task_storage_get(&threads, task, 0, 0);
	if (!c || !me)
		return 0;
	/* The file's name goes with the request, which takes the place of the identity before it. */
	flush(s);
	u32 len = describe_file(s, file) - IDENTITY_LESS_REQUEST;
	struct request *r = (void *)(s->bytes + IDENTITY_LESS_REQUEST);
	*r = (struct request){
		.pid = s->head.pid, .tid = s->head.tid, .entered = s->head.entered, .limit = t->limit, .nr = s->head.nr, .fd = range.fd, .arg = t->arg,
		.from = after > n ? after - n : 0, .wanted = wanted, .how = (whole ? TO_THE_END : 0) | (t->what == W_LANDED ? WRITTEN_THERE : 0),
		.ino = BPF_CORE_READ(inode, i_ino),
	};
	/* Counted before it can be seen, and looked at afterwards: when so many are served, it is among them. */
	__sync_fetch_and_add(&c->asked, 1);
	barrier_var(len);
	if (len > SCRATCH || bpf_ringbuf_output(&requests, r, len, BPF_RB_FORCE_WAKEUP)) {
		__sync_fetch_and_add(&c->served, 1);
		__sync_fetch_and_add(&c->refused, 1);
		return 0;
	}
	/* What is read comes into a journal in the order of requests: no call whose request stands before this one may have begun after this one returned. */
	s->head.left = bpf_ktime_get_ns();
	me->ticket = *(volatile u64 *)&c->asked;
	me->waits = 20;
	await(me, true);
	return 0;
}

static __always_inline void bytes_of(struct scratch *s, const struct take *t)
{
	u64 n = length();
	if (n)
		from_user(t->arg | (t->flags & DATA ? DATA_PIECE : BYTES) << 8, argument(s, t->arg), least(n, t->limit), n);
}

static __always_inline void string_of(struct scratch *s, const struct take *t)
{
	s->string = (struct string){ argument(s, t->arg), 0, t->arg, 0 };
	bpf_loop(1 << 10, one_string_chunk, 0, 0);
	if (s->string.bad)
		unread(s, t->arg, STRING, s->string.total);
}

static __always_inline void strings_of(struct scratch *s, const struct take *t)
{
	struct strings *a = &s->strings;
	*a = (struct strings){ argument(s, t->arg), 0, 0, t->arg, 0, 0 };
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

static __always_inline void vectors_of(struct scratch *s, const struct take *t)
{
	u64 addr = argument(s, t->arg), count = least(argument(s, t->len_arg), VECTORS);
	s->vectors = (struct vectors){ addr, t->flags & CLAMP ? moved(s) : MOST, t->limit, t->arg };
	from_user(t->arg | IOVECS << 8, addr, count * 16, count * 16);
	bpf_loop(count, one_vector, 0, 0);
}

static __always_inline void messages_of(struct scratch *s, const struct take *t)
{
	u64 addr = argument(s, t->arg), count = t->what == W_MSG ? 1 : least(length(), VECTORS);
	u32 size = t->what == W_MSG ? MSGHDR : MMSGHDR;
	s->messages = (struct messages){ addr, moved(s), t->limit, t->arg, size, count };
	if (!count)
		return;
	from_user(t->arg | MSG << 8, addr, count * size, count * size);
	bpf_loop((t->flags & RECEIVED ? 5 : 4) * count, one_message, 0, 0);
}

static __always_inline void blocks_of(struct scratch *s, const struct take *t)
{
	u64 count = least(argument(s, t->len_arg), VECTORS);
	s->messages = (struct messages){ argument(s, t->arg), 0, t->limit, t->arg, 0, count };
	bpf_loop(3 * count, one_block, 0, 0);
}

static __always_inline void identity_of(struct scratch *s, const struct take *t)
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
__noinline int step(u32 i)
{
	struct scratch *s = scratch();
	const struct take *t = s ? taken(s, i) : 0;
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
	else if (t->what == W_IOCBS)
		blocks_of(s, t);
	else
		messages_of(s, t);
	return 0;
}
