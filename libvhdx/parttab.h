/* SPDX-License-Identifier: MIT */
/*
 * Where the last partition of a disk ends: MBR with logical partitions, GPT by
 * its primary or its backup header, sectors of 512 or 4096 bytes. Reads only,
 * through the caller's function, and believes nothing: any bytes give an answer
 * in bounded time and memory. Says nothing else about partitions.
 */
#ifndef PARTTAB_H
#define PARTTAB_H

#include "err.h"
#include "vhdx_edit.h"

/* len bytes at off of the disk, both multiples of 4096, or cut by its end. */
typedef int parttab_read_fn(void *arg, uint64_t off, void *buf, size_t len,
			    struct vhdx_err *e);

struct parttab {
	enum vhdx_table kind;
	uint32_t sector_len;
	unsigned part_cnt;
	uint64_t end_len; /* where the last partition ends, bytes */
	/* What a disk must have for them, and a GPT's backup behind them. */
	uint64_t min_len;
	struct vhdx_err why; /* DAMAGED */
};

/* Blocking. Fails only if something cannot be read, or for memory: a table that
 * makes no sense is DAMAGED. sector_len: the disk's. */
int parttab_load(parttab_read_fn *read, void *arg, uint64_t size_len,
		 uint32_t sector_len, struct parttab *out,
		 struct vhdx_err *e) must_check;

#endif
