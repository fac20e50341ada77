/* SPDX-License-Identifier: MIT */
/*
 * A radix tree of 64-way nodes over 4 KiB pages, reference-counted at every
 * level and copied on write along the path (a "persistent" tree). Clones share
 * subtrees; a node with one reference is owned by the one image above it and
 * may be changed in place. No page holds anything but zeros beyond the size,
 * so growing needs no work.
 */
#include "memimg.h"

#include <string.h>

#define BITS 6
#define FANOUT (1u << BITS)
#define LEVELS 6 /* 6 * 6 + 12 = 48 bits: 256 TiB */

struct memimg_node {
	unsigned refs;
	unsigned level; /* 0: a page */
	union {
		struct memimg_node *child[FANOUT];
		uint8_t page[MEMIMG_PAGE];
	} u;
};

static size_t node_len(unsigned level)
{
	size_t body = level ? FANOUT * sizeof(struct memimg_node *)
			    : MEMIMG_PAGE;

	return offsetof(struct memimg_node, u) + body;
}

static struct memimg_node *node_new(unsigned level)
{
	struct memimg_node *n = calloc(1, node_len(level));

	ASSERT(n);
	n->refs = 1;
	n->level = level;
	return n;
}

static void node_put(struct memimg_node *n)
{
	if (!n || --n->refs)
		return;
	for (unsigned i = 0; n->level && i < FANOUT; i++)
		node_put(n->u.child[i]);
	free(n);
}

/* Makes *slot a node of its own: new, as it is, or a copy. */
static struct memimg_node *node_own(struct memimg_node **slot, unsigned level)
{
	struct memimg_node *old = *slot, *n;

	if (!old)
		return *slot = node_new(level);
	if (old->refs == 1)
		return old;
	n = malloc(node_len(level));
	ASSERT(n);
	memcpy(n, old, node_len(level));
	n->refs = 1;
	for (unsigned i = 0; level && i < FANOUT; i++)
		if (n->u.child[i])
			n->u.child[i]->refs++;
	old->refs--;
	return *slot = n;
}

/* Bytes that a node of this level covers. */
static uint64_t span(unsigned level)
{
	return (uint64_t)MEMIMG_PAGE << (BITS * level);
}

static unsigned child_index(uint64_t off, unsigned level)
{
	return (unsigned)(off / span(level - 1)) % FANOUT;
}

static const uint8_t *page_find(const struct memimg *m, uint64_t off)
{
	const struct memimg_node *n = m->root;

	while (n && n->level)
		n = n->u.child[child_index(off, n->level)];
	return n ? n->u.page : NULL;
}

static uint8_t *page_own(struct memimg *m, uint64_t off)
{
	struct memimg_node **slot = &m->root, *n;

	for (unsigned level = LEVELS; level > 0; level--) {
		n = node_own(slot, level);
		slot = &n->u.child[child_index(off, level)];
	}
	return node_own(slot, 0)->u.page;
}

void memimg_clone(struct memimg *dst, const struct memimg *src)
{
	*dst = *src;
	if (dst->root)
		dst->root->refs++;
}

void memimg_free(struct memimg *m)
{
	node_put(m->root);
	*m = (struct memimg){ 0 };
}

/* The part of [off, off + len) that lies in off's page. */
static size_t page_part(uint64_t off, uint64_t len)
{
	return (size_t)u64_min(len, MEMIMG_PAGE - off % MEMIMG_PAGE);
}

void memimg_read(const struct memimg *m, uint64_t off, void *buf, size_t len)
{
	uint8_t *out = buf;

	while (len > 0) {
		size_t n = page_part(off, len);
		const uint8_t *page = off < MEMIMG_MAX_LEN ? page_find(m, off)
							   : NULL;

		if (page)
			memcpy(out, page + off % MEMIMG_PAGE, n);
		else
			memset(out, 0, n);
		out += n;
		off += n;
		len -= n;
	}
}

void memimg_write(struct memimg *m, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *in = buf;

	ASSERT(off <= MEMIMG_MAX_LEN && len <= MEMIMG_MAX_LEN - off);
	m->size = u64_max(m->size, off + len);
	while (len > 0) {
		size_t n = page_part(off, len);

		memcpy(page_own(m, off) + off % MEMIMG_PAGE, in, n);
		in += n;
		off += n;
		len -= n;
	}
}

