/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fields of the kernel's structs that are read. libbpf finds them by name in the BTF of the
 * running kernel (CO-RE), so offsets need not agree.
 * Sources: include/linux/{sched,fs,dcache,mm_types,fdtable,fs_struct,binfmts}.h, fs/mount.h.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define KERNEL __attribute__((preserve_access_index))

struct pt_regs {
	unsigned long bp, bx, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
} KERNEL;

struct qstr {
	union {
		struct {
			u32 hash;
			u32 len;
		};
		u64 hash_len;
	};
	const unsigned char *name;
} KERNEL;
struct hlist_bl_node {
	struct hlist_bl_node **pprev;
} KERNEL;
struct super_block {
	u32 s_dev;
	unsigned long s_magic;
	struct dentry *s_root;
} KERNEL;
typedef struct {
	u32 val;
} kuid_t;
typedef struct {
	u32 val;
} kgid_t;
struct inode {
	u16 i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_nlink;
	u32 i_rdev;
	s64 i_size;
} KERNEL;
struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
} KERNEL;
struct vfsmount {
	struct dentry *mnt_root;
} KERNEL;
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} KERNEL;
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} KERNEL;
struct file {
	u32 f_mode;
	s64 f_pos;
	u32 f_flags;
	struct inode *f_inode;
	struct path f_path;
} KERNEL;
struct fdtable {
	u32 max_fds;
	struct file **fd;
} KERNEL;
struct files_struct {
	struct fdtable *fdt;
} KERNEL;
struct fs_struct {
	struct path root, pwd;
} KERNEL;
struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
} KERNEL;
struct linux_binprm {
	const char *filename, *interp;
} KERNEL;
typedef struct {
	int counter;
} atomic_t;
struct task_struct;
struct signal_struct {
	atomic_t live;
	struct task_struct *group_exec_task;
} KERNEL;
struct sighand_struct;
typedef struct {
	unsigned long sig[1];
} sigset_t;
struct sigpending {
	sigset_t signal;
} KERNEL;
struct seccomp {
	int mode;
} KERNEL;
struct thread_info {
	u32 status;
} KERNEL;
struct cred {
	kuid_t euid;
	kgid_t egid;
} KERNEL;
struct task_struct {
	struct task_struct *real_parent;
	struct thread_info thread_info;
	int pid, tgid, exit_code;
	struct mm_struct *mm;
	struct files_struct *files;
	struct fs_struct *fs;
	struct signal_struct *signal;
	const struct cred *cred;
	struct sighand_struct *sighand;
	struct sigpending pending;
	struct seccomp seccomp;
} KERNEL;
struct kernel_siginfo {
	int si_signo, si_errno, si_code;
	struct {
		struct {
			int _pid;
		} _kill;
	} _sifields;
} KERNEL;
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL;
/* io_uring: include/linux/io_uring_types.h, io_uring/rw.c. */
struct io_cqe {
	u64 user_data;
	s32 res;
} KERNEL;
struct io_ring_ctx {
	u32 flags, cached_sq_head, sq_entries;
	u32 *sq_array;
	void *sq_sqes;
} KERNEL;
struct io_kiocb {
	struct file *file;
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
} KERNEL;
struct io_rw {
	u64 addr;
} KERNEL;
struct io_uring_cqe {
	u64 user_data;
	s32 res;
	u32 flags;
} KERNEL;
