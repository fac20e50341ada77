/* SPDX-License-Identifier: MIT */
/*
 * Which layer of a deep chain a range is to be asked of, learned from the
 * answers of earlier walks, so that reading through 32 layers costs about what
 * reading through one does. It only ever says where a walk may start: the
 * layers are asked as before, and what is not known costs time, nothing else.
 * Memory is fixed at open: at most some 21 MiB of address space, touched where
 * the disk is read.
 *
 * All functions: [loop].
 */
#ifndef OWNER_H
#define OWNER_H

#include "chain.h"

struct owner;

/* One extent on its way down, in the submitter's request. */
struct owner_walk {
	bool active;	     /* the index takes part */
	bool survey;	     /* m asks for more, and not for the reader */
	bool forward;	     /* owner_heard() waits for the answer */
	uint64_t voff, want; /* what m is to answer in the end */
};

/* *out is NULL where an index would not pay: few layers. c is borrowed and
 * stays as it is until owner_free(). */
int owner_new(const struct chain *c, struct owner **out,
	      struct vhdx_err *e) must_check;
void owner_free(struct owner *o); /* NULL allowed */

/* The first layer described; those above it are asked always. */
unsigned owner_top(const struct owner *o);

/* A read of m's range has come to owner_top(): where it goes on. Sets *depth,
 * m->voff and m->len to the next question. It may be another one at first
 * (w->survey): its answer goes to owner_surveyed(), never to the reader. Then
 * m is the start of the range, as far as one layer is known to be reached. */
void owner_start(struct owner *o, struct owner_walk *w, struct image_map *m,
		 unsigned *depth);
void owner_surveyed(struct owner *o, struct owner_walk *w, struct image_map *m,
		    unsigned *depth);

/* Walks that go forward (map), in long steps: the layer's last answer. True if
 * it tells about m->voff, and m is as if the layer had answered; else the layer
 * is to be asked for more than was wanted, and owner_heard() told. */
bool owner_recalls(const struct owner *o, struct owner_walk *w, unsigned depth,
		   struct image_map *m);
void owner_heard(struct owner *o, struct owner_walk *w, unsigned depth,
		 struct image_map *m);

#endif
