/* SPDX-License-Identifier: MIT */
/*
 * One crash disk (tests/sim/file_crash.h) in a world of its own, with habits
 * that follow from a seed: how disorderly it completes, whether it can punch.
 * And the choice of instants and contents that finds mistakes.
 */
#ifndef RIG_H
#define RIG_H

#include "file_crash.h"

struct rig {
	struct crash_world *world;
	struct crash_disk *disk;
};

void rig_init(struct rig *r, const struct memimg *img, uint64_t seed);
void rig_fini(struct rig *r); /* its file is closed */
struct file *rig_open(struct rig *r, struct loop *l);
uint64_t rig_pos(void *rig); /* the instant now */

/* Instants worth a look, ascending: all of them if they are at most max, else
 * max of them, mostly those just before a sync completes, when most is open.
 * Returns their number. */
size_t rig_instants(struct rig *r, uint64_t max, uint64_t *rng, uint64_t *out);

/* How many contents to try at an instant, and the numbers of the n-th of them:
 * all subsets of whole changes where they are few, else a sample. A number
 * gives the same content again. */
uint64_t rig_state_cnt(struct rig *r, uint64_t k, uint64_t max);
uint64_t rig_state_number(struct rig *r, uint64_t k, uint64_t n,
			  uint64_t *rng);
void rig_state(struct rig *r, uint64_t k, uint64_t number, struct memimg *out);

#endif