/* Drops what lies wholly in [off, end), clears the rest of that range. */
static void node_zero(struct memimg_node **slot, unsigned level,
		      uint64_t node_off, uint64_t off, uint64_t end)
{
	uint64_t from = u64_max(off, node_off);
	uint64_t to = u64_min(end, node_off + span(level));
	struct memimg_node *n;

	if (!*slot || from >= to)
		return;
	if (to - from == span(level)) {
		node_put(*slot);
		*slot = NULL;
		return;
	}
	n = node_own(slot, level);
	if (level == 0) {
		memset(n->u.page + (from - node_off), 0, (size_t)(to - from));
		return;
	}
	for (unsigned i = child_index(from, level);
	     i <= child_index(to - 1, level); i++)
		node_zero(&n->u.child[i], level - 1,
			  node_off + i * span(level - 1), off, end);
}

void memimg_zero(struct memimg *m, uint64_t off, uint64_t len)
{
	uint64_t end;

	if (ckd_add(off, len, &end))
		end = UINT64_MAX;
	node_zero(&m->root, LEVELS, 0, off, end);
}

void memimg_resize(struct memimg *m, uint64_t size)
{
	ASSERT(size <= MEMIMG_MAX_LEN);
	if (size < m->size)
		memimg_zero(m, size, MEMIMG_MAX_LEN - size);
	m->size = size;
}

/* The offset of the first present page at or after off, or UINT64_MAX. */
static uint64_t first_page(const struct memimg_node *n, uint64_t node_off,
			   uint64_t off)
{
	if (!n)
		return UINT64_MAX;
	if (n->level == 0)
		return node_off;
	for (unsigned i = off > node_off ? child_index(off, n->level) : 0;
	     i < FANOUT; i++) {
		uint64_t child_off = node_off + i * span(n->level - 1);
		uint64_t found = first_page(n->u.child[i], child_off, off);

		if (found != UINT64_MAX)
			return found;
	}
	return UINT64_MAX;
}

void memimg_next_data(const struct memimg *m, uint64_t off, uint64_t *data_off,
		      uint64_t *len)
{
	uint64_t start, end;

	*data_off = off;
	*len = 0;
	if (off >= m->size)
		return;
	start = first_page(m->root, 0, align_down(off, MEMIMG_PAGE));
	if (start >= m->size)
		return;
	end = start;
	while (end < m->size && page_find(m, end))
		end += MEMIMG_PAGE;
	*data_off = u64_max(start, off);
	*len = u64_min(end, m->size) - *data_off;
}

static uint64_t count_pages(const struct memimg_node *n)
{
	uint64_t cnt = 0;

	if (!n)
		return 0;
	if (n->level == 0)
		return 1;
	for (unsigned i = 0; i < FANOUT; i++)
		cnt += count_pages(n->u.child[i]);
	return cnt;
}

uint64_t memimg_page_cnt(const struct memimg *m)
{
	return count_pages(m->root);
}

static uint64_t page_diff(const struct memimg_node *a,
			  const struct memimg_node *b)
{
	static const uint8_t zeros[MEMIMG_PAGE];
	const uint8_t *pa = a ? a->u.page : zeros;
	const uint8_t *pb = b ? b->u.page : zeros;

	if (memcmp(pa, pb, MEMIMG_PAGE) == 0)
		return UINT64_MAX;
	for (size_t i = 0; i < MEMIMG_PAGE; i++)
		if (pa[i] != pb[i])
			return i;
	return UINT64_MAX;
}

/* Offset of the first difference within the nodes, or UINT64_MAX. Shared
 * subtrees are equal without a look. */
static uint64_t node_diff(const struct memimg_node *a,
			  const struct memimg_node *b, unsigned level)
{
	if (a == b)
		return UINT64_MAX;
	if (level == 0)
		return page_diff(a, b);
	for (unsigned i = 0; i < FANOUT; i++) {
		uint64_t d = node_diff(a ? a->u.child[i] : NULL,
				       b ? b->u.child[i] : NULL, level - 1);

		if (d != UINT64_MAX)
			return i * span(level - 1) + d;
	}
	return UINT64_MAX;
}

bool memimg_eq(const struct memimg *a, const struct memimg *b,
	       uint64_t *diff_off)
{
	uint64_t d = node_diff(a->root, b->root, LEVELS);

	if (d == UINT64_MAX && a->size != b->size)
		d = u64_min(a->size, b->size);
	if (diff_off)
		*diff_off = d;
	return d == UINT64_MAX;
}
