/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "joint.h"
#include "t.h"
#include "view.h"

/* The versions that may show at `at`: [first, first + cnt). */
static unsigned allowed(const struct promise *p, uint64_t at,
			const struct memimg **views)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < p->version_cnt; i++) {
		if (p->v[i].durable <= at)
			cnt = 0;
		if (p->v[i].begun <= at)
			views[cnt++] = &p->v[i].view;
	}
	return cnt;
}

static void settle(struct vhdx_blk *blk, uint64_t size, struct memimg *seen,
		   struct verdict *v)
{
	static uint8_t buf[256 * KIB];
	struct vhdx_err e;

	memimg_free(seen);
	memimg_resize(seen, size);
	for (uint64_t at = 0; at < size; at += sizeof(buf)) {
		uint64_t n = u64_min(sizeof(buf), size - at);

		if (vhdx_blk_read(blk, at, buf, n, &e))
			verdict_set(v, "reading again: %s", e.text);
		memimg_write(seen, at, buf, (size_t)n);
	}
}

static unsigned of_its_size(struct vhdx_blk *blk, const struct memimg **views,
			    unsigned cnt, struct verdict *v)
{
	struct vhdx_geometry g;
	unsigned n = 0;

	vhdx_blk_geometry(blk, &g);
	for (unsigned i = 0; i < cnt; i++)
		if (views[i]->size == g.size_len)
			views[n++] = views[i];
	if (!n)
		verdict_set(v, "it has %ju bytes, neither what it had nor what "
			    "it is to have", (uintmax_t)g.size_len);
	return n;
}

static void look_at(const struct disks *ds, const struct promise *p,
		    uint64_t at, struct memimg *seen, struct verdict *v)
{
	const struct memimg *views[VERSIONS_MAX];
	unsigned cnt = allowed(p, at, views);
	struct vhdx_blk *blk = disks_open(ds, p->path, false, v);
	struct vhdx_err e;

	if (!blk)
		return;
	if (p->by_size)
		cnt = of_its_size(blk, views, cnt, v);
	if (cnt)
		view_verify(blk, views, cnt, p->mixed || p->by_size,
			    false, v);
	if (p->mixed && !v->bad)
		settle(blk, views[0]->size, seen, v);
	if (v->bad)
		verdict_add(v, " (%s)", p->path);
	if (vhdx_blk_close(blk, &e))
		verdict_set(v, "%s: closing: %s", p->path, e.text);
}

/* Gone is what was to go, and then somebody else shows it. */
static void look_at_gap(struct joint *j, const struct disks *ds,
			const struct promise *p, const struct crash_tree *t,
			struct verdict *v)
{
	struct promise heir;

	if (p->before && p->after)
		verdict_set(v, "%s is gone", p->path);
	if (!p->before || p->heir < 0 || v->bad)
		return;
	heir = j->p[p->heir];
	for (unsigned i = 0; i < t->cnt; i++)
		if (strcmp(t->files[i].path, heir.path) == 0) {
			heir.mixed = false;
			heir.v[0] = p->v[p->version_cnt - 1];
			heir.version_cnt = 1;
			look_at(ds, &heir, 0, NULL, v);
			return;
		}
	verdict_set(v, "%s is gone and %s is not there", p->path, heir.path);
}

static bool has(const struct crash_tree *t, const char *path)
{
	for (unsigned i = 0; i < t->cnt; i++)
		if (strcmp(t->files[i].path, path) == 0)
			return true;
	return false;
}

static bool is_image(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && (strcmp(dot, ".vhd") == 0 || strcmp(dot, ".vhdx") == 0);
}

void joint_look(struct joint *j, const struct crash_tree *t, uint64_t at)
{
	struct disks ds = { .loop = j->loop };
	struct opener_crash o;

	opener_crash_init(&o, NULL, t);
	ds.opener = &o.opener;
	for (unsigned i = 0; i < j->promise_cnt && !j->v->bad; i++) {
		const struct promise *p = &j->p[i];

		if (!has(t, p->path))
			look_at_gap(j, &ds, p, t, j->v);
		else if (p->steady)
			look_at(&ds, p, at, &j->seen, j->v);
	}
	for (unsigned i = 0; i < t->cnt && !j->v->bad; i++)
		if (is_image(t->files[i].path))
			disks_check(&ds, t->files[i].path, false, j->v);
	if (crash_now(o.world))
		verdict_set(j->v, "looking changed a file");
	if (!j->v->bad)
		opener_crash_fini(&o);
}

static void look_at_result(struct joint *j, const struct disks *ds,
			   const struct promise *p)
{
	const struct memimg *view;

	if (!p->version_cnt)
		return;
	view = &p->v[p->version_cnt - 1].view;
	if (p->mixed && j->seen.size)
		view = &j->seen;
	disks_verify(ds, p->path, view, false, j->v);
}

void joint_look_final(struct joint *j, const struct crash_tree *t)
{
	struct disks ds = { .loop = j->loop };
	struct opener_crash o;
	unsigned there = 0;

	opener_crash_init(&o, NULL, t);
	ds.opener = &o.opener;
	for (unsigned i = 0; i < j->promise_cnt && !j->v->bad; i++) {
		const struct promise *p = &j->p[i];

		if (has(t, p->path) != p->after)
			verdict_set(j->v, "%s is %s afterwards", p->path,
				    p->after ? "gone" : "still there");
		there += p->after;
		if (j->v->bad || !p->after)
			continue;
		look_at_result(j, &ds, p);
		if (!j->v->bad)
			disks_check(&ds, p->path, p->strict, j->v);
	}
	for (unsigned i = 0; i < t->cnt && there < t->cnt && !j->v->bad; i++)
		if (!is_image(t->files[i].path))
			verdict_set(j->v, "%s is left over",
				    t->files[i].path);
	if (!j->v->bad)
		opener_crash_fini(&o);
}
