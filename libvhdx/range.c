/* SPDX-License-Identifier: MIT */
#include "range.h"

void range_init(struct range_set *rs)
{
	list_init(&rs->held);
	list_init(&rs->waiting);
	rs->exclusive_cnt = 0;
}

static bool conflict(const struct range_lock *a, const struct range_lock *b)
{
	return (a->exclusive || b->exclusive) && a->start < b->end &&
	       b->start < a->end;
}

/* Conflicts with a lock on the list, up to (not including) `stop`. */
static bool blocked(const struct list *head, const struct list *stop,
		    const struct range_lock *rl)
{
	for (struct list *it = head->next; it != head && it != stop;
	     it = it->next)
		if (conflict(list_entry(it, struct range_lock, node), rl))
			return true;
	return false;
}

bool range_lock(struct range_set *rs, struct range_lock *rl)
{
	rs->exclusive_cnt += rl->exclusive;
	rl->held = !rs->exclusive_cnt ||
		   (!blocked(&rs->held, NULL, rl) &&
		    !blocked(&rs->waiting, NULL, rl));
	list_add_tail(rl->held ? &rs->held : &rs->waiting, &rl->node);
	return rl->held;
}

/* The first waiter that nothing held or ahead of it stops. */
static struct range_lock *next_grantable(struct range_set *rs)
{
	struct list *it;

	list_for_each(it, &rs->waiting) {
		struct range_lock *rl =
			list_entry(it, struct range_lock, node);

		if (!blocked(&rs->held, NULL, rl) &&
		    !blocked(&rs->waiting, it, rl))
			return rl;
	}
	return NULL;
}

static void leave(struct range_set *rs, struct range_lock *rl)
{
	struct range_lock *next;

	list_del(&rl->node);
	rs->exclusive_cnt -= rl->exclusive;
	if (list_empty(&rs->waiting))
		return;
	/* granted() may lock and unlock others: look afresh each time. */
	while ((next = next_grantable(rs))) {
		list_del(&next->node);
		next->held = true;
		list_add_tail(&rs->held, &next->node);
		next->granted(next);
	}
}

void range_unlock(struct range_set *rs, struct range_lock *rl)
{
	ASSERT(rl->held);
	rl->held = false;
	leave(rs, rl);
}

void range_withdraw(struct range_set *rs, struct range_lock *rl)
{
	ASSERT(!rl->held && !list_empty(&rl->node));
	leave(rs, rl);
}
