/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Operations of libaio that are under way: what is kept of each from its submission to its
 * completion. An operation is known by the address of its `struct iocb`.
 */
#pragma once
#include "call_record.h"
#include "opcode.h"

/* include/uapi/linux/aio_abi.h. */
struct iocb {
	u64 data;
	u32 key, rw_flags;
	u16 opcode;
	short prio;
	s32 fd;
	u64 buf, bytes, offset, reserved;
	u32 flags, resfd;
};
struct aio_event {
	u64 data, obj;
	s64 res, res2;
};
/* The context's ring, in memory that the kernel shares with the program (fs/aio.c). */
struct aio_ring {
	u32 id, nr, head, tail, magic, compat, incompat, header_length;
};
enum { RING_MAGIC = 0xa10a10a1, MOST_EVENTS = 1 << 20 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OPCODES);
	__type(key, u32);
	__type(value, struct opcode);
} aio_opcodes SEC(".maps");

struct block_id {
	u64 pid, addr;
};
/*
 * BEGUN: the call that submits it has not returned, and its data are not captured. CAPTURING: they
 * are being captured by that call. COMPLETING: its last record is being made.
 */
enum block_state { BEGUN, CAPTURING, SUBMITTED, COMPLETING };
struct block {
	struct thread call;
	u32 pid, state;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct block_id);
	__type(value, struct block);
} blocks SEC(".maps");

/* The contexts of a process: where the ring is, and how many events of it were seen. */
#define CONTEXTS 32
struct aio_context {
	u64 addr, seen;
};
struct aio_process {
	struct aio_context contexts[CONTEXTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct aio_process);
} aio_processes SEC(".maps");

/* What a program is doing. It is kept here, so that the verifier knows nothing of its values. */
struct aio_work {
	u32 pid, at;	      /* the process, and the place of the context that is looked at */
	struct aio_ring ring; /* of that context; `nr` is 0 before it is read */
	struct aio_event event;
	u64 array; /* of `struct iocb *`, or of events that a call returns */
	u64 begin, args[6];
	s64 ret;
	struct iocb iocb;
	struct block block;
	struct aio_process none;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct aio_work);
} aio_works SEC(".maps");

static __always_inline struct aio_work *aio_work(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&aio_works, &zero);
}

static __always_inline u64 iocb_field(const struct iocb *iocb, u8 field)
{
	switch (field) {
	case SQE_FD:
		return (u32)iocb->fd;
	case SQE_OFF:
		return iocb->offset;
	case SQE_ADDR:
		return iocb->buf;
	case SQE_LEN:
		return iocb->bytes;
	case SQE_OP_FLAGS:
		return iocb->rw_flags;
	}
	return 0;
}
