/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Vectors of buffers, messages with what they carry, and blocks of libaio. */
#pragma once
#include "plan.h"

#define VECTORS 1024
#define MSGHDR 56
#define MMSGHDR 64
#define IOCB 64
/* Descriptors that come with a message (SCM_MAX_FD), and other control messages. */
#define RIGHTS 512
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1 };

/* The data of one `struct iovec`. */
static long one_vector(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct vectors *a = s ? &s->vectors : 0;
	struct {
		u64 base, len;
	} v = {};
	if (!a || !a->left || bpf_probe_read_user(&v, sizeof(v), (void *)(a->addr + i * 16ULL)))
		return 1;
	u64 n = min(v.len, a->left), take = min(n, a->limit);
	a->left -= n;
	a->limit -= take;
	if (n)
		from_user(a->arg | DATA_PAYLOAD << 8, v.base, take, n);
	return 0;
}

/* Describes a descriptor that came with a message; or goes to the next control message (cmsg(3)).
 */
static long one_right(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct rights *a = s ? &s->rights : 0;
	struct {
		u64 len;
		u32 level, type;
	} c = {};
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
	if (a->addr + sizeof(c) > a->end || bpf_probe_read_user(&c, sizeof(c), (void *)a->addr) ||
	    c.len < sizeof(c))
		return 1;
	if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS) {
		a->fd = a->addr + sizeof(c);
		a->fds_end = min(a->addr + c.len, a->end);
	}
	a->addr += min((c.len + 7) & ~7ULL, MAX_RETURNED);
	return 0;
}

/*
 * One `struct msghdr` or `struct mmsghdr` in one of five passes over all of them: names, control
 * messages, vectors, data, received descriptors.
 */
static long one_message(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct messages *a = s ? &s->messages : 0;
	struct {
		u64 name;
		u32 namelen, pad;
		u64 iov, iovs, control, controls;
		u32 flags, pad2, moved, pad3;
	} m = {};
	if (!a)
		return 1;
	u32 pass = a->count ? i / a->count : 0;
	u64 at = a->addr + (u64)(i - pass * a->count) * a->size;
	if (bpf_probe_read_user(&m, a->size == MSGHDR ? MSGHDR : MMSGHDR, (void *)at))
		return 1;
	u64 moved = a->size == MSGHDR ? a->moved : m.moved, count = min(m.iovs, VECTORS);
	u64 addr = m.iov, len = count * 16;
	u32 kind = IOVECS;
	if (pass == 4) {
		s->rights = (struct rights){m.control, m.control + min(m.controls, MAX_RETURNED), 0,
					    0, a->arg};
		if (m.control)
			bpf_loop(RIGHTS, one_right, 0, 0);
		return 0;
	}
	if (pass == 3) {
		s->vectors = (struct vectors){m.iov, moved, a->limit, a->arg};
		if (m.iov)
			bpf_loop(count, one_vector, 0, 0);
		a->limit = s->vectors.limit;
		return 0;
	}
	if (pass == 0) {
		addr = m.name;
		len = min(m.namelen, 128);
		kind = NAME;
	} else if (pass == 1) {
		addr = m.control;
		len = min(m.controls, MAX_RETURNED);
		kind = CONTROL;
	}
	if (addr && len)
		from_user(a->arg | kind << 8, addr, len, len);
	return 0;
}

/* One `struct iocb`. */
static long one_block(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	struct messages *a = s ? &s->messages : 0;
	u64 at = 0;
	if (!a || bpf_probe_read_user(&at, sizeof(at), (void *)(a->addr + i * 8ULL)))
		return 1;
	from_user(a->arg | IOCBS << 8, at, IOCB, IOCB);
	return 0;
}

static __always_inline void vectors_of(struct scratch *s, const struct step *t)
{
	u64 addr = argument(s, t->arg), count = min(argument(s, t->len_arg), VECTORS);
	s->vectors =
		(struct vectors){addr, t->flags & CLAMP ? moved(s) : MAX_DATA, t->limit, t->arg};
	from_user(t->arg | IOVECS << 8, addr, count * 16, count * 16);
	bpf_loop(count, one_vector, 0, 0);
}

static __always_inline void messages_of(struct scratch *s, const struct step *t)
{
	u64 addr = argument(s, t->arg), count = t->what == W_MSG ? 1 : min(length(), VECTORS);
	u32 size = t->what == W_MSG ? MSGHDR : MMSGHDR;
	s->messages = (struct messages){addr, moved(s), t->limit, t->arg, size, count};
	if (!count)
		return;
	from_user(t->arg | MSG << 8, addr, count * size, count * size);
	bpf_loop((t->flags & RECEIVED ? 5 : 4) * count, one_message, 0, 0);
}

static __always_inline void blocks_of(struct scratch *s, const struct step *t)
{
	u64 count = min(argument(s, t->len_arg), VECTORS);
	s->messages = (struct messages){argument(s, t->arg), 0, t->limit, t->arg, 0, count};
	bpf_loop(count, one_block, 0, 0);
}
