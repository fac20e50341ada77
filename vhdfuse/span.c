/* SPDX-License-Identifier: MIT */
#include "span.h"

#include <stddef.h>

/* Whether one that came earlier, held or not, stands in its way. */
static bool must_wait(const struct span *s)
{
	for (const struct span *o = s->prev; o; o = o->prev)
		if ((s->alone || o->alone) && s->start < o->end &&
		    o->start < s->end)
			return true;
	return false;
}

bool span_take(struct spans *all, struct span *s)
{
	s->next = NULL;
	s->prev = all->last;
	if (all->last)
		all->last->next = s;
	else
		all->first = s;
	all->last = s;
	all->alone_cnt += s->alone;
	s->held = all->alone_cnt == 0 || !must_wait(s);
	return s->held;
}

void span_drop(struct spans *all, struct span *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		all->first = s->next;
	if (s->next)
		s->next->prev = s->prev;
	else
		all->last = s->prev;
	if (all->alone_cnt == 0)
		return; /* nobody ever waits */
	all->alone_cnt -= s->alone;
	/* granted() may bring new ones, at the end, but drops none: results
	 * come by way of the loop. */
	for (struct span *o = s->next, *next; o; o = next) {
		next = o->next;
		if (o->held || must_wait(o))
			continue;
		o->held = true;
		o->granted(o);
	}
}
