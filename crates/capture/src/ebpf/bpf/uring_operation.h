/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Operations of io_uring that are under way: what is kept of each from its submission to its
 * completion.
 */
#pragma once
#include "call_record.h"
#include "opcode.h"
#include "uring_scope.h"

/* struct io_uring_sqe. */
struct sqe {
	u8 opcode, flags;
	u16 ioprio;
	s32 fd;
	u64 off, addr;
	u32 len, op_flags;
	u64 user_data;
	u16 buf_index, personality;
	s32 file_index;
	u64 addr3, unused;
};
enum {
	FIXED_FILE = 1 << 0,	/* `fd` is an index into the ring's registered files */
	AFTER_ALL = 1 << 1,	/* it begins when all before it have completed */
	LINKS = 3 << 2,		/* the next entry begins when this one has completed */
	BUFFER_SELECT = 1 << 5, /* the kernel selects the buffer */
	SKIP_SUCCESS = 1 << 6,	/* success is not reported */
};
/* Flags of a ring, and of a completion. */
enum { SETUP_SQE128 = 1 << 10, SETUP_NO_SQARRAY = 1 << 16 };
enum { CQE_MORE = 1 << 1, CQE_NOTIFICATION = 1 << 3 };

/* In a descriptor argument: the rest is the index of a registered file. */
#define REGISTERED 0x80000000u

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OPCODES);
	__type(key, u32);
	__type(value, struct opcode);
} opcodes SEC(".maps");

struct operation {
	struct thread call;
	u64 ctx, user_data;
	u64 asked; /* what it returns if it succeeds and does not report that */
	u32 pid;
	u8 sqe_flags, direct, multishot, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, u64); /* the address of the request */
	__type(value, struct operation);
} operations SEC(".maps");

/* The latest request with this number in this ring, of those that may complete many times. */
struct user_data {
	u64 ctx, value;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, struct user_data);
	__type(value, u64);
} multishots SEC(".maps");

/* An operation is built here; it and its entry are too large for the stack. */
struct new_operation {
	struct operation operation;
	struct sqe sqe;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct new_operation);
} new_operations SEC(".maps");

static __always_inline struct new_operation *new_operation(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&new_operations, &zero);
}

/* Copies the entry of the submission queue that the kernel has just taken. */
static __always_inline bool read_sqe(struct io_ring_ctx *ctx, struct sqe *sqe)
{
	u32 flags = BPF_CORE_READ(ctx, flags);
	u32 at = (BPF_CORE_READ(ctx, cached_sq_head) - 1) & (BPF_CORE_READ(ctx, sq_entries) - 1);
	if (!(flags & SETUP_NO_SQARRAY) &&
	    bpf_probe_read_kernel(&at, sizeof(at), BPF_CORE_READ(ctx, sq_array) + at))
		return false;
	if (flags & SETUP_SQE128)
		at *= 2;
	u64 from = (u64)BPF_CORE_READ(ctx, sq_sqes) + (u64)at * sizeof(*sqe);
	return !bpf_probe_read_kernel(sqe, sizeof(*sqe), (void *)from);
}

static __always_inline u64 sqe_field(const struct sqe *sqe, u8 field)
{
	switch (field) {
	case SQE_FD:
		return sqe->flags & FIXED_FILE ? REGISTERED + (u32)sqe->fd : (u32)sqe->fd;
	case SQE_FD_OR_SLOT:
		return sqe->file_index ? REGISTERED + sqe->file_index - 1 : (u32)sqe->fd;
	case SQE_OFF:
		return sqe->off;
	case SQE_ADDR:
		return sqe->addr;
	case SQE_LEN:
		return sqe->len;
	case SQE_OP_FLAGS:
		return sqe->op_flags;
	case SQE_FILE_INDEX:
		return (u32)sqe->file_index;
	case SQE_ADDR3:
		return sqe->addr3;
	}
	return 0;
}

/*
 * What the arguments do not say, in one number: the entry's flags, the buffer or its group, the
 * slot of a file that is opened into the ring's table or closed there (0: none), and the ring.
 */
static __always_inline u64 sqe_word(const struct sqe *sqe, u32 ring)
{
	u64 slot = sqe->file_index;
	return sqe->flags | (u64)sqe->buf_index << 8 | (slot & 0xfffff) << 24 |
	       (u64)(ring & 0xfffff) << 44;
}
