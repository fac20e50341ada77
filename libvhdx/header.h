/* SPDX-License-Identifier: MIT */
/*
 * The two header copies of a VHDX file: which one is current, and the update
 * protocol (MS-VHDX 2.2.2.1). Only one copy is ever being overwritten, always
 * the one that is not current, and it is durable before the other is touched.
 * Does not know what the GUIDs mean; callers decide when they change.
 */
#ifndef HEADER_H
#define HEADER_H

#include "file.h"
#include "format.h"

struct header_pair {
	struct fmt_header cur;
	int cur_slot;		/* 0 or 1 */
	bool valid[2];
	struct fmt_header copy[2];
	struct vhdx_err why[2]; /* of an invalid copy */
};

/* Blocking. Chooses the current copy: the only valid one, or the one with the
 * larger sequence number; equal numbers only if the copies are identical
 * (Disk2VHD writes such files). CORRUPT if there is none. */
int header_load(struct file *f, struct header_pair *p,
		struct vhdx_err *e) must_check;

/* Step 1 of an update: p->cur as edited by the caller, with the next sequence
 * number, is encoded for the slot that is not current. *off: where it must be
 * written and synced before header_wrote(). CORRUPT if the sequence number
 * would overflow. */
int header_next(struct header_pair *p, uint8_t buf[FMT_HEADER_LEN],
		uint64_t *off, struct vhdx_err *e) must_check;

/* Step 2: the write of header_next() is durable; the slots swap roles. */
void header_wrote(struct header_pair *p);

/* Blocking. Both steps, twice, so that both copies carry p->cur. */
int header_update(struct file *f, struct header_pair *p,
		  struct vhdx_err *e) must_check;

#endif
