/* SPDX-License-Identifier: MIT */
/*
 * Random forests of disks: bases and children up to six deep, of all formats,
 * block and sector sizes and lengths, in several folders, under random
 * operations, each of which is told to a byte-for-byte model as well. After a
 * step the disks it had to do with, and now and then all of them, must show
 * exactly what the model has; and check must be content with every file.
 *
 * One case is one seed. A finding comes with the steps that led to it.
 */
#ifndef FOREST_H
#define FOREST_H

#include "case.h"
#include "disks.h"
#include "t.h"

#define FOREST_DEPTH 6

struct forest {
	uint64_t rng;
	struct loop *loop;
	struct verdict *v;
	struct disks ds;
	struct opener_crash o; /* a new one for each step */
	unsigned named;	       /* files so far */
	unsigned step;
	char told[900]; /* the last steps */
};

/* One thing that may happen; false: it cannot, here and now. Picks what it
 * works on, does it, and tells the model. */
typedef bool forest_step_fn(struct forest *f);

struct forest_step {
	unsigned odds;
	forest_step_fn *fn;
};
extern const struct forest_step forest_steps[];
extern const size_t forest_step_cnt;

bool forest_run(uint64_t seed, struct tally *t, struct verdict *v);

/* ---- for forest_*.c ------------------------------------------------------ */

static inline uint64_t forest_below(struct forest *f, uint64_t n)
{
	return t_rand_below(&f->rng, n);
}

/* A disk that is there, at random; -1: none. leaf: without children. */
int forest_pick(struct forest *f, bool leaf);
unsigned forest_depth(const struct forest *f, int i); /* 0: a base */

/* What is about to happen, for who has to find out. */
void forest_tell(struct forest *f, const char *fmt, ...) printf_like(2, 3);

/* "/sim/a/d17.vhdx" */
void forest_new_path(struct forest *f, enum vhdx_format format,
		     char out[OPENER_CRASH_PATH]);

/* rc is 0, or a finding. */
bool forest_ok(struct forest *f, int rc, const struct vhdx_err *e);

void forest_verify(struct forest *f, int i);

/* forest_whole.c: what changes whole images. */
forest_step_fn forest_set_parent, forest_set, forest_merge, forest_compact,
	forest_resize;

#endif
