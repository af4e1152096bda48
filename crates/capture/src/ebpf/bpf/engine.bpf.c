/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The eBPF engine's half in the kernel: watches entries and exits of system calls, and births, execs and deaths of threads, and makes records of them. It names no
 * system call: what to keep of which is in the plans that user space loads.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "calls.h"
#include "family.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
