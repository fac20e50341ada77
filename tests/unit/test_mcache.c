/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "file_mem.h"
#include "mcache.h"
#include "t.h"

static struct loop *loop;
static struct file *file;
static struct mcache *mc;
static int starved_cnt, woken;

static void on_starved(void *arg)
{
	(void)arg;
	starved_cnt++;
}

static void woke(struct mcache_wait *w)
{
	(void)w;
	woken++;
}

static void begin(unsigned pages)
{
	uint8_t page[4096];

	starved_cnt = woken = 0;
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "cache", NULL, &file, &t_err));
	for (unsigned i = 0; i < 16; i++) {
		memset(page, (int)(i + 1), sizeof(page));
		T_OK(file_write(file, i * 4096, page, 4096, &t_err));
	}
	T_OK(mcache_new(file, pages, on_starved, NULL, &mc, &t_err));
	mcache_set_claim_max(mc, 3);
}

static void end(void)
{
	mcache_free(mc);
	file_close(file);
	loop_free(loop);
}

/* Pins page n, waiting for it. */
static struct mpage *get(unsigned n)
{
	struct mcache_wait w = { .fn = woke };
	int before = woken;

	if (!mcache_get(mc, n * 4096, &w))
		while (woken == before)
			loop_turn(loop, -1);
	T_TRUE(w.res == 0 && w.page);
	return w.page;
}

static void dirty(struct mpage *p)
{
	T_TRUE(mcache_claim(mc, p));
	mcache_dirty(mc, p);
	mcache_unclaim(mc, p);
}

static void a_page_shows_the_file(void)
{
	begin(4);
	for (unsigned i = 0; i < 16; i++) {
		struct mpage *p = get(i);

		T_TRUE(p->data[0] == i + 1 && p->data[4095] == i + 1);
		mcache_put(mc, p);
	}
	end();
}

static void waiters_for_one_page_share_one_load(void)
{
	struct mcache_wait a = { .fn = woke }, b = { .fn = woke };

	begin(4);
	T_TRUE(!mcache_get(mc, 4096, &a) && !mcache_get(mc, 4096, &b));
	while (woken < 2)
		loop_turn(loop, -1);
	T_TRUE(a.page == b.page);
	T_EQ_U64(a.page->pins, 2);
	mcache_put(mc, a.page);
	mcache_put(mc, b.page);
	end();
}

static void changed_pages_are_never_dropped(void)
{
	struct mpage *p;

	begin(4);
	p = get(0);
	dirty(p);
	p->data[0] = 99;
	mcache_put(mc, p);
	for (unsigned i = 1; i < 16; i++)
		mcache_put(mc, get(i));
	p = get(0);
	T_EQ_U64(p->data[0], 99);
	mcache_put(mc, p);
	end();
}

static void a_taken_page_stays_until_put(void)
{
	struct mpage *p, *t;

	begin(4);
	p = get(0);
	dirty(p);
	p->data[0] = 99;
	mcache_put(mc, p);
	t = mcache_take(mc);
	T_TRUE(t == p);
	for (unsigned i = 1; i < 16; i++)
		mcache_put(mc, get(i));
	p = get(0);
	T_EQ_U64(p->data[0], 99);
	mcache_put(mc, p);
	mcache_put(mc, t);
	end();
}

static void pages_are_taken_in_the_order_of_their_first_change(void)
{
	static const unsigned order[] = { 3, 1, 2 };
	struct mpage *p[3];

	begin(4);
	for (unsigned i = 0; i < 3; i++) {
		p[i] = get(order[i]);
		dirty(p[i]);
	}
	dirty(p[0]); /* again: keeps its place */
	T_EQ_U64(mcache_oldest_dirty(mc), 1);
	T_EQ_U64(mcache_seq(mc), 4);
	for (unsigned i = 0; i < 3; i++) {
		struct mpage *t = mcache_take(mc);

		T_TRUE(t == p[i]);
		mcache_put(mc, t);
		mcache_put(mc, p[i]);
	}
	T_TRUE(!mcache_take(mc) && mcache_dirty_cnt(mc) == 0);
	end();
}

static void no_more_pages_are_claimed_or_dirty_than_one_entry_carries(void)
{
	struct mpage *p[4], *t;

	begin(8);
	for (unsigned i = 0; i < 4; i++)
		p[i] = get(i);
	dirty(p[0]);
	T_TRUE(mcache_claim(mc, p[1]) && mcache_claim(mc, p[1]));
	dirty(p[2]);
	T_TRUE(!mcache_claim(mc, p[3]));
	T_TRUE(mcache_claim(mc, p[0])); /* counts already */
	t = mcache_take(mc);		/* p[0]: still claimed */
	T_TRUE(!mcache_claim(mc, p[3]));
	mcache_unclaim(mc, p[0]);
	T_TRUE(mcache_claim(mc, p[3]));
	mcache_unclaim(mc, p[3]);
	mcache_unclaim(mc, p[1]);
	mcache_unclaim(mc, p[1]);
	mcache_put(mc, t);
	for (unsigned i = 0; i < 4; i++)
		mcache_put(mc, p[i]);
	end();
}

static void a_full_cache_serves_waiters_when_a_page_is_put(void)
{
	struct mpage *p[4];
	struct mcache_wait w = { .fn = woke };

	begin(4);
	for (unsigned i = 0; i < 4; i++)
		p[i] = get(i);
	woken = 0;
	T_TRUE(!mcache_get(mc, 9 * 4096, &w));
	T_EQ_U64(starved_cnt, 1);
	mcache_put(mc, p[2]);
	while (!woken)
		loop_turn(loop, -1);
	T_EQ_U64(w.page->data[0], 10);
	mcache_put(mc, w.page);
	for (unsigned i = 0; i < 4; i++)
		if (i != 2)
			mcache_put(mc, p[i]);
	end();
}

static void after_failure_nobody_waits_for_a_free_page(void)
{
	struct mpage *p[4];
	struct mcache_wait w = { .fn = woke }, late = { .fn = woke };
	struct vhdx_err why = { .code = VHDX_E_FAILED };

	begin(4);
	for (unsigned i = 0; i < 4; i++)
		p[i] = get(i);
	woken = 0;
	T_TRUE(!mcache_get(mc, 9 * 4096, &w));
	mcache_fail(mc, &why);
	T_TRUE(woken == 1 && w.res == VHDX_E_FAILED && !w.page);
	T_TRUE(mcache_get(mc, 10 * 4096, &late));
	T_EQ_U64(late.res, VHDX_E_FAILED);
	for (unsigned i = 0; i < 4; i++)
		mcache_put(mc, p[i]);
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_page_shows_the_file),
	T_TEST(waiters_for_one_page_share_one_load),
	T_TEST(changed_pages_are_never_dropped),
	T_TEST(a_taken_page_stays_until_put),
	T_TEST(pages_are_taken_in_the_order_of_their_first_change),
	T_TEST(no_more_pages_are_claimed_or_dirty_than_one_entry_carries),
	T_TEST(a_full_cache_serves_waiters_when_a_page_is_put),
	T_TEST(after_failure_nobody_waits_for_a_free_page),
	T_END,
};

const struct t_suite t_suite_mcache = { "mcache", tests };
