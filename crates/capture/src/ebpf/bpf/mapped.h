/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared mappings of files. No call shows what is stored through one, so user space is told of each
 * mapping and compares the file (crates/capture/src/mapped_files.rs) when the program asks for
 * stores to reach the disk, and after what can end a mapping. The thread waits meanwhile.
 */
#pragma once
#include "call_record.h"

/* For each process that has mapped a file shared, the range of addresses of these mappings. */
struct addresses {
	u64 start, end;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct addresses);
} mapped SEC(".maps");

/* Numbers of mappings to which the program may have stored before user space had read the file. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u32);
} stored_early SEC(".maps");

enum { MAP_TYPE = 0xf, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, FMODE_WRITE = 2 };
enum { PROT_WRITE = 2 };
/* Arguments of mmap(2), munmap(2), msync(2), mprotect(2) and mremap(2). */
enum { ARG_LEN = 1, ARG_PROT = 2, ARG_NEW_LEN = 2, ARG_FLAGS = 3, ARG_FD = 4, ARG_OFFSET = 5 };
enum { O_APPEND = 02000, O_DIRECT = 040000 };

/* The inode numbers of files that are mapped to be stored to; 0: any may be. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, u32);
} stored_files SEC(".maps");

static __always_inline struct addresses *mapped_by(u32 pid)
{
	return bpf_map_lookup_elem(&mapped, &pid);
}

/*
 * Tells user space of the mapping that the current call has created, if it is a shared one of a
 * regular file that is open for writing. The record of the call gets the number of the mapping.
 */
