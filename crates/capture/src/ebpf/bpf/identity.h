/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a descriptor or a directory is: what statx and /proc/PID/fd would say
 * (crates/capture/src/inspect/identity.rs), read from the kernel's structs.
 */
#pragma once
#include "ring.h"

enum { PIPEFS = 0x50495045, SOCKFS = 0x534f434b, ANON_INODE_FS = 0x09041934 };
enum { FMODE_CREATED = 1 << 20 };
/* The most names of a path; a path has 4096 bytes. */
enum { NAMES = 512, END = STRING_BYTES };

/* The kernel's device number in user space's encoding (makedev(3)). */
static __always_inline u64 device(u32 dev)
{
	u64 major = dev >> 20, minor = dev & 0xfffff;
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffULL) << 12 |
	       (major & ~0xfffULL) << 32;
}

/* The kernel's numbers of these types, for casts; from user space. */
const volatile u32 type_task_struct, type_path, type_file, type_inode, type_super_block;
#define CAST(ptr, tag) ((struct tag *)bpf_rdonly_cast(ptr, type_##tag))

/*
 * Fields of what a pointer leads to that the kernel gave us as a number: read at once where the
 * verifier can be told its type (Linux 6.2 and later), else by a call each.
 */
#define READ(ptr, tag, field)                                     \
	(bpf_ksym_exists(bpf_rdonly_cast) ? CAST(ptr, tag)->field \
					  : BPF_CORE_READ((struct tag *)(ptr), field))

/*
 * The same of a pointer whose type the verifier knows: a plain load before Linux 6.2, after which
 * what was loaded has a type, too.
 */
#define FIELD(ptr, tag, field) \
	(bpf_ksym_exists(bpf_rdonly_cast) ? CAST(ptr, tag)->field : (ptr)->field)

/* The open file of a descriptor of the current thread. */
static __always_inline struct file *open_file(struct task_struct *task, s64 fd)
{
	struct files_struct *files = FIELD(task, task_struct, files);
	struct fdtable *table = files ? files->fdt : 0;
	if (!table || fd < 0 || fd >= table->max_fds)
		return 0;
	/*
	 * An element of an array of pointers has no type that the verifier knows. To the verifier,
	 * it is a struct that begins with a pointer.
	 */
	return (struct file *)READ(table->fd + fd, path, mnt);
}

/* What an open file is, in short. */
static __always_inline void take_file_snapshot(struct file *file, struct fd_snapshot *fd_snapshot)
{
	struct inode *inode = file ? READ(file, file, f_inode) : 0;
	if (!inode)
		return;
	fd_snapshot->offset = READ(file, file, f_pos);
	fd_snapshot->ino = READ(inode, inode, i_ino);
	fd_snapshot->mode = READ(inode, inode, i_mode);
	struct super_block *sb = READ(inode, inode, i_sb);
	fd_snapshot->dev = device(READ(sb, super_block, s_dev));
}

/* What a descriptor of the current thread refers to, in short. */
static __always_inline void take_fd_snapshot(struct task_struct *task, s64 fd,
					     struct fd_snapshot *fd_snapshot)
{
	take_file_snapshot(open_file(task, fd), fd_snapshot);
}

/* Puts `text` before what is at `at`; returns where it begins. */
static __always_inline u32 before(struct scratch *s, u32 at, const void *text, u32 len)
{
	u32 to = at - len;
	if (len > 255 || to > END)
		return at;
	bpf_probe_read_kernel(s->path + to, len, text);
	return to;
}

static long one_name(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	if (!s)
		return 1;
	struct walk *w = &s->walk;
	struct dentry *dentry = w->dentry;
	struct vfsmount *mnt = w->mnt;
	if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
		struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		struct mount *parent = BPF_CORE_READ(mount, mnt_parent);
		if (parent == mount) {
			w->mnt = 0;
			return 1;
		}
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) {
		w->mnt = 0;
		return 1;
	}
	u32 len = BPF_CORE_READ(dentry, d_name.len) & 255;
	w->at = before(s, w->at, BPF_CORE_READ(dentry, d_name.name), len);
	w->at = before(s, w->at, "/", 1);
	w->due += len + 1;
	w->dentry = parent;
	return 0;
}

static long one_digit(u32 i, void *ctx)
{
	struct scratch *s = scratch();
	if (!s)
		return 1;
	char digit = '0' + s->walk.digits % 10;
	s->walk.at = before(s, s->walk.at, &digit, 1);
	s->walk.digits /= 10;
	return s->walk.digits == 0;
}

