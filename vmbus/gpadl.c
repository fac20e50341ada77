/* SPDX-License-Identifier: MIT */
#include "gpadl.h"

#include "le.h"
#include "mem.h"
#include "server.h"

#define PAGE 4096u

void gpadl_set_init(struct gpadl_set *set)
{
	for (unsigned i = 0; i < GPADL_BUCKETS; i++)
		list_init(&set->bucket[i]);
	set->cnt = 0;
	set->page_cnt = 0;
}

/* Guests count their handles up. */
static struct list *bucket(struct gpadl_set *set, uint32_t id)
{
	return &set->bucket[id % GPADL_BUCKETS];
}

struct gpadl *gpadl_find(struct gpadl_set *set, uint32_t id)
{
	struct list *head = bucket(set, id), *it;

	list_for_each(it, head) {
		struct gpadl *g = list_entry(it, struct gpadl, node);

		if (g->id == id)
			return g;
	}
	return NULL;
}

void gpadl_free(struct gpadl_set *set, struct gpadl *g)
{
	ASSERT(set->cnt && set->page_cnt >= g->page_cnt);
	set->cnt--;
	set->page_cnt -= g->page_cnt;
	list_del(&g->node);
	list_del(&g->torn.node);
	mem_free(g);
}

void gpadl_free_all(struct gpadl_set *set)
{
	struct list *it, *nx;

	for (unsigned i = 0; i < GPADL_BUCKETS; i++)
		list_for_each_safe(it, nx, &set->bucket[i])
			gpadl_free(set, list_entry(it, struct gpadl, node));
}

void gpadl_orphan(struct gpadl_set *set, const struct server_chan *chan)
{
	struct list *it, *nx;

	for (unsigned i = 0; i < GPADL_BUCKETS; i++)
		list_for_each_safe(it, nx, &set->bucket[i]) {
			struct gpadl *g = list_entry(it, struct gpadl, node);

			if (g->chan != chan)
				continue;
			g->chan = NULL;
			if (g->state != GPADL_TEARING)
				gpadl_free(set, g);
		}
}

/* G2: the ranges fill the words exactly. */
static bool ranges_good(const struct gpadl *g)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < g->range_cnt; i++) {
		uint32_t len, off;
		uint64_t cnt;

		if (at == g->word_cnt)
			return false;
		len = (uint32_t)g->word[at];
		off = (uint32_t)(g->word[at] >> 32);
		at++;
		cnt = div_up((uint64_t)off + len, PAGE);
		if (!len || off >= PAGE || cnt > g->word_cnt - at)
			return false;
		for (; cnt; cnt--, at++)
			if (g->word[at] >> 52)
				return false;
	}
	return at == g->word_cnt;
}

/* Words beyond those announced are padding. */
static uint32_t take(struct gpadl_set *set, struct gpadl *g,
		     const struct proto_in *m, const char **why)
{
	for (uint32_t i = 0; i < m->word_cnt && g->got_cnt < g->word_cnt; i++)
		g->word[g->got_cnt++] = get_le64(m->words + i * 8);
	if (g->got_cnt < g->word_cnt)
		return PROTO_OK;
	if (ranges_good(g)) {
		g->state = GPADL_READY;
		return PROTO_OK;
	}
	*why = "its ranges do not fit its length";
	gpadl_free(set, g);
	return PROTO_BAD_PARAM;
}

uint32_t gpadl_begin(struct gpadl_set *set, struct server_chan *chan,
		     const struct proto_in *m, struct gpadl **out,
		     const char **why)
{
	uint32_t word_cnt = m->range_len / 8, page_cnt;
	struct gpadl *g;

	*why = "its counts make no sense";
	/* Every range has a head and a page at least. */
	if (!m->range_cnt || m->range_len % 8 || word_cnt / 2 < m->range_cnt)
		return PROTO_BAD_PARAM;
	*why = "that handle is in use";
	if (gpadl_find(set, m->gpadl))
		return PROTO_BAD_PARAM;
	page_cnt = word_cnt - m->range_cnt;
	*why = "the guest has too many"; /* G1 */
	if (set->cnt == VMBUS_GPADL_MAX ||
	    page_cnt > VMBUS_GPADL_PAGES_MAX - set->page_cnt)
		return PROTO_NO_RESOURCES;
	g = mem_zalloc(sizeof(*g) + word_cnt * sizeof(g->word[0]));
	*why = "the host is out of memory";
	if (!g)
		return PROTO_NO_RESOURCES;
	g->id = m->gpadl;
	g->chan = chan;
	g->range_cnt = m->range_cnt;
	g->page_cnt = page_cnt;
	g->word_cnt = word_cnt;
	due_init(&g->torn, DUE_TORN);
	list_add_tail(bucket(set, g->id), &g->node);
	set->cnt++;
	set->page_cnt += page_cnt;
	*out = g;
	return take(set, g, m, why);
}

uint32_t gpadl_more(struct gpadl_set *set, struct gpadl *g,
		    const struct proto_in *m, const char **why)
{
	ASSERT(g->state == GPADL_COMING);
	return take(set, g, m, why);
}

bool gpadl_is_ring(const struct gpadl *g, uint32_t to_host_cnt)
{
	uint32_t len = (uint32_t)g->word[0];

	return g->state == GPADL_READY && g->range_cnt == 1 &&
	       g->word[0] >> 32 == 0 &&
	       is_aligned(len, PAGE) && to_host_cnt &&
	       to_host_cnt < g->page_cnt;
}

const uint64_t *gpadl_ring_pfn(const struct gpadl *g)
{
	return g->word + 1;
}
