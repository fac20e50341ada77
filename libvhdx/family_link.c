/* SPDX-License-Identifier: MIT */
/*
 * From a set of images to a forest. A parent is looked up by identity in a
 * sorted index, as chain.c would prove it; recorded paths choose among copies,
 * and show who is in a lost parent's place.
 */
#include <string.h>

#include "family.h"
#include "locator.h"
#include "mem.h"

struct linking {
	struct family *f;
	size_t *by_id; /* the images that can be parents, sorted */
	size_t cnt;
};

static int order(const struct vhdx_found *a, enum vhdx_format format,
		 const uint8_t id[16])
{
	if (a->info.format != format)
		return a->info.format < format ? -1 : 1;
	return memcmp(a->identity, id, sizeof(a->identity));
}

static int order_by_id(const void *va, const void *vb, void *arg)
{
	const struct vhdx_found *found = arg;
	size_t a = *(const size_t *)va, b = *(const size_t *)vb;
	int o = order(&found[a], found[b].info.format, found[b].identity);

	return o ? o : a < b ? -1 : a > b;
}

/* The first place in by_id with this identity, or where it would be. */
static size_t first_with(const struct linking *k, enum vhdx_format format,
			 const uint8_t id[16])
{
	size_t lo = 0, hi = k->cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (order(&k->f->found[k->by_id[mid]], format, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void count_copies(const struct linking *k)
{
	struct vhdx_found *found = k->f->found;

	for (size_t at = 0, end; at < k->cnt; at = end) {
		const struct vhdx_found *first = &found[k->by_id[at]];

		for (end = at + 1; end < k->cnt; end++)
			if (order(&found[k->by_id[end]], first->info.format,
				  first->identity) != 0)
				break;
		for (size_t i = at; i < end; i++) {
			found[k->by_id[i]].copy_of = k->by_id[at];
			found[k->by_id[i]].copy_cnt = (unsigned)(end - at);
		}
	}
}

/* ---- one child ---------------------------------------------------------- */

struct leads {
	const struct family *f;
	size_t child;
	size_t parent;	 /* by identity; of several the first one led to */
	size_t stranger; /* the first that is led to and is another disk */
};

static bool names(const struct vhdx_found *child, const struct vhdx_found *p,
		  unsigned *which)
{
	for (unsigned i = 0; i < child->linkage_cnt; i++)
		if (p->known && p->info.format == child->info.format &&
		    memcmp(child->linkage[i], p->identity, 16) == 0) {
			*which = i;
			return true;
		}
	return false;
}

static bool led_to(void *arg, const char *path, const char *why)
{
	struct leads *w = arg;
	struct family_entry en;
	unsigned which;
	size_t i;

	(void)why;
	if (!w->f->host->look(w->f->host, path, &en))
		return false;
	i = family_find_file(w->f, &en);
	if (i == VHDX_NO_IMAGE || i == w->child)
		return false;
	if (names(&w->f->found[w->child], &w->f->found[i], &which)) {
		w->parent = i;
		return true;
	}
	if (w->stranger == VHDX_NO_IMAGE)
		w->stranger = i;
	return false;
}

/* The first other image with an identity that the child names. */
static size_t by_identity(const struct linking *k, size_t child)
{
	const struct vhdx_found *found = k->f->found, *c = &found[child];

	for (unsigned n = 0; n < c->linkage_cnt; n++) {
		size_t at = first_with(k, c->info.format, c->linkage[n]);

		if (at < k->cnt && k->by_id[at] == child)
			at++;
		if (at < k->cnt && order(&found[k->by_id[at]], c->info.format,
					 c->linkage[n]) == 0)
			return k->by_id[at];
	}
	return VHDX_NO_IMAGE;
}

static int link_child(const struct linking *k, size_t child,
		      struct vhdx_err *e)
{
	struct vhdx_found *c = &k->f->found[child];
	struct leads w = { k->f, child, VHDX_NO_IMAGE, VHDX_NO_IMAGE };
	int rc = locator_candidates(k->f->own[child].ref, c->path, NULL, 0,
				    led_to, &w, e);

	if (rc)
		return rc;
	c->by_path = w.parent != VHDX_NO_IMAGE;
	c->stranger = w.stranger;
	c->parent = c->by_path ? w.parent : by_identity(k, child);
	if (c->parent != VHDX_NO_IMAGE)
		(void)names(c, &k->f->found[c->parent], &c->linkage_used);
	return 0;
}

/* Marks every image that is its own ancestor. A walk leaves its number on all
 * it passes: meeting that again closes a circle, an older one was settled. */
static void mark_circles(struct family *f, size_t *walk)
{
	for (size_t i = 0; i < f->pub.cnt; i++) {
		size_t at = i;

		while (at != VHDX_NO_IMAGE && !walk[at]) {
			walk[at] = i + 1;
			at = f->found[at].parent;
		}
		if (at == VHDX_NO_IMAGE || walk[at] != i + 1)
			continue;
		for (; !f->found[at].circle; at = f->found[at].parent)
			f->found[at].circle = true;
	}
}

int family_link(struct family *f, struct vhdx_err *e)
{
	size_t cnt = f->pub.cnt, *walk = mem_array(cnt, sizeof(*walk));
	struct linking k = { f, mem_array(cnt, sizeof(*k.by_id)), 0 };
	int rc = 0;

	if (!walk || !k.by_id) {
		rc = err_set(e, VHDX_E_NOMEM, "no memory for so many images");
		goto out;
	}
	for (size_t i = 0; i < cnt; i++)
		if (f->found[i].known &&
		    f->found[i].info.format != VHDX_FORMAT_RAW)
			k.by_id[k.cnt++] = i;
	if (k.cnt)
		qsort_r(k.by_id, k.cnt, sizeof(*k.by_id), order_by_id,
			f->found);
	count_copies(&k);
	for (size_t i = 0; !rc && i < cnt; i++)
		if (f->own[i].ref)
			rc = link_child(&k, i, e);
	if (!rc)
		mark_circles(f, walk);
out:
	mem_free(walk);
	mem_free(k.by_id);
	return rc;
}

enum vhdx_kin vhdx_forest_kin(const struct vhdx_forest *forest, size_t child,
			      size_t of)
{
	const struct vhdx_found *c = &forest->images[child];
	const struct vhdx_found *p = &forest->images[of];
	unsigned which;

	if (child == of)
		return VHDX_KIN_NONE;
	if (!c->known)
		return VHDX_KIN_UNKNOWN;
	if (names(c, p, &which))
		return VHDX_KIN_CHILD;
	if (c->parent != VHDX_NO_IMAGE || c->stranger != of)
		return VHDX_KIN_NONE;
	return p->known ? VHDX_KIN_BROKEN : VHDX_KIN_UNKNOWN;
}