/* "pipe:[17]". */
static __always_inline u32 numbered(struct scratch *s, const char *name, u32 len, u64 ino)
{
	s->walk = (struct walk){.digits = ino, .at = before(s, END, "]", 1)};
	bpf_loop(20, one_digit, 0, 0);
	return before(s, s->walk.at, name, len);
}

/*
 * Puts the identity and path of an inode under a name into the scratch memory; returns how many
 * bytes. The verifier checks a function that is not inline once for each program, however often it
 * is called. Its arguments must be numbers then, so pointers are passed as numbers.
 */
__noinline int describe(u64 inode_at, u64 mnt_at, u64 dentry_at, u64 offset, u64 created)
{
	struct inode *inode = (void *)inode_at;
	struct vfsmount *mnt = (void *)mnt_at;
	struct dentry *dentry = (void *)dentry_at;
	struct scratch *s = scratch();
	if (!s)
		return 0;
	struct identity *id = (void *)s->bytes;
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	u32 len = BPF_CORE_READ(dentry, d_name.len) & 255;
	const void *name = BPF_CORE_READ(dentry, d_name.name);
	*id = (struct identity){
		.dev = device(BPF_CORE_READ(sb, s_dev)),
		.ino = BPF_CORE_READ(inode, i_ino),
		.size = BPF_CORE_READ(inode, i_size),
		.offset = offset,
		.mode = BPF_CORE_READ(inode, i_mode),
		.links = BPF_CORE_READ(inode, i_nlink),
		.uid = BPF_CORE_READ(inode, i_uid.val),
		.gid = BPF_CORE_READ(inode, i_gid.val),
		.magic = BPF_CORE_READ(sb, s_magic),
		.rdev = device(BPF_CORE_READ(inode, i_rdev)),
		.created = created,
	};
	u32 at = END;
	if (parent == dentry && dentry != BPF_CORE_READ(mnt, mnt_root)) {
		/* A name that the kernel made up. */
		switch (id->magic) {
		case PIPEFS:
			at = numbered(s, "pipe:[", 6, id->ino);
			break;
		case SOCKFS:
			at = numbered(s, "socket:[", 8, id->ino);
			break;
		case ANON_INODE_FS:
			at = before(s, before(s, at, name, len), "anon_inode:", 11);
			break;
		default:
			at = before(s, before(s, before(s, at, " (deleted)", 10), name, len), "/",
				    1);
			id->created |= UNNAMED;
		}
	} else {
		struct walk *w = &s->walk;
		*w = (struct walk){dentry, mnt, 0, at};
		if (parent != dentry && !BPF_CORE_READ(dentry, d_hash.pprev)) {
			w->at = before(s, w->at, " (deleted)", 10);
			id->created |= UNNAMED;
		}
		u32 end = w->at;
		bpf_loop(NAMES, one_name, 0, 0);
		/* A path that does not fit is left out: half of it would name another file. */
		if (w->mnt || end - w->due != w->at)
			return sizeof(*id);
		at = w->at == END ? before(s, w->at, "/", 1) : w->at;
	}
	if (at > END)
		return sizeof(*id);
	u32 n = END - at;
	bpf_probe_read_kernel(s->bytes + sizeof(*id), n, s->path + at);
	return sizeof(*id) + n;
}

static __always_inline u32 describe_file(struct scratch *s, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u64 created = CREATED_KNOWN | (BPF_CORE_READ(file, f_mode) & FMODE_CREATED ? CREATED : 0);
	u64 mnt = (u64)BPF_CORE_READ(file, f_path.mnt),
	    dentry = (u64)BPF_CORE_READ(file, f_path.dentry);
	return describe((u64)inode, mnt, dentry, BPF_CORE_READ(file, f_pos), created);
}

static __always_inline u32 descriptor(struct scratch *s, struct task_struct *task, s64 fd)
{
	struct file *file = open_file(task, fd);
	return file ? describe_file(s, file) : 0;
}

static __always_inline u32 directory(struct scratch *s, struct task_struct *task, bool root)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct dentry *dentry =
		root ? BPF_CORE_READ(fs, root.dentry) : BPF_CORE_READ(fs, pwd.dentry);
	struct vfsmount *mnt = root ? BPF_CORE_READ(fs, root.mnt) : BPF_CORE_READ(fs, pwd.mnt);
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	return inode ? describe((u64)inode, (u64)mnt, (u64)dentry, 0, 0) : 0;
}
