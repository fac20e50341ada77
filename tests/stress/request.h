/* SPDX-License-Identifier: MIT */
/*
 * One request after another in the same place: planned at random, with buffers
 * in awkward pieces, and afterwards looked at for what nobody may have touched.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdatomic.h>

#include "truth.h"
#include "vhdx.h"

#define REQUEST_IOV 8
#define REQUEST_MAX (2 * MIB)

enum request_state {
	REQUEST_FREE,
	REQUEST_POSTING, /* on its way; vhdx_blk_post() may not have returned */
	REQUEST_FLYING,
};

struct request {
	struct vhdx_req req;
	struct truth_op op;
	bool tracked; /* op is begun: the truth is to know */
	int want;     /* the code it must end with; 0: what becomes of it */
	struct iovec iov[REQUEST_IOV];
	struct vhdx_err err;
	struct vhdx_extent extent;
	uint8_t *mem; /* owned */
	size_t mem_len, mem_max;
	bool used; /* before */
	bool cancel_asked; /* the owner's */
	atomic_int state;
	atomic_uint ended_cnt;
	void *submitter;
};

/* What is asked for in a session. */
#define PLAN_PLACES 6
struct plan {
	struct vhdx_geometry geom;
	uint64_t places[PLAN_PLACES]; /* bytes: where requests meet */
	unsigned weights[VHDX_OP_MAP + 1]; /* by enum vhdx_op */
	unsigned neat; /* of 8 requests, how many have aligned buffers */
};

void plan_init(struct plan *p, const struct vhdx_geometry *g, uint64_t *rng);

/* Sets up everything but who is told (r->req.done), and tells the truth. False:
 * text says what was touched since it was done. */
bool request_prepare(struct request *r, const struct plan *p,
		     struct truth *t, uint64_t *rng, const char **text);

/* The bytes that were read, in one piece (static), or NULL: text says why. */
const uint8_t *request_gather(const struct request *r, const char **text);

/* NULL, or what was touched since request_seal(). */
const char *request_touched(const struct request *r);

/* It is done: marks all that the library may not touch any more. */
void request_seal(struct request *r);

#endif
