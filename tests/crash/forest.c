/* SPDX-License-Identifier: MIT */
#include "forest.h"

#include <stdarg.h>
#include <string.h>

#include "guid.h"

#define STEPS 40

/* ---- picking ------------------------------------------------------------ */

int forest_pick(struct forest *f, bool leaf)
{
	int found = -1;
	uint64_t seen = 0;

	for (unsigned i = 0; i < f->ds.cnt; i++) {
		if (!f->ds.d[i].there ||
		    (leaf && disks_child_cnt(&f->ds, (int)i)))
			continue;
		if (forest_below(f, ++seen) == 0)
			found = (int)i;
	}
	return found;
}

unsigned forest_depth(const struct forest *f, int i)
{
	unsigned n = 0;

	for (; f->ds.d[i].parent >= 0; i = f->ds.d[i].parent)
		n++;
	return n;
}

void forest_new_path(struct forest *f, enum vhdx_format format,
		     char out[OPENER_CRASH_PATH])
{
	static const char *const folders[] = { "", "", "a/", "a/b/", "c/" };

	snprintf(out, OPENER_CRASH_PATH, "/sim/%sd%u.%s",
		 folders[forest_below(f, ARRAY_LEN(folders))], f->named++,
		 format == VHDX_FORMAT_VHD ? "vhd" : "vhdx");
}

/* ---- telling ------------------------------------------------------------ */

void forest_tell(struct forest *f, const char *fmt, ...)
{
	char line[160];
	size_t used, len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	len = strlen(line) + 16;
	while (strlen(f->told) + len > sizeof(f->told)) {
		const char *nl = strchr(f->told, '\n');

		memmove(f->told, nl + 1, strlen(nl));
	}
	used = strlen(f->told);
	snprintf(f->told + used, sizeof(f->told) - used, "  %u %s\n", f->step,
		 line);
}

bool forest_ok(struct forest *f, int rc, const struct vhdx_err *e)
{
	if (rc)
		verdict_set(f->v, "%s", e->text);
	return !f->v->bad;
}

void forest_verify(struct forest *f, int i)
{
	const struct disk *d = &f->ds.d[i];

	disks_verify(&f->ds, d->path, &d->view, false, f->v);
	if (!f->v->bad)
		disks_check(&f->ds, d->path, true, f->v);
}

/* ---- the plain steps ---------------------------------------------------- */

static uint64_t some_size(struct forest *f)
{
	switch (forest_below(f, 8)) {
	case 0:
		return 4 * GIB + forest_below(f, 5) * MIB; /* two chunks */
	case 1:
		return 512 * (1 + forest_below(f, 40)) * 8;
	default:
		return MIB + forest_below(f, 10) * 512 * KIB;
	}
}

static uint32_t some_block(struct forest *f, enum vhdx_format format)
{
	if (format == VHDX_FORMAT_VHD)
		return (uint32_t)(512 * KIB << forest_below(f, 3));
	return (uint32_t)(MIB << forest_below(f, 6));
}

static bool create_base(struct forest *f)
{
	struct vhdx_create_opts o = { .type = VHDX_TYPE_DYNAMIC };
	char path[OPENER_CRASH_PATH];

	if (f->ds.cnt == DISKS_MAX && forest_below(f, 4))
		return false;
	o.format = forest_below(f, 3) ? VHDX_FORMAT_VHDX : VHDX_FORMAT_VHD;
	o.size_len = some_size(f);
	o.block_len = some_block(f, o.format);
	if (o.format == VHDX_FORMAT_VHDX && forest_below(f, 3) == 0)
		o.sector_len = 4096;
	if (o.format == VHDX_FORMAT_VHDX && o.size_len < GIB &&
	    forest_below(f, 6) == 0)
		o.type = VHDX_TYPE_FIXED;
	forest_new_path(f, o.format, path);
	if (!disks_room(&f->ds))
		return false;
	forest_tell(f, "create %s: %ju bytes, blocks of %u, sectors of %u",
		    path, (uintmax_t)o.size_len, o.block_len, o.sector_len);
	return disks_create(&f->ds, path, -1, &o, f->v) >= 0;
}

static bool create_child(struct forest *f)
{
	int parent = forest_pick(f, false);
	struct vhdx_create_opts o = { 0 };
	char path[OPENER_CRASH_PATH];
	const struct disk *p;

	if (parent < 0 || forest_depth(f, parent) == FOREST_DEPTH ||
	    !disks_room(&f->ds))
		return false;
	p = &f->ds.d[parent];
	o.block_len = some_block(f, p->format);
	if (p->format == VHDX_FORMAT_VHDX && forest_below(f, 3) == 0)
		o.size_len = align_up(some_size(f), p->sector_len);
	forest_new_path(f, p->format, path);
	forest_tell(f, "create %s of %s: %ju bytes, blocks of %u", path,
		    p->path, (uintmax_t)o.size_len, o.block_len);
	return disks_create(&f->ds, path, parent, &o, f->v) >= 0;
}

/* Some sessions of requests. */
static bool fill(struct forest *f)
{
	uint64_t sessions = 1 + forest_below(f, 3);
	int i = forest_pick(f, true);

	if (i < 0)
		return false;
	forest_tell(f, "write to %s", f->ds.d[i].path);
	while (sessions-- > 0 && !f->v->bad)
		disks_fill(&f->ds, i, &f->rng,
			   1 + (unsigned)forest_below(f, 12), f->v);
	if (!f->v->bad)
		forest_verify(f, i);
	return true;
}

