/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records as they stand in the journal, byte for byte as in crates/trace/src/format/record.rs; and
 * what user space passes in: crates/abi/src/plan.rs, crates/capture/src/ebpf/load/plan_maps.rs.
 */
#pragma once
#include "kernel.h"

enum record_kind { CALL, PART, START, EXEC, EXIT_, SIGNAL };
enum { NO_EXIT = 1, NO_ENTRY = 2, COMPAT = 4, NOT_MADE = 8, BY_CONTRACT = 16, TAKEN = 32 };

/* What the call's descriptor referred to when the call was entered. */
struct fd_snapshot {
	u64 ino, offset;
	u32 dev;
	u16 mode, pad;
};

struct header {
	u32 len;
	u8 kind, flags;
	u16 payloads;
	u64 seq;
	u32 pid, tid, nr, cpu;
	u64 entered, left;
	s64 ret;
	u64 args[6];
	struct fd_snapshot fd_snapshot;
};

enum payload_kind {
	DATA_PAYLOAD,
	BYTES,
	STRING,
	STR_VEC,
	IOVECS,
	MSG,
	NAME,
	CONTROL,
	IOCBS,
	IDENTITY
};
enum { AT_EXIT = 1, UNREADABLE = 2, CUT = 4 };

struct payload {
	u8 arg, kind, flags, pad;
	u32 len;
	u64 wanted;
};

struct identity {
	u64 dev, ino, size, offset, born;
	u32 status, mode, links, uid, gid, magic;
	u64 rdev, created, spare;
};
enum { CREATED_KNOWN = 1, CREATED = 2, UNNAMED = 8 };

/* The same offsets as in crates/trace/src/format/record/layout.rs. */
_Static_assert(sizeof(struct header) == 128 && __builtin_offsetof(struct header, seq) == 8, "");
_Static_assert(__builtin_offsetof(struct header, entered) == 32 &&
		       __builtin_offsetof(struct header, args) == 56,
	       "");
_Static_assert(__builtin_offsetof(struct header, fd_snapshot) == 104 &&
		       sizeof(struct fd_snapshot) == 24,
	       "");
_Static_assert(sizeof(struct payload) == 16 && __builtin_offsetof(struct payload, len) == 4, "");
_Static_assert(sizeof(struct identity) == 88 && __builtin_offsetof(struct identity, status) == 40,
	       "");
_Static_assert(__builtin_offsetof(struct identity, created) == 72, "");

/* A step of a plan, and how many bytes of data it may take. */
enum what {
	W_BYTES,
	W_STRING,
	W_STR_VEC,
	W_IOV,
	W_MSG,
	W_MSGS,
	W_IOCBS,
	W_FILE,
	W_IDENTITY,
	W_LANDED,
	W_RANGE
};
enum when { ENTRY, EXIT, EXIT_ALWAYS };
enum from { FIXED, ARG, RET, DEREF, HEAD, BITS };
enum {
	NONE = 255,
	OWN = 254,
	RESULT = 254,
	WORKING_DIRECTORY = 253,
	BY_NAME = 253,
	ROOT_DIRECTORY = 252,
	RING = 251,
	MAPPING = 250
};
enum { DATA = 1, CLAMP = 2, RECEIVED = 4 };

struct step {
	u8 what, when, arg, from, len_arg, arg2, flags, arg3;
	u32 unit, base;
	u64 limit;
};

#define STEPS 8
/*
 * `begins`: the call takes a vector of strings, as those that begin a program do. `fd`: which
 * argument is the call's descriptor; NONE: no argument is. `mapping`: enum mapping_use. `changes`:
 * which argument is the descriptor of the file that the call changes; RESULT: the file that it opens
 * may be emptied; BY_NAME: it has no descriptor.
 */
struct plan {
	u32 count[2];
	u32 begins, fd;
	u32 mapping, changes;
	struct step steps[2][STEPS];
};