__noinline int begin_mapping(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *me = bpf_task_storage_get(&threads, task, 0, 0);
	struct common_state *c = common_state();
	struct scratch *s = scratch();
	u32 pid = task->tgid, one = 1;
	if (!me || !c || !s)
		return 0;
	u64 flags = s->head.args[ARG_FLAGS];
	struct file *file = open_file(task, (s32)s->head.args[ARG_FD]);
	struct inode *inode = regular(file);
	if ((flags & MAP_TYPE) == MAP_PRIVATE || flags & MAP_ANONYMOUS || !inode ||
	    !(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return 0;
	/* Through such a descriptor, replay could not write at any offset. */
	if (BPF_CORE_READ(file, f_flags) & (O_APPEND | O_DIRECT))
		return 0;
	/* The memory is another process's, too (vfork): the mapping does not end with this one. */
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	if (BPF_CORE_READ(parent, tgid) != task->tgid &&
	    BPF_CORE_READ(parent, mm) == BPF_CORE_READ(task, mm))
		return 0;
	/* A file of memfd_create(2) is in no directory. */
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(dentry, d_parent) == dentry)
		return 0;
	struct addresses all = {s->head.ret, s->head.ret + s->head.args[ARG_LEN]};
	struct addresses *before = mapped_by(pid);
	if (before && before->start < all.start)
		all.start = before->start;
	if (before && before->end > all.end)
		all.end = before->end;
	if (bpf_map_update_elem(&mapped, &pid, &all, BPF_ANY))
		return 0;
	u64 ino = s->head.args[ARG_PROT] & PROT_WRITE ? BPF_CORE_READ(inode, i_ino) : 0;
	if (ino && bpf_map_update_elem(&stored_files, &ino, &one, BPF_ANY))
		return 0;
	u32 number = __sync_fetch_and_add(&c->mappings, 1) + 1;
	*(u32 *)s->bytes = number;
	from_scratch(MAPPING | BYTES << 8, sizeof(number), sizeof(number));
	flush(s);
	u32 len = describe_file(s, file) - IDENTITY_LESS_REQUEST;
	*request_in(s) = (struct request){
		.pid = s->head.pid,
		.tid = s->head.tid,
		.arg = number,
		.nr = s->head.args[ARG_PROT],
		.limit = s->head.ret,
		.fd = s->head.args[ARG_FD],
		.from = s->head.args[ARG_OFFSET],
		.wanted = s->head.args[ARG_LEN],
		.how = MAPPED,
		.ino = BPF_CORE_READ(inode, i_ino),
	};
	me->maps = 1;
	bool is_served = request(len);
	me->maps = 0;
	if (!is_served)
		bpf_map_update_elem(&stored_early, &number, &one, BPF_ANY);
	return 0;
}

/*
 * Asks user space to look at the files that a process has mapped. `how`: why. `at`: only at what is
 * mapped there, if `len` is not 0.
 */
__noinline int ask_for_look(u64 thread, u32 how, u64 at, u64 len)
{
	struct scratch *s = scratch();
	if (!s)
		return 0;
	*request_in(s) = (struct request){
		.pid = thread >> 32, .tid = thread, .how = how, .from = at, .wanted = len};
	return request(sizeof(struct request));
}

#define THREAD(pid, tid) ((u64)(pid) << 32 | (tid))

/* A call is entered that needs what was stored. */
static __always_inline void look_before(struct task_struct *task, struct thread *t,
					const struct plan *p)
{
	if (p->mapping != SYNC_MAPPINGS || !mapped_by(task->tgid))
		return;
	u64 len = p->fd < 6 ? 0 : t->args[ARG_LEN];
	ask_for_look(THREAD(task->tgid, task->pid), STORED, t->args[0], len);
	t->entered = bpf_ktime_get_ns();
}

/* A call has returned that may have ended mappings or made some writable. */
static __always_inline void look_after(struct task_struct *task, struct thread *t,
				       const struct plan *p, u64 ret)
{
	struct addresses *all = mapped_by(task->tgid);
	bool changes = p->mapping == CHANGE_MAPPINGS ||
		       (p->mapping == MAP_FILE && t->args[ARG_FLAGS] & MAP_FIXED) ||
		       (p->mapping == PROTECT_MAPPINGS && t->args[ARG_PROT] & PROT_WRITE);
	if (!all || !changes || t->args[0] >= all->end ||
	    t->args[0] + t->args[ARG_LEN] <= all->start)
		return;
	u64 any = 0;
	u32 one = 1;
	if (p->mapping == PROTECT_MAPPINGS)
		bpf_map_update_elem(&stored_files, &any, &one, BPF_ANY);
	/* mremap(2) may have moved a mapping. */
	if (p->mapping == CHANGE_MAPPINGS && ret) {
		all->start = ret < all->start ? ret : all->start;
		u64 end = ret + t->args[ARG_NEW_LEN];
		all->end = end > all->end ? end : all->end;
	}
	ask_for_look(THREAD(task->tgid, task->pid), CHANGED, 0, 0);
}

/* The current call has succeeded, and has changed a file: one that may be mapped. */
__noinline int note_change(u32 changes)
{
	struct scratch *s = scratch();
	struct common_state *c = common_state();
	if (!s || !c || !c->mappings)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	u64 ino = 0, any = 0;
	if (changes != BY_NAME) {
		s64 fd = changes == RESULT ? s->head.ret : (s32)argument(s, changes);
		struct inode *inode = regular(open_file(task, fd));
		/* A file that an open has emptied is empty. */
		if (!inode || (changes == RESULT && BPF_CORE_READ(inode, i_size)))
			return 0;
		ino = BPF_CORE_READ(inode, i_ino);
		if (!bpf_map_lookup_elem(&stored_files, &ino) &&
		    !bpf_map_lookup_elem(&stored_files, &any))
			return 0;
	}
	return ask_for_look(THREAD(task->tgid, task->pid), WRITTEN, ino, 0);
}

/* A process has ended, or has begun another program. */
static __always_inline void end_mappings(struct task_struct *task)
{
	u32 pid = task->tgid;
	if (!mapped_by(pid))
		return;
	bpf_map_delete_elem(&mapped, &pid);
	ask_for_look(THREAD(pid, task->pid), ENDED, 0, 0);
}

/* Process `child` has copies of the mappings of `parent`. */
static __always_inline void copy_mappings(u32 parent, u32 child)
{
	struct addresses *all = mapped_by(parent);
	if (all && !bpf_map_update_elem(&mapped, &child, all, BPF_ANY))
		ask_for_look(THREAD(child, parent), COPIED, 0, 0);
}
