/* SPDX-License-Identifier: MIT */
/*
 * The engine of the bench command: a number of equal requests, so many of them
 * in flight, at places in steps or at random; each one timed. While it runs it
 * allocates nothing and reads the clock once per request: the moment one is
 * done is the moment the next begins. (Threads of their own read it twice.)
 */
#ifndef BENCH_H
#define BENCH_H

#include "hist.h"
#include "vhdx.h"

struct bench_plan {
	enum vhdx_op op; /* READ or WRITE */
	bool random;
	uint64_t bs_len;  /* of each request, > 0 */
	uint64_t depth;	  /* requests in flight, > 0 */
	uint64_t cnt;	  /* requests in all, > 0 */
	uint64_t voff;	  /* of the first; one request fits behind it */
	uint64_t step_len; /* from one to the next */
	uint64_t seed;	  /* of the random places */
	uint64_t flush_interval; /* requests; 0: no flushes */
	uint64_t threads; /* that submit, at most `depth`; 0: the owner does */
};

struct bench_result {
	uint64_t done, flushes;
	uint64_t ns; /* from the first submit to the last completion */
	struct hist hist;
};

/*
 * Places. In steps: from voff on, modulo the size of the disk, as in qemu-img
 * bench; where a request would hang over the end it goes to 0 instead. At
 * random: whole multiples of bs_len from voff on; the same seed, the same
 * places. Thread t of n takes every n-th, starting with the t-th, and the same
 * share of depth and count; so all together do the same as one.
 *
 * A flush comes after all writes of its interval have completed, so that it
 * covers them; each thread counts and waits for its own.
 *
 * Blocking. CANCELED: a signal came (intr.h).
 */
int bench_run(struct vhdx_blk *blk, const struct bench_plan *plan,
	      struct bench_result *out, struct vhdx_err *e);

#endif
