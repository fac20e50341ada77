/* SPDX-License-Identifier: MIT */
/*
 * The partitions of a disk: MBR with logical partitions, GPT by its primary or
 * its backup header, sectors of 512 or 4096 bytes. Reads only, through the
 * caller's function, and believes nothing: any bytes give an answer in bounded
 * time and memory, and whatever is listed lies on the disk.
 *
 * Which partitions there are, and their numbers, is what Linux would say; but a
 * GPT's backup counts when its primary is damaged, and a chain of logical
 * partitions that leads nowhere is damage. Whether they overlap, and whether a
 * type is one to be touched, is for the caller to ask.
 *
 * It needs err.o and mem.o and nothing else of the library: programs link all
 * three as parttab_OBJS (module.mk).
 */
#ifndef PARTTAB_H
#define PARTTAB_H

#include "base.h"
#include "vhdx_edit.h"

/* len bytes at off of the disk, both multiples of 4096, or cut by its end. */
typedef int parttab_read_fn(void *arg, uint64_t off, void *buf, size_t len,
			    struct vhdx_err *e);

#define PARTTAB_MAX 256u

struct parttab_part {
	unsigned nr;	   /* as in sda1; logical ones from 5 on */
	uint64_t off, len; /* bytes; cut at the end of the disk, never empty */
	/* GPT: the GUID as stored. MBR: the byte, then zeros. */
	uint8_t type[16];
	/* MBR: the room logical partitions are in, not one to be used. */
	bool extended;
};

struct parttab {
	enum vhdx_table kind;
	uint32_t sector_len; /* the table's; a GPT's may not be the disk's */
	/* Ascending by number; none where it is DAMAGED. */
	unsigned part_cnt;
	struct parttab_part parts[PARTTAB_MAX];
	bool more;   /* there was no room for all */
	bool backup; /* a GPT whose primary header is not right */
	/* MBR and GPT both name partitions, or no MBR guards the GPT. One of
	 * them is left over, or old programs see another disk than new ones.
	 * Listed is the GPT if its MBR guards it, else the MBR alone. */
	bool mixed;
	uint64_t head_len; /* what the table takes at the start, bytes */
	uint64_t end_len;  /* where the last one of any table ends */
	/* What a disk must have for them, and a GPT's backup behind them. */
	uint64_t min_len;
	struct vhdx_err why; /* DAMAGED */
};

/* Blocking. Fails only if something cannot be read, or for memory: a table that
 * makes no sense is DAMAGED. sector_len: the disk's, 512 or 4096. e may be
 * NULL. */
int parttab_load(parttab_read_fn *read, void *arg, uint64_t size_len,
		 uint32_t sector_len, struct parttab *out,
		 struct vhdx_err *e) must_check;

#endif
