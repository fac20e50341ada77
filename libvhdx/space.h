/* SPDX-License-Identifier: MIT */
/*
 * Which MiB of the file are in use. Pure bookkeeping, no I/O.
 *
 * Every MiB is used, free, or free and known to read as zeros. Freed space is
 * not handed out again until the caller says space_release(), which it does
 * when the change that freed it is durable: else, after a crash, the old owner
 * would show the new owner's data.
 */
#ifndef SPACE_H
#define SPACE_H

#include "err.h"

struct space {
	uint64_t mib_cnt;   /* size of the file */
	uint64_t free_cnt;  /* MiB */
	uint64_t cursor;    /* where the next search starts */
	uint64_t cap;	    /* MiB the bitmaps can hold */
	uint64_t *used, *zero; /* owned; one bit per MiB */
};

/* A file of file_len bytes (rounded up to MiB), all free, content unknown. */
int space_init(struct space *s, uint64_t file_len,
	       struct vhdx_err *e) must_check;
void space_fini(struct space *s);

/* Marks [off, off + len) used, both MiB multiples within the file; false,
 * with nothing changed, if a part of it is used already. */
bool space_take(struct space *s, uint64_t off, uint64_t len) must_check;

/* A free run of len bytes (MiB multiple), now used; *zero: it reads as zeros.
 * False if there is none: grow the file. */
bool space_alloc(struct space *s, uint64_t len, uint64_t *off,
		 bool *zero) must_check;

/* The lowest free run of len bytes in [from, limit), now used. */
bool space_alloc_low(struct space *s, uint64_t len, uint64_t from,
		     uint64_t limit, uint64_t *off) must_check;

/* The first free run at or after `from`; *len = 0: none. */
void space_next_free(const struct space *s, uint64_t from, uint64_t *off,
		     uint64_t *len);

/* Room in the bitmaps for a file of new_len bytes; fails only for memory. */
int space_reserve(struct space *s, uint64_t new_len,
		  struct vhdx_err *e) must_check;
/* The file has been extended to new_len (reserved before): the new part is
 * free and reads as zeros. */
void space_grow(struct space *s, uint64_t new_len);

/* Back to free. */
void space_release(struct space *s, uint64_t off, uint64_t len, bool zero);

/* End of the last used MiB: the size a file truncated now could have. */
uint64_t space_end(const struct space *s);

#endif
