/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "bufpool.h"
#include "t.h"

struct waiter {
	struct bufpool_wait wait;
	uint8_t *buf;
	unsigned order;
};

static unsigned granted_cnt;

static void granted(struct bufpool_wait *w, uint8_t *buf)
{
	struct waiter *x = container_of(w, struct waiter, wait);

	x->buf = buf;
	x->order = ++granted_cnt;
}

static void buffers_do_not_overlap_and_are_aligned_to_pages(void)
{
	uint8_t *bufs[BUFPOOL_CNT];
	struct bufpool *p;

	T_OK(bufpool_new(&p, &t_err));
	for (unsigned i = 0; i < BUFPOOL_CNT; i++) {
		bufs[i] = bufpool_get(p, NULL);
		T_TRUE(is_aligned((uintptr_t)bufs[i], 4096));
		memset(bufs[i], (int)i + 1, BUFPOOL_LEN);
	}
	for (unsigned i = 0; i < BUFPOOL_CNT; i++) {
		T_EQ_U64(bufs[i][0], i + 1);
		T_EQ_U64(bufs[i][BUFPOOL_LEN - 1], i + 1);
		bufpool_put(p, bufs[i]);
	}
	bufpool_free(p);
}

static void who_finds_none_is_served_in_order(void)
{
	struct waiter w[3];
	uint8_t *bufs[BUFPOOL_CNT];
	struct bufpool *p;

	granted_cnt = 0;
	T_OK(bufpool_new(&p, &t_err));
	for (unsigned i = 0; i < BUFPOOL_CNT; i++)
		bufs[i] = bufpool_get(p, NULL);
	for (unsigned i = 0; i < 3; i++) {
		w[i] = (struct waiter){ .wait.granted = granted };
		T_TRUE(!bufpool_get(p, &w[i].wait));
	}
	for (unsigned i = 0; i < BUFPOOL_CNT; i++)
		bufpool_put(p, bufs[i]);
	for (unsigned i = 0; i < 3; i++) {
		T_TRUE(w[i].order == i + 1 && w[i].buf == bufs[i]);
		bufpool_put(p, w[i].buf);
	}
	bufpool_free(p);
}

const struct t_suite t_suite_bufpool = {
	"bufpool",
	(const struct t_test[]){
	T_TEST(buffers_do_not_overlap_and_are_aligned_to_pages),
	T_TEST(who_finds_none_is_served_in_order),
	T_END,
	},
};
