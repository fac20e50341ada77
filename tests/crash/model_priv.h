/* SPDX-License-Identifier: MIT */
/*
 * A unit's history is a short list of events, one per operation that touched
 * it. `start` and `end` are the operation's as far as order within the unit
 * goes; once a quiet read has shown who won among overlapping operations, the
 * winner counts as having happened just then. A `weak` event (a discard not
 * yet settled, a failed operation) may show but overrides nothing.
 */
#ifndef MODEL_PRIV_H
#define MODEL_PRIV_H

#include "model.h"

#define NEVER UINT64_MAX

struct op {
	enum model_kind kind;
	bool fua;
	bool ok;
	uint64_t voff, len;
	uint64_t start, done; /* ticks */
	uint64_t start_pos;
	uint64_t durable_pos; /* M2; NEVER: not (yet) */
};

struct event {
	uint32_t op;
	uint32_t gen; /* 0: zeros */
	uint64_t start, end; /* ticks */
	bool weak;
};

struct unit {
	uint64_t lba;
	struct event *ev; /* owned */
	unsigned cnt, max;
};

struct model {
	uint64_t size_len;
	uint64_t seed;
	uint64_t tick;
	uint32_t gen_base; /* operation 0 is the past; generations go on */
	struct op *ops;
	uint32_t op_cnt, op_max;
	uint32_t op_open; /* every operation below has ended */
	struct unit *units;
	size_t unit_cnt, unit_max;
	uint32_t *hash; /* index into units + 1; size hash_mask + 1 */
	size_t hash_mask;
	bool child;
	uint8_t *past_zero; /* of a child: bit per unit of the windows: it was
			       zeros, not the parent's, when rebased */
	struct model_range *ranges;
	size_t range_cnt;
	bool ranges_stale;
};

/* What unit lba held before operation 1. */
uint32_t model_past_gen(const struct model *m, uint64_t lba);

/* For a look at any unit: the known one, or one made up in *tmp, whose events
 * the caller frees. */
struct unit *model_unit(const struct model *m, uint64_t lba, struct unit *tmp);

#endif
