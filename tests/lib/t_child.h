/* SPDX-License-Identifier: MIT */
/*
 * A differencing disk over its parent, VHD or VHDX, both in memory, against a
 * byte-for-byte model. One at a time.
 */
#ifndef T_CHILD_H
#define T_CHILD_H

#include "image.h"
#include "memimg.h"

#define CH_SIZE (40 * MIB)

struct t_child {
	enum vhdx_format format;
	uint32_t sector_len;
	struct loop *loop;
	struct memimg base, child;
	struct vhdx_blk *blk; /* the child's; the test's to close */
	uint8_t *model;	      /* CH_SIZE bytes */
	/* Puts something between the child and its file; NULL: nothing. */
	struct file *(*wrap)(struct file *f);
	unsigned bursts_left, bursts_bad; /* of the last burst */
};

extern struct t_child ch;

/* A parent of base_len bytes with data here and there, a child of the same
 * sector size and of child_len; the child is open for writing. */
void ch_begin_sized(enum vhdx_format format, uint64_t base_len,
		    uint32_t block_len, uint64_t child_len,
		    uint32_t sector_len);
void ch_begin(enum vhdx_format format, uint32_t block_len,
	      uint32_t sector_len); /* both of CH_SIZE */
void ch_end(void);

void ch_create(uint32_t block_len, uint64_t size_len); /* another child */
struct image *ch_image(unsigned flags);		       /* without its parent */
void ch_open(unsigned flags);
void ch_close(void);

/* On the open child and in the model. */
void ch_put(uint64_t voff, uint64_t len, uint64_t seed);
void ch_zero(uint64_t voff, uint64_t len);

/* All of the open child reads as the model. */
void ch_check_all(void);
/* check finds nothing in the closed child. */
void ch_check_sound(void);
/* Now, and when closed and opened again; sound. Leaves it closed. */
void ch_check_twice(void);

/* n writes of len bytes, `step` apart, in flight together; what they write lies
 * 512 bytes apart in the model if the disk is larger than that. The caller
 * frees it when bursts_left is 0. */
struct ch_burst {
	struct vhdx_req req;
	struct iovec iov;
	struct vhdx_err err;
};
struct ch_burst *ch_burst(unsigned n, uint64_t step, uint32_t len);

/* ---- claims that hold for both formats ----------------------------------- */

/* Random work on one geometry, reopened now and then. */
void ch_torture(enum vhdx_format format, uint32_t block_len,
		uint32_t sector_len, uint64_t seed);
void ch_empty_child_shows_its_parent(enum vhdx_format format);
void ch_sector_hides_itself_only(enum vhdx_format format);
void ch_writes_in_flight_all_count(enum vhdx_format format);
void ch_does_not_guess_without_parent(enum vhdx_format format);

#endif
