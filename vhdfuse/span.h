/* SPDX-License-Identifier: MIT */
/*
 * Changes that overlap, in order. The library takes whole sectors; a write of
 * a part of one is a read, then a write, and no other change may come to that
 * sector in between. So such a change holds its sectors for itself alone;
 * changes of whole sectors share theirs. First come, first served.
 */
#ifndef SPAN_H
#define SPAN_H

#include <stdbool.h>
#include <stdint.h>

struct span {
	struct span *prev, *next;
	uint64_t start, end; /* bytes of the disk */
	bool alone;
	bool held;
	void (*granted)(struct span *s);
};

/* All zero: empty. In order of arrival, held and waiting alike. */
struct spans {
	struct span *first, *last;
	unsigned alone_cnt;
};

/* True: held now. False: granted() is called later, from span_drop(). */
bool span_take(struct spans *all, struct span *s);
void span_drop(struct spans *all, struct span *s);

#endif
