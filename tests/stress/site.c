/* SPDX-License-Identifier: MIT */
#include "site.h"

#include <string.h>
#include <unistd.h>

#include "chain.h"
#include "file_direct.h"
#include "file_fault.h"
#include "t.h"

#define LAYERS 3
#define SIZE_LEN (12 * MIB + 96 * KIB)

const struct kind kinds[] = {
	{ "vhdx", VHDX_FORMAT_VHDX, VHDX_TYPE_DYNAMIC, MIB, 512 },
	{ "vhdx4k", VHDX_FORMAT_VHDX, VHDX_TYPE_DYNAMIC, 2 * MIB, 4096 },
	{ "fixed", VHDX_FORMAT_VHDX, VHDX_TYPE_FIXED, MIB, 512 },
	{ "chain", VHDX_FORMAT_VHDX, VHDX_TYPE_DIFFERENCING, MIB, 512 },
	{ "vhd", VHDX_FORMAT_VHD, VHDX_TYPE_DYNAMIC, 512 * KIB, 512 },
	{ "vhdchain", VHDX_FORMAT_VHD, VHDX_TYPE_DIFFERENCING, 512 * KIB,
	  512 },
	{ "raw", VHDX_FORMAT_RAW, VHDX_TYPE_FIXED, 0, 512 },
};
const size_t kind_cnt = ARRAY_LEN(kinds);

const char *site_folders[2];

const char *const backing_names[BACK_CNT] = { "sim", "cached", "direct" };

static void path_of(const struct site *s, unsigned depth, char *out,
		    size_t len)
{
	static const char *const names[LAYERS] = { "leaf", "mid", "base" };

	snprintf(out, len, "%s/%s", s->folder, names[depth]);
}

static unsigned depth_of(const struct kind *k)
{
	return k->type == VHDX_TYPE_DIFFERENCING ? LAYERS : 1;
}

/* ---- opening ------------------------------------------------------------ */

static int real_open(const struct opener *o, struct loop *l, const char *path,
		     unsigned flags, struct file **out, struct vhdx_err *e)
{
	struct site *s = container_of(o, struct site, real);
	struct file_fault *ff;
	struct file *f;
	int rc = opener_default.open(&opener_default, l, path, flags, &f, e);

	if (rc)
		return rc;
	/* As on a disk with sectors of 4 KiB: what is less goes through the
	 * page cache, beside what does not. */
	if (s->seed & 1)
		file_direct_align_for_tests(f, 0, 4096);
	rc = file_fault_new(f, &ff, e);
	if (rc) {
		file_close(f);
		return rc;
	}
	ff->shared = &s->rule;
	ff->failed_total = &s->failed_cnt;
	*out = &ff->w.file;
	return 0;
}

static int open_chain(struct site *s, struct loop *l, unsigned depth,
		      bool writable, struct chain **out, struct vhdx_err *e)
{
	struct chain_opts o = { .format = s->kind->format };
	char path[256];

	if (writable)
		o.flags |= VHDX_OPEN_WRITE;
	if (s->backing == BACK_DIRECT)
		o.flags |= VHDX_OPEN_DIRECT;
	path_of(s, depth, path, sizeof(path));
	return chain_open(s->opener, l, path, &o, out, e);
}

static int open_layer(struct site *s, unsigned depth, bool writable,
		      struct vhdx_blk **out, struct vhdx_err *e)
{
	struct chain *c;
	struct loop *l;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	rc = open_chain(s, l, depth, writable, &c, e);
	if (!rc) {
		rc = blk_new_chain(c, l, true, out, e);
		if (!rc)
			return 0;
		if (chain_close(c, NULL))
			abort();
	}
	loop_free(l);
	return rc;
}

int site_open(struct site *s, bool writable, struct vhdx_blk **out,
	      struct vhdx_err *e)
{
	return open_layer(s, 0, writable, out, e);
}

/* ---- making images ------------------------------------------------------ */

/* Of VHDX disks the parents are smaller, and end within a block. */
static uint64_t layer_len(const struct site *s, unsigned depth)
{
	if (s->kind->format != VHDX_FORMAT_VHDX)
		return s->size_len;
	return s->size_len - depth * (MIB + 200 * KIB);
}

