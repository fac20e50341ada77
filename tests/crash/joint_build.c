/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "joint.h"
#include "resizing.h"
#include "t.h"

/* Contents go in with a flush at the end; sometimes the power fails behind
 * that, and the image starts with a log to be replayed. */
static void fill(struct joint *j, struct opener_crash *o, int i)
{
	unsigned cnt = 6 + (unsigned)joint_below(j, 14);
	struct disk *d = &j->ds.d[i];
	struct vhdx_blk *blk = disks_open(&j->ds, d->path, true, j->v);
	struct crash_tree t;
	struct vhdx_err e;
	uint64_t flushed;

	if (!blk)
		return;
	while (cnt-- > 0 && !j->v->bad)
		disks_request(d, blk, &j->rng, j->v);
	if (vhdx_blk_flush(blk, &e))
		verdict_set(j->v, "%s: flush: %s", d->path, e.text);
	flushed = crash_now(o->world);
	if (vhdx_blk_close(blk, &e))
		verdict_set(j->v, "%s: close: %s", d->path, e.text);
	if (j->v->bad || joint_below(j, 4) > 0)
		return;
	flushed += joint_below(j, crash_now(o->world) - flushed + 1);
	opener_crash_build(o, flushed, joint_below(j, UINT32_MAX), &t);
	opener_crash_fini(o);
	opener_crash_init(o, NULL, &t);
	crash_tree_free(&t);
}

/* What is there becomes durable, names too; j->tree is it. */
static void restart(struct joint *j, struct opener_crash *o)
{
	crash_tree_free(&j->tree);
	opener_crash_now(o, &j->tree);
	opener_crash_fini(o);
	opener_crash_init(o, NULL, &j->tree);
}

static int add(struct joint *j, const char *name, int parent,
	       const struct vhdx_create_opts *want)
{
	char path[OPENER_CRASH_PATH];
	struct opener_crash o;
	int i;

	snprintf(path, sizeof(path), "/sim/%s.%s", name,
		 want->format == VHDX_FORMAT_VHD ? "vhd" : "vhdx");
	opener_crash_init(&o, NULL, &j->tree);
	j->ds.opener = &o.opener;
	j->ds.loop = j->loop;
	i = disks_create(&j->ds, path, parent, want, j->v);
	restart(j, &o);
	if (i >= 0)
		fill(j, &o, i);
	if (j->v->bad)
		return -1;
	restart(j, &o);
	opener_crash_fini(&o);
	return i;
}

static uint32_t block_len(struct joint *j, enum vhdx_format format)
{
	if (format == VHDX_FORMAT_VHD)
		return (uint32_t)(512 * KIB << joint_below(j, 3));
	return (uint32_t)(MIB << joint_below(j, 2));
}

int joint_child(struct joint *j, int parent, const char *name)
{
	const struct disk *p = &j->ds.d[parent];
	struct vhdx_create_opts o = { .format = p->format };

	o.block_len = block_len(j, p->format);
	return add(j, name, parent, &o);
}

int joint_chain(struct joint *j, unsigned depth, bool same_size)
{
	static const char *const names[] = { "base", "c1", "c2", "c3", "c4" };
	uint64_t size = (3 + joint_below(j, 3)) * MIB;
	enum vhdx_format format = j->op->format;
	int last = -1;

	ASSERT(depth < ARRAY_LEN(names));
	same_size |= format == VHDX_FORMAT_VHD;
	for (unsigned i = 0; i <= depth && !j->v->bad; i++) {
		struct vhdx_create_opts o = { .format = format,
					      .size_len = size,
					      .type = VHDX_TYPE_DYNAMIC };

		/* A fixed disk has parents' blocks without holes. */
		if (format == VHDX_FORMAT_VHDX && joint_below(j, 5) == 0)
			o.type = VHDX_TYPE_FIXED;
		o.block_len = block_len(j, format);
		if (i == 0)
			o.sector_len = format == VHDX_FORMAT_VHDX &&
				       joint_below(j, 4) == 0 ? 4096 : 512;
		if (i && !same_size && joint_below(j, 2))
			o.size_len += joint_below(j, 5) * 512 * KIB - MIB;
		last = add(j, names[i], last, &o);
	}
	return last;
}

/* One more round for disk i, on the files as they are. */
static bool again(struct joint *j, int i,
		  void (*fn)(struct joint *, struct opener_crash *, int))
{
	struct opener_crash o;

	opener_crash_init(&o, NULL, &j->tree);
	j->ds.opener = &o.opener;
	fn(j, &o, i);
	if (j->v->bad)
		return false;
	restart(j, &o);
	opener_crash_fini(&o);
	return true;
}

static void churn(struct joint *j, struct opener_crash *o, int i)
{
	struct disk *d = &j->ds.d[i];
	struct vhdx_blk *blk = disks_open(&j->ds, d->path, true, j->v);
	struct vhdx_err e;

	(void)o;
	if (!blk)
		return;
	disks_churn(d, blk, &j->rng, j->v);
	if (vhdx_blk_close(blk, &e))
		verdict_set(j->v, "%s: close: %s", d->path, e.text);
}

bool joint_churn(struct joint *j, int i)
{
	return again(j, i, churn) && again(j, i, fill);
}

static void resize(struct joint *j, struct opener_crash *o, int i)
{
	struct disk *d = &j->ds.d[i];
	struct vhdx_err e;

	if (resizing_run(&o->opener, j->loop, d->path, j->size_len, &e))
		verdict_set(j->v, "%s: resize: %s", d->path, e.text);
	memimg_resize(&d->view, j->size_len);
}

bool joint_resize_now(struct joint *j, int i, uint64_t size_len)
{
	j->size_len = size_len;
	return again(j, i, resize) && again(j, i, fill);
}

void joint_version(struct promise *p, const struct memimg *view,
		   uint64_t begun, uint64_t durable)
{
	struct version *v = &p->v[p->version_cnt++];

	ASSERT(p->version_cnt <= VERSIONS_MAX);
	memimg_clone(&v->view, view);
	v->begun = begun;
	v->durable = durable;
}

void joint_promise_all(struct joint *j)
{
	for (unsigned i = 0; i < j->ds.cnt; i++) {
		struct promise *p = &j->p[j->promise_cnt++];

		*p = (struct promise){ .before = true, .after = true,
				       .steady = true, .heir = -1 };
		strcpy(p->path, j->ds.d[i].path);
		joint_version(p, &j->ds.d[i].view, 0, 0);
	}
}

void joint_free(struct joint *j)
{
	for (unsigned i = 0; i < j->promise_cnt; i++)
		for (unsigned k = 0; k < j->p[i].version_cnt; k++)
			memimg_free(&j->p[i].v[k].view);
	j->promise_cnt = 0;
	memimg_free(&j->seen);
	crash_tree_free(&j->tree);
	disks_free(&j->ds);
}