static void drop(struct forest *f, int i)
{
	struct disk *d = &f->ds.d[i];
	struct vhdx_err e;

	if (forest_ok(f, f->o.opener.remove(&f->o.opener, d->path, &e), &e)) {
		d->there = false;
		memimg_free(&d->view);
	}
}

static bool drop_leaf(struct forest *f)
{
	int i = forest_pick(f, true);

	if (i < 0)
		return false;
	forest_tell(f, "remove %s", f->ds.d[i].path);
	drop(f, i);
	return true;
}

/* Below d, deepest first, nothing opens any more, says LINKAGE, and goes. */
static void drop_cut_off(struct forest *f, int i)
{
	for (unsigned k = 0; k < f->ds.cnt && !f->v->bad; k++) {
		const struct disk *d = &f->ds.d[k];
		struct verdict v = { 0 };

		if (!d->there || d->parent != i)
			continue;
		drop_cut_off(f, (int)k);
		disks_verify(&f->ds, d->path, &d->view, false, &v);
		if (!v.bad || !strstr(v.text, "must have the id"))
			verdict_set(f->v, "%s: its parent was changed, and it "
				    "opens: %s", d->path, v.text);
		drop(f, (int)k);
	}
}

/* A parent is written to. A VHD would not tell its children. */
static bool cut_off(struct forest *f)
{
	int i = forest_pick(f, false);

	if (i < 0 || f->ds.d[i].format != VHDX_FORMAT_VHDX ||
	    !disks_child_cnt(&f->ds, i))
		return false;
	forest_tell(f, "write to %s, which has children", f->ds.d[i].path);
	disks_fill(&f->ds, i, &f->rng, 12, f->v);
	if (!f->v->bad)
		drop_cut_off(f, i);
	return true;
}

/* The way `convert` goes: what one shows is written into a new base. */
static bool convert(struct forest *f)
{
	int from = forest_pick(f, false), to;
	struct vhdx_create_opts o = { .type = VHDX_TYPE_DYNAMIC };
	char path[OPENER_CRASH_PATH];
	const struct disk *src;

	if (from < 0 || !disks_room(&f->ds))
		return false;
	src = &f->ds.d[from];
	o.format = forest_below(f, 2) ? VHDX_FORMAT_VHDX : VHDX_FORMAT_VHD;
	if (o.format == VHDX_FORMAT_VHDX)
		o.sector_len = src->sector_len;
	o.block_len = some_block(f, o.format);
	o.size_len = src->view.size;
	forest_new_path(f, o.format, path);
	forest_tell(f, "convert %s to %s", src->path, path);
	to = disks_create(&f->ds, path, -1, &o, f->v);
	if (to < 0)
		return true;
	disks_copy(&f->ds, from, to, f->v);
	if (!f->v->bad)
		forest_verify(f, to);
	return true;
}

const struct forest_step forest_steps[] = {
	{ 3, create_base }, { 12, create_child }, { 20, fill },
	{ 2, drop_leaf },   { 1, cut_off },	   { 2, convert },
	{ 3, forest_set_parent }, { 1, forest_set }, { 6, forest_merge },
	{ 4, forest_compact }, { 4, forest_resize },
};
const size_t forest_step_cnt = ARRAY_LEN(forest_steps);

/* ---- a case ------------------------------------------------------------- */

static void step(struct forest *f)
{
	unsigned sum = 0, at;
	size_t i = 0;

	for (size_t k = 0; k < forest_step_cnt; k++)
		sum += forest_steps[k].odds;
	at = (unsigned)forest_below(f, sum);
	while (at >= forest_steps[i].odds)
		at -= forest_steps[i++].odds;
	(void)forest_steps[i].fn(f);
	if (opener_crash_open_cnt(&f->o))
		verdict_set(f->v, "a file is left open");
}

/* The record of a step is of no use to the next. */
static void forget(struct forest *f)
{
	opener_crash_restart(&f->o, NULL, NULL);
}

static void verify_all(struct forest *f)
{
	for (unsigned i = 0; i < f->ds.cnt && !f->v->bad; i++)
		if (f->ds.d[i].there)
			forest_verify(f, (int)i);
}

bool forest_run(uint64_t seed, struct tally *t, struct verdict *v)
{
	static struct forest f; /* large */
	struct vhdx_err e;

	f = (struct forest){ .rng = seed, .v = v };
	*v = (struct verdict){ 0 };
	guid_seed_for_tests(seed + 1);
	if (loop_new(&f.loop, &e))
		abort();
	opener_crash_init(&f.o, NULL, NULL);
	f.ds.opener = &f.o.opener;
	f.ds.loop = f.loop;
	t->cases++;
	for (f.step = 1; f.step <= STEPS && !v->bad; f.step++) {
		step(&f);
		t->moments++;
		if (v->bad)
			break;
		forget(&f);
		if (f.step % 8 == 0 || f.step == STEPS)
			verify_all(&f);
	}
	if (v->bad) {
		verdict_add(v, "\n  repeat with: crash --profile forest --seed "
			    "%ju --once\n%s", (uintmax_t)seed, f.told);
		return false; /* loop and files may be in use: leave them */
	}
	opener_crash_fini(&f.o);
	disks_free(&f.ds);
	loop_free(f.loop);
	return true;
}
