/* SPDX-License-Identifier: MIT */
/*
 * Work that may wait for the host, or for the device, done by a thread on the
 * side so that the loop never does: one job after the other, in order.
 */
#ifndef ASIDE_H
#define ASIDE_H

#include <stdbool.h>

struct aside;

/* The caller's, from aside_do() until done() is called. */
struct aside_job {
	struct aside_job *next;
	void (*work)(struct aside_job *j); /* on the side */
	void (*done)(struct aside_job *j); /* in aside_turn() */
};

/* NULL: out of memory, or of descriptors. */
struct aside *aside_new(void);
/* No job is left. NULL allowed. */
void aside_free(struct aside *a);

/* False: there is no thread to be had, and nothing will happen. */
bool aside_do(struct aside *a, struct aside_job *j);

/* Readable when aside_turn() has something to do. */
int aside_fd(const struct aside *a);
void aside_turn(struct aside *a);

/* Jobs that are not done yet. */
bool aside_is_busy(const struct aside *a);

#endif
