/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space says of the opcodes of io_uring and libaio (crates/abi/src/row/operation.rs). */
#pragma once
#include "kernel.h"

/* Fields of `struct io_uring_sqe`; some are fields of `struct iocb`, too. */
enum sqe_field {
	ZERO,
	SQE_FD,
	SQE_OFF,
	SQE_ADDR,
	SQE_LEN,
	SQE_OP_FLAGS,
	SQE_FILE_INDEX,
	SQE_ADDR3,
	SQE_FD_OR_SLOT
};
struct opcode {
	u32 plan;
	u8 fields[6];
	u8 returns_bytes; /* its result is a number of bytes: of argument 2, */
	u8 vectors;	  /* or of as many vectors as that says */
	u8 multishot;	  /* it may complete many times */
	u8 pad[3];
};

#define OPCODES 256
#define URING_NUMBERS 0x80000000u
#define AIO_NUMBERS (URING_NUMBERS + OPCODES)