/*
 * The plan of a call's number (0: the call is not recorded), which argument's value may choose
 * another plan, and what the call means to contexts of libaio (enum aio_use).
 */
struct number {
	u32 plan, mask;
	u32 by, variants;
	u32 aio, unused;
};
/* As in crates/abi/src/row.rs; LAST_LOOK: the process may have no memory of its own afterwards. */
enum aio_use { AIO_CREATE = 1, AIO_SUBMIT, AIO_DESTROY, AIO_REAP, AIO_CANCEL, AIO_LAST_LOOK };
struct variant {
	u64 nr, value;
};

/* What the call means to mapped files, as in crates/capture/src/mapped_files.rs. */
enum mapping_use { MAP_FILE = 1, CHANGE_MAPPINGS, SYNC_MAPPINGS, PROTECT_MAPPINGS };

/*
 * A request to user space: read the bytes that the kernel moved from or to this file. The path that
 * the file had then follows.
 *
 * MAPPED: this part of the file was mapped at `limit` with protection `nr`; `arg` is the number of
 * the mapping. STORED, CHANGED, ENDED: look at the files that the process has mapped, as it asks for
 * its stores to reach the disk, may have ended mappings or made some writable, or has ended. COPIED:
 * the process has the mappings of process `tid`. WRITTEN: a call has changed the file `from` (its
 * inode number; 0: some file). Of these no path follows.
 */
struct request {
	u64 entered, from, wanted, limit, ino;
	u32 pid, tid, nr, arg;
	s32 fd;
	u32 how;
};
enum {
	TO_THE_END = 1,
	WRITTEN_THERE = 2,
	MAPPED = 4,
	STORED = 8,
	CHANGED = 16,
	ENDED = 32,
	COPIED = 64,
	WRITTEN = 128
};

/* Shared with user space, one for each CPU, each on its own cache lines. */
struct cpu_state {
	u64 seq;	/* the sequence number of the next record */
	u64 held;	/* for how many nanoseconds calls were delayed in total */
	u64 wake_at;	/* wake the consumer when this many bytes are in the ring */
	u64 alarm_at;	/* have user space stop all processes when this many bytes are */
	u64 long_calls; /* calls that may be longer than the room in the ring: user space is to empty
			   it without waiting for the disk */
	u64 at_most;	/* an upper limit of the bytes in the ring */
	u64 spare[10];
};

/* Shared with user space, one for all CPUs. */
struct common_state {
	s64 alive;   /* threads in scope */
	u64 joining; /* whether `joined` need be looked at */
	u64 missed;  /* threads that are not recorded, as there was no memory for them */
	u64 refused; /* requests that were not made, as there was no room for them */
	u64 asked;   /* requests to read files, with those that were refused */
	u64 served;  /* requests whose files were read */
	u64 kept; /* how many of the first requests have their answers in the journals; those that
		     were refused do not count */
	u64 waiting;	  /* CPUs that wait for room in their rings */
	u64 cpus;	  /* CPUs that are online */
	u64 uring_count;  /* rings of io_uring that came into scope */
	u64 uring_state;  /* enum on_demand_state, of uring.bpf.c */
	u64 uring_late;	  /* whether a ring was used before uring_state was decided */
	u64 aio_state;	  /* enum on_demand_state, of aio.bpf.c */
	u64 aio_late;	  /* whether a context of libaio was used before aio_state was decided */
	u64 mappings;	  /* shared mappings of files that were created */
	u64 file_wait_ns; /* how long a call waits for its request; 0: not at all, since the threads
			 that serve requests have no other CPU */
};

/*
 * Whether uring.bpf.c or aio.bpf.c is there: each is loaded when it is needed. LOADING: all threads
 * in scope have been stopped meanwhile.
 */
enum on_demand_state { ABSENT, ATTACHED, IMPOSSIBLE, LOADING };

/* A call that has begun and not ended. */
struct under_way {
	u64 entered, args[6];
	u32 pid, tid, nr, flags;
};
