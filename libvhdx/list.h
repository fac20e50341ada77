/* SPDX-License-Identifier: MIT */
/*
 * An intrusive doubly linked list with a sentinel head. A node that is on no
 * list points at itself (list_init), so list_del is always safe to repeat.
 */
#ifndef LIST_H
#define LIST_H

#include "base.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
/* The loop body may delete `it` itself, nothing else. */
#define list_for_each_safe(it, nx, head) \
	for ((it) = (head)->next, (nx) = (it)->next; (it) != (head); \
	     (it) = (nx), (nx) = (it)->next)
#define list_for_each(it, head) \
	for ((it) = (head)->next; (it) != (head); (it) = (it)->next)

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void list_add_head(struct list *head, struct list *n)
{
	list_add_tail(head->next, n);
}

static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* Moves everything on `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
