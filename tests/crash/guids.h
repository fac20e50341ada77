/* SPDX-License-Identifier: MIT */
/*
 * The promises of the two GUIDs of a VHDX header (MS-VHDX 2.2.2), as a test
 * oracle over the sessions of a workload:
 *
 * G1  Not a byte outside the headers differs from the start of a session while
 *     the current header has that start's FileWriteGuid.
 * G2  Nothing that a reader of the disk can see differs from the start of a
 *     session while the current header has that start's DataWriteGuid.
 * G3  Recovery leaves DataWriteGuid alone.
 */
#ifndef GUIDS_H
#define GUIDS_H

#include "guid.h"
#include "memimg.h"
#include "recover.h"

#define GUIDS_SESSIONS 16

struct guids_session {
	struct guid file_write, data_write; /* when it began */
	uint64_t pos;
	struct memimg img; /* owned */
};

struct guids {
	struct guids_session s[GUIDS_SESSIONS];
	unsigned cnt;
};

/* Another session begins on img at instant pos. */
void guids_add(struct guids *g, struct loop *l, const struct memimg *img,
	       uint64_t pos);
void guids_free(struct guids *g);

/* G1, and G2 by lowering x->pos: the caller verifies the content. */
void guids_verify(const struct guids *g, struct loop *l,
		  const struct memimg *img, struct expect *x,
		  struct verdict *v);

/* G3: before and after. */
void guids_verify_recovery(struct loop *l, const struct memimg *before,
			   const struct memimg *after, struct verdict *v);

#endif
