/* SPDX-License-Identifier: MIT */
#include "bufpool.h"

#include "mem.h"

struct bufpool {
	uint8_t *mem;
	unsigned free_cnt;
	uint8_t *free[BUFPOOL_CNT]; /* the last one back goes out first */
	struct list waiting;
};

int bufpool_new(struct bufpool **out, struct vhdx_err *e)
{
	struct bufpool *p = mem_zalloc(sizeof(*p));

	if (p)
		p->mem = mem_aligned(4096, BUFPOOL_CNT * BUFPOOL_LEN);
	if (!p || !p->mem) {
		mem_free(p);
		return err_set(e, VHDX_E_NOMEM, "no memory for %u buffers",
			       BUFPOOL_CNT);
	}
	list_init(&p->waiting);
	while (p->free_cnt < BUFPOOL_CNT) {
		unsigned left = BUFPOOL_CNT - p->free_cnt - 1;

		p->free[p->free_cnt++] = p->mem + left * BUFPOOL_LEN;
	}
	*out = p;
	return 0;
}

void bufpool_free(struct bufpool *p)
{
	if (!p)
		return;
	ASSERT(p->free_cnt == BUFPOOL_CNT && list_empty(&p->waiting));
	mem_free(p->mem);
	mem_free(p);
}

uint8_t *bufpool_get(struct bufpool *p, struct bufpool_wait *w)
{
	if (p->free_cnt)
		return p->free[--p->free_cnt];
	list_add_tail(&p->waiting, &w->node);
	return NULL;
}

void bufpool_put(struct bufpool *p, uint8_t *buf)
{
	struct bufpool_wait *w;

	if (list_empty(&p->waiting)) {
		ASSERT(p->free_cnt < BUFPOOL_CNT);
		p->free[p->free_cnt++] = buf;
		return;
	}
	w = list_first(&p->waiting, struct bufpool_wait, node);
	list_del(&w->node);
	w->granted(w, buf);
}