static int fill_file(struct site *s, struct loop *l, unsigned depth,
		     struct file *f, const char *path, struct vhdx_err *e)
{
	bool base = depth + 1 == depth_of(s->kind), vhd;
	struct vhdx_create_opts o = {
		.format = s->kind->format, .type_given = true,
		.type = base && s->kind->type == VHDX_TYPE_DIFFERENCING ?
				VHDX_TYPE_DYNAMIC : s->kind->type,
		.size_len = layer_len(s, depth),
		.block_len = s->kind->block_len,
		.sector_len = s->kind->sector_len };
	struct chain *c = NULL;
	uint64_t file_len, host_len;
	char parent[256];
	int rc = 0;

	vhd = o.format == VHDX_FORMAT_VHD;
	if (!base) {
		path_of(s, depth + 1, parent, sizeof(parent));
		o.parent = parent;
		rc = open_chain(s, l, depth + 1, false, &c, e);
		if (!rc)
			o.physical_sector_len =
				c->layers[0]->physical_sector_len;
	}
	if (!rc)
		rc = vhdx_create_plan(&o, &file_len, &host_len, e);
	if (rc)
		goto out;
	if (o.format == VHDX_FORMAT_RAW)
		rc = raw_image_create(f, &o, e);
	else if (base)
		rc = (vhd ? vhd1_image_create : vhdx_image_create)(f, &o, e);
	else
		rc = (vhd ? vhd1_image_create_child
			  : vhdx_image_create_child)(f, path, &o,
						     c->layers[0], e);
out:
	if (chain_close(c, rc ? NULL : e))
		abort();
	return rc;
}

static int create(struct site *s, unsigned depth, struct vhdx_err *e)
{
	char path[256];
	struct loop *l;
	struct file *f;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	path_of(s, depth, path, sizeof(path));
	rc = s->opener->open(s->opener, l, path, OPENER_WRITE | OPENER_CREATE,
			     &f, e);
	if (!rc) {
		rc = fill_file(s, l, depth, f, path, e);
		file_close(f);
	}
	loop_free(l);
	return rc;
}

/* Runs of sectors, here and there, of this layer; gens of what is seen. */
static int fill_layer(struct site *s, unsigned depth, uint32_t *gens,
		      struct vhdx_err *e)
{
	uint64_t rng = s->seed + depth, len = layer_len(s, depth);
	static uint8_t buf[128 * KIB];
	struct vhdx_blk *blk;
	int rc = open_layer(s, depth, true, &blk, e), rc2;

	if (rc)
		return rc;
	for (int i = 0; i < 60 && !rc; i++) {
		uint64_t first = t_rand_below(&rng, len / UNIT_LEN);
		uint64_t cnt = 1 + t_rand_below(&rng, i % 3 ? 16 : 256);
		bool zeros = t_rand_below(&rng, 8) == 0;
		uint32_t gen = zeros ? 0 : depth + 1;

		cnt = u64_min(cnt, len / UNIT_LEN - first);
		memset(buf, 0, sizeof(buf));
		for (uint64_t k = 0; k < cnt; k++) {
			if (!zeros)
				value_fill(buf + k * UNIT_LEN, first + k, gen,
					   s->seed);
			gens[first + k] = gen;
		}
		rc = zeros ? vhdx_blk_write_zeroes(blk, first * UNIT_LEN,
						   cnt * UNIT_LEN, e)
			   : vhdx_blk_write(blk, first * UNIT_LEN, buf,
					    cnt * UNIT_LEN, e);
	}
	rc2 = vhdx_blk_close(blk, rc ? NULL : e);
	return rc ? rc : rc2;
}

static int make_all(struct site *s, struct truth *t, struct vhdx_err *e)
{
	uint64_t cnt = s->size_len / UNIT_LEN;
	uint32_t *gens = calloc(cnt, sizeof(*gens));
	unsigned depth = depth_of(s->kind);
	int rc = 0;

	ASSERT(gens);
	while (depth-- > 0 && !rc) {
		rc = create(s, depth, e);
		if (!rc && depth)
			rc = fill_layer(s, depth, gens, e);
	}
	for (uint64_t i = 0; i < cnt; i++)
		truth_rebase(t, i, gens[i]);
	free(gens);
	return rc;
}

