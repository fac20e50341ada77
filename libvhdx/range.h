/* SPDX-License-Identifier: MIT */
/*
 * Range locks. Reads and writes share; a discard, and later a resize or merge,
 * holds its range alone, so that no transfer runs against space that is being
 * given away. First come, first served: a waiting exclusive lock stops later
 * shared ones that overlap it. Where nobody asks for exclusive, a lock costs
 * two list operations.
 */
#ifndef RANGE_H
#define RANGE_H

#include "list.h"

struct range_lock {
	struct list node;
	uint64_t start, end; /* bytes, [start, end) */
	bool exclusive;
	bool held;
	void (*granted)(struct range_lock *rl); /* if it had to wait */
};

struct range_set {
	struct list held;
	struct list waiting;
	unsigned exclusive_cnt; /* held or waiting */
};

void range_init(struct range_set *rs);

/* True: held now. False: granted() will be called from a later unlock. */
bool range_lock(struct range_set *rs, struct range_lock *rl);
void range_unlock(struct range_set *rs, struct range_lock *rl);

/* rl waits, and is not to be granted any more. */
void range_withdraw(struct range_set *rs, struct range_lock *rl);

#endif
