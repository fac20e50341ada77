/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HEAD_LEN (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
/* A page for the header; data, and what rounding to sectors adds; two edges. */
#define SLOT_LEN (POOL_PAGE + POOL_DATA_LEN + 2 * POOL_PAGE + 2 * POOL_PAGE)

bool pool_init(struct pool *p, struct mnt *m)
{
	*p = (struct pool){ .area_len = (size_t)POOL_SLOTS * SLOT_LEN };
	p->slots = calloc(POOL_SLOTS, sizeof(*p->slots));
	void *area = mmap(NULL, p->area_len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED || !p->slots) {
		if (area != MAP_FAILED)
			munmap(area, p->area_len);
		free(p->slots);
		*p = (struct pool){ .area = NULL };
		return false;
	}
	p->area = area;
	/* Fewer, larger pieces for direct I/O; where the host has none, no
	 * harm is done. */
	(void)madvise(area, p->area_len, MADV_HUGEPAGE);
	for (unsigned i = POOL_SLOTS; i-- > 0;) {
		struct slot *s = &p->slots[i];
		uint8_t *base = p->area + (size_t)i * SLOT_LEN;
		s->m = m;
		s->data = base + POOL_PAGE;
		s->mem = s->data - HEAD_LEN;
		s->edge[0] = base + SLOT_LEN - 2 * POOL_PAGE;
		s->edge[1] = s->edge[0] + POOL_PAGE;
		pool_put(p, s);
	}
	return true;
}

void pool_free(struct pool *p)
{
	if (p->area)
		munmap(p->area, p->area_len);
	free(p->slots);
}

size_t pool_mem_len(void)
{
	return HEAD_LEN + POOL_DATA_LEN + 2 * POOL_PAGE;
}

struct slot *pool_get(struct pool *p)
{
	struct slot *s = p->free;
	if (s) {
		p->free = s->next;
		p->free_cnt--;
	}
	return s;
}

void pool_put(struct pool *p, struct slot *s)
{
	s->next = p->free;
	p->free = s;
	p->free_cnt++;
}

void slots_init(struct slots *l)
{
	l->first = NULL;
	l->end = &l->first;
}

void slots_add(struct slots *l, struct slot *s)
{
	s->next = NULL;
	*l->end = s;
	l->end = &s->next;
}

struct slot *slots_take(struct slots *l)
{
	struct slot *s = l->first;
	if (s && !(l->first = s->next))
		l->end = &l->first;
	return s;
}
