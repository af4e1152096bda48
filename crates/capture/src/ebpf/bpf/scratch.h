/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The scratch memory of a CPU, in which a record is built. */
#pragma once
#include "record.h"

#define SCRATCH (16 << 10)
#define STRING_BYTES 4096

enum source { FROM_USER, FROM_SCRATCH };

/*
 * States of loops are in the scratch memory too. The verifier knows nothing of their values, so it
 * need not follow them through every iteration.
 */
struct memory_range {
	u64 addr, rest, paged;
	u32 what, unused;
};
struct walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	u64 digits;
	u32 at, due;
};
struct vectors {
	u64 addr, left, limit;
	u32 arg, unused;
};
struct messages {
	u64 addr, moved, limit;
	u32 arg, size, count, unused;
};
/* Control messages at `addr`, and descriptors in the latest of them. */
struct rights {
	u64 addr, end, fd, fds_end;
	u32 arg, unused;
};
/* What the kernel still has of the arguments of a call that began another program. */
struct recovery {
	struct mm_struct *mm;
	const char *filename;
	u32 retry, vectors, script, unused;
};
struct string {
	u64 addr, total;
	u32 arg, bad;
};
struct strings {
	u64 next, cursor, sent;
	u32 arg, at, bad, unused;
};

struct scratch {
	struct header head;
	struct payload payload; /* follows `head` in a record */
	u64 staged;		/* whether `payload` is to be sent */
	u64 addr;
	u64 sum; /* bytes that the call's records take in the ring so far */
	u32 source, step, phase, retry;
	u32 late, plan;
	u32 incomplete; /* a record of the call found no room */
	u32 broken;	/* argument | kind << 8 | 1 << 16 of a payload whose rest is unreadable */
	struct memory_range memory_range;
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

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static struct scratch *scratch(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&scratches, &zero);
}
