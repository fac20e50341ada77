/* SPDX-License-Identifier: MIT */
/*
 * Compacting a VHDX or VHD in memory, over a model of what its disk holds:
 * nothing that a guest reads may change, whatever fails, and whenever power
 * does.
 */
#ifndef T_COMPACT_H
#define T_COMPACT_H

#include "file.h"
#include "image.h"
#include "memimg.h"

#define TC_SIZE (24 * MIB + 4096) /* the last block is not whole */

struct t_compact {
	struct loop *loop;
	enum vhdx_format format;
	struct memimg base, child, model;
	struct memimg *disk; /* the one being compacted */
	struct vhdx_compact_result result;
	/* How to compact; all zero at first. */
	struct vhdx_unused unused;
	bool use_unused, dry_run;
	int (*progress)(void *arg, uint64_t done, uint64_t total);
};

extern struct t_compact tc;

/* A base, and with has_parent a child over it, each with cnt random changes:
 * data, zeros that take space, holes. */
void tc_begin(enum vhdx_format format, uint32_t block_len, bool has_parent,
	      unsigned cnt, uint64_t seed);
void tc_create_child(uint32_t block_len); /* over the base */
void tc_end(void);

/* With its parent, if it is the child that is compacted. */
struct vhdx_blk *tc_open(struct memimg *m, unsigned flags);
struct image *tc_image(struct memimg *m, unsigned flags);

/* seed 0: zeros. */
void tc_put(struct vhdx_blk *blk, uint64_t voff, uint64_t len, uint64_t seed);
void tc_zeroes(struct vhdx_blk *blk, uint64_t voff, uint64_t len);

/* What was ever touched, or all of it, is as in the model. */
void tc_check_pages(struct memimg *m, bool all);
/* No errors, and if it was closed no warnings. */
void tc_check_sound(struct memimg *m, bool closed);

int tc_compact_file(struct file *f, struct vhdx_err *e); /* takes over f */
int tc_compact(struct memimg *m);
void tc_compact_and_check(void);

/* The nth operation of a run fails: what is left is intact, and another run
 * completes. False: there is no nth one. */
bool tc_fail_nth(uint64_t nth, int sys_errno);

/* A run, then everything that a power failure at any instant of it leaves. */
void tc_power_fails(enum vhdx_format format, uint32_t block_len,
		    bool has_parent, uint64_t seed, unsigned delay);

/* ---- claims that hold for both formats ----------------------------------- */

/* What tc_begin() is to be called with; 0: an empty disk, no child. */
struct tc_disk {
	enum vhdx_format format;
	uint32_t block_len;
	bool has_parent;
	unsigned cnt;
	uint64_t seed;
};

void tc_second_run_changes_nothing(const struct tc_disk *d);
void tc_dry_run_is_right(const struct tc_disk *d);
/* Ends with the disk compacted, and open for a last look until tc_end(). */
void tc_stopped_run_goes_on(const struct tc_disk *d);
void tc_any_allocation_may_fail(const struct tc_disk *d);
void tc_any_operation_may_fail(const struct tc_disk *d);

/* On a disk that was begun: MiB 0 to 9 with data, of which 3, 4 and 8 are
 * unused or zeros, 6 but for a sector. */
void tc_put_unused(void);

#endif
