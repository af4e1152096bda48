/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the eBPF engine that runs in the kernel. It makes records of entries and exits of
 * system calls, and of forks, execs and ends of threads. It names no system call: the plans that
 * user space loads say what to copy of each.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "calls.h"
#include "fork_exec_exit.h"
#include "uring_created.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