/* ---- life --------------------------------------------------------------- */

static struct crash_opts sim_opts(struct site *s)
{
	static const unsigned delays[] = { 0, 1, 2, 4, 9 };
	struct crash_opts o = { .seed = t_rand(&s->seed) };

	o.max_delay = delays[t_rand_below(&s->seed, ARRAY_LEN(delays))];
	o.no_punch = t_rand_below(&s->seed, 3) == 0;
	return o;
}

void site_end(struct site *s)
{
	if (s->backing == BACK_SIM)
		opener_crash_fini(&s->oc);
}

void site_fault(struct site *s, struct fault_rule rule)
{
	if (s->backing == BACK_SIM)
		s->oc.fault = rule;
	else
		s->rule = rule;
}

bool site_fault_waits(const struct site *s)
{
	return s->backing == BACK_SIM ? s->oc.fault.nth : s->rule.nth;
}

uint64_t site_failed_cnt(const struct site *s)
{
	return s->backing == BACK_SIM ? s->oc.failed_cnt : s->failed_cnt;
}

void site_cut(struct site *s, uint64_t number, struct crash_tree *out)
{
	opener_crash_build(&s->oc, crash_now(s->oc.world), number, out);
}

void site_restart(struct site *s, struct crash_tree *tree)
{
	struct crash_opts o = sim_opts(s);

	opener_crash_fini(&s->oc);
	opener_crash_init(&s->oc, &o, tree);
	crash_tree_free(tree);
}

void site_settle(struct site *s)
{
	static struct crash_tree tree;

	if (s->backing != BACK_SIM)
		return;
	opener_crash_now(&s->oc, &tree);
	site_restart(s, &tree);
}

/* What the case before has left. */
static void remove_all(const struct site *s)
{
	char path[256];

	for (unsigned depth = 0; depth < LAYERS; depth++) {
		path_of(s, depth, path, sizeof(path));
		unlink(path);
	}
}

bool site_begin(struct site *s, const struct kind *k, enum backing b,
		uint64_t seed, struct truth **truth, char *text, size_t len)
{
	struct vhdx_err e;

	*s = (struct site){ .kind = k, .backing = b, .seed = seed,
			    .size_len = SIZE_LEN, .real = opener_default };
	s->real.open = real_open;
	s->opener = &s->real;
	if (b == BACK_SIM) {
		struct crash_opts o = sim_opts(s);

		strcpy(s->folder, "/s");
		opener_crash_init(&s->oc, &o, NULL);
		s->opener = &s->oc.opener;
	} else {
		strcpy(s->folder, site_folders[b == BACK_CACHED && seed & 1]);
		remove_all(s);
	}
	*truth = truth_new(s->size_len, s->seed, b != BACK_SIM);
	if (!make_all(s, *truth, &e)) {
		site_settle(s);
		return true;
	}
	snprintf(text, len, "making the images: %s", e.text);
	return false;
}

/* ---- checking ----------------------------------------------------------- */

struct found {
	char *text;
	size_t len;
};

static void finding(void *arg, const struct vhdx_finding *f)
{
	struct found *found = arg;

	if (f->severity == VHDX_SEV_ERROR && !*found->text)
		snprintf(found->text, found->len, "check: %s", f->text);
}

bool site_check(struct site *s, bool strict, char *text, size_t len)
{
	struct vhdx_check_result res = { 0 };
	struct found found = { text, len };
	struct vhdx_err e;
	struct loop *l;
	char path[256];
	int rc;

	*text = 0;
	path_of(s, 0, path, sizeof(path));
	if (loop_new(&l, &e))
		abort();
	rc = image_check(s->opener, l, path, 0, finding, &found, &res, &e);
	loop_free(l);
	if (rc)
		snprintf(text, len, "check cannot be done: %s", e.text);
	else if (strict && res.log_dirty)
		snprintf(text, len, "check finds a dirty log");
	return !*text;
}
