/* SPDX-License-Identifier: MIT */
#include "case.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file_mem.h"
#include "format.h"
#include "guid.h"
#include "guids.h"
#include "image.h"
#include "parent.h"
#include "t.h"

#define MOMENTS 24	/* looked at per workload, at most */
#define STATES 10	/* per moment, at most */
#define MOMENTS_AGAIN 3 /* of a recovery */
#define STATES_AGAIN 2

struct acase {
	const struct profile *pf;
	uint64_t seed, rng;
	const struct only *only;
	struct tally *t;
	struct verdict *v;
	struct loop *loop;
	struct model *model;
	struct rig rig;
	struct guids guids;
	/* For the reproducer. */
	uint64_t at, state, at2, state2;
	bool crashed, again;
	bool region_bad; /* see struct expect */
	char where[CRASH_TEXT_LEN];
};

static uint64_t below(struct acase *c, uint64_t n)
{
	return t_rand_below(&c->rng, n);
}

void make_image(struct loop *l, const struct profile *pf, uint64_t seed,
		struct memimg *out)
{
	struct vhdx_create_opts o = {
		.format = pf->format, .type = pf->type, .type_given = true,
		.size_len = pf->size_len, .block_len = pf->block_len,
		.sector_len = pf->sector_len };
	uint64_t file_len, host_len;
	struct vhdx_err e;
	struct file *f;
	int rc = vhdx_create_plan(&o, &file_len, &host_len, &e);

	*out = (struct memimg){ 0 };
	if (!rc)
		rc = file_mem_new(l, "new", out, &f, &e);
	if (!rc && is_child(pf))
		rc = parent_add_child(f, pf, &o, &e);
	else if (!rc && pf->format == VHDX_FORMAT_VHDX)
		rc = vhdx_image_create(f, &o, &e);
	else if (!rc && pf->format == VHDX_FORMAT_VHD)
		rc = vhd1_image_create(f, &o, &e);
	else if (!rc)
		rc = raw_image_create(f, &o, &e);
	if (rc) {
		fprintf(stderr, "making an image: %s\n", e.text);
		abort();
	}
	file_close(f);
	if (is_child(pf) && seed / 2 % 2)
		child_add_bits(out, l, pf);
}

/* ---- the workload ------------------------------------------------------ */

/* One session: open, requests, close, look at the closed file. */
static bool session(struct acase *c, struct workload *w)
{
	struct expect x = { c->pf, c->model, UINT64_MAX - 1, false, 0, false };
	struct vhdx_blk *blk;
	struct vhdx_err e;
	uint32_t flush;

	guids_add(&c->guids, c->loop, crash_disk_content(c->rig.disk),
		  rig_pos(&c->rig));
	blk = open_device(rig_open(&c->rig, c->loop), c->pf, true, c->v);
	if (!blk)
		return false;
	workload_session(w, blk);
	if (w->failed) {
		verdict_set(c->v, "%s", w->text);
		return false; /* the device may be stuck: leave it */
	}
	flush = model_begin(c->model, MODEL_FLUSH, 0, 0, false,
			    rig_pos(&c->rig));
	if (vhdx_blk_close(blk, &e))
		verdict_set(c->v, "closing: %s", e.text);
	model_end(c->model, flush, !c->v->bad, rig_pos(&c->rig));
	if (!c->v->bad)
		clean_verify(c->loop, crash_disk_content(c->rig.disk), &x,
			     c->v);
	return !c->v->bad;
}

static bool workload(struct acase *c, uint64_t seed, unsigned sessions)
{
	struct workload w;

	workload_init(&w, c->pf, c->model, seed);
	w.pos = rig_pos;
	w.pos_arg = &c->rig;
	for (unsigned i = 0; i < sessions; i++)
		if (!session(c, &w))
			return false;
	return true;
}

/* ---- power fails ------------------------------------------------------- */

/* Recovers img on a disk of its own, which is left in *r with its record. */
static void recover(struct acase *c, const struct memimg *img,
		    struct expect *x, struct rig *r)
{
	uint64_t seed = ~(c->state ^ c->at << 32); /* not used before */

	guid_seed_for_tests(t_rand(&seed));
	rig_init(r, img, c->state + 1);
	if (c->state >> 4 & 1) /* not those where all subsets are tried */
		recover_repair(rig_open(r, c->loop), x, c->v);
	if (!c->v->bad)
		recover_writable(rig_open(r, c->loop), x, c->v);
	if (!c->v->bad)
		clean_verify(c->loop, crash_disk_content(r->disk), x, c->v);
	if (!c->v->bad)
		guids_verify_recovery(c->loop, img,
				      crash_disk_content(r->disk), c->v);
	c->t->recoveries++;
}

/* Power fails at `at` of the recovery that `first` has recorded. */
static void fail_again_at(struct acase *c, struct rig *first, uint64_t at,
			  uint64_t state, struct expect *x)
{
	struct memimg img;
	struct rig r;

	c->at2 = at;
	c->state2 = state;
	rig_state(first, at, state, &img);
	recover(c, &img, x, &r);
	memimg_free(&img);
	if (!c->v->bad)
		rig_fini(&r);
}

static void fail_again(struct acase *c, struct rig *first, struct expect *x)
{
	uint64_t at[MOMENTS_AGAIN], cnt;

	c->again = true;
	if (c->only->again) {
		fail_again_at(c, first, c->only->at2, c->only->state2, x);
		return;
	}
	cnt = rig_instants(first, MOMENTS_AGAIN, &c->rng, at);
	for (uint64_t i = 0; i < cnt; i++)
		for (uint64_t n = 0; n < STATES_AGAIN && !c->v->bad; n++)
			fail_again_at(c, first, at[i],
				      rig_state_number(first, at[i],
						       below(c, 4), &c->rng),
				      x);
	if (!c->v->bad)
		c->again = false;
}

static void dump(const struct acase *c, const struct memimg *img, char *path,
		 size_t len)
{
	const char *dir = getenv("CRASH_DUMP");
	uint64_t off = 0, data_off, n;
	FILE *f;

	snprintf(path, len, "%s/crash-%s-%ju.img", dir ? dir : "/tmp",
		 c->pf->name, (uintmax_t)c->seed);
	f = fopen(path, "wb");
	if (!f)
		return;
	for (memimg_next_data(img, off, &data_off, &n); n;
	     memimg_next_data(img, off, &data_off, &n)) {
		uint8_t page[MEMIMG_PAGE];

		n = u64_min(n, sizeof(page));
		memimg_read(img, data_off, page, n);
		fseeko(f, (off_t)data_off, SEEK_SET);
		fwrite(page, 1, n, f);
		off = data_off + n;
	}
	fclose(f);
	if (truncate(path, (off_t)img->size))
		return;
}

/* One state after power failed: recover it every way there is. */
static void fail_once(struct acase *c, uint64_t at, uint64_t state)
{
	struct expect x = { c->pf, c->model, at, false, 0, c->region_bad };
	struct memimg img;
	struct rig r = { NULL, NULL };
	char path[256];

	c->at = at;
	c->state = state;
	c->t->states++;
	rig_state(&c->rig, at, state, &img);
	guids_verify(&c->guids, c->loop, &img, &x, c->v);
	if (c->v->bad)
		goto out;
	if (below(c, 4) == 0 || c->only->given)
		recover_readonly(c->loop, &img, &x, c->v);
	if (!c->v->bad)
		recover(c, &img, &x, &r);
	if (!c->v->bad && (below(c, 6) == 0 || c->only->again))
		fail_again(c, &r, &x);
out:
	if (c->v->bad) {
		if (x.pos != at)
			verdict_add(c->v, " (G2: DataWriteGuid is that of pos "
				    "%ju)", (uintmax_t)x.pos);
		crash_event_text(c->rig.world, at, c->where);
		dump(c, &img, path, sizeof(path));
		fprintf(stderr, "image as found after power failed: %s\n",
			path);
	} else {
		rig_fini(&r);
	}
	memimg_free(&img);
}

static void fail_at(struct acase *c, uint64_t at)
{
	uint64_t cnt = rig_state_cnt(&c->rig, at, STATES);

	c->t->moments++;
	for (uint64_t n = 0; n < cnt && !c->v->bad; n++)
		fail_once(c, at, rig_state_number(&c->rig, at, n, &c->rng));
}

static void fail_everywhere(struct acase *c)
{
	uint64_t at[MOMENTS];
	size_t cnt = rig_instants(&c->rig, MOMENTS, &c->rng, at);

	for (size_t i = 0; i < cnt && !c->v->bad; i++)
		fail_at(c, at[i]);
}

/* ---- where a case starts ----------------------------------------------- */

static void read_device(void *arg, uint64_t voff, uint8_t *buf, uint64_t len)
{
	struct vhdx_err e;

	if (vhdx_blk_read(arg, voff, buf, len, &e))
		abort(); /* it was read before */
}

/* Starts from what a power failure in an earlier workload has left: the model
 * takes over whatever it shows. */
static bool start_dirty(struct acase *c, uint64_t round)
{
	struct expect x = { c->pf, c->model, 0, false, 0, false };
	struct memimg img;
	struct vhdx_blk *blk;
	struct vhdx_err e;
	struct file *f;

	if (!workload(c, ~c->seed - round, 1))
		return false;
	x.pos = below(c, rig_pos(&c->rig) + 1);
	rig_state(&c->rig, x.pos, below(c, UINT32_MAX), &img);
	guids_free(&c->guids);
	rig_fini(&c->rig);
	rig_init(&c->rig, &img, c->seed + round);
	if (file_mem_new(c->loop, "dirty", &img, &f, &e))
		abort();
	f->writable = false;
	blk = open_device(f, c->pf, false, c->v);
	if (blk) {
		content_verify(blk, &x, c->v);
		if (!c->v->bad)
			model_rebase(c->model, read_device, blk);
		if (vhdx_blk_close(blk, &e))
			verdict_set(c->v, "closing: %s", e.text);
	}
	memimg_free(&img);
	return !c->v->bad;
}

/* A third of the cases: after one to three power failures. */
static bool starts(struct acase *c)
{
	uint64_t rounds = c->seed % 3 ? 0 : 1 + c->seed / 3 % 3;

	for (uint64_t i = 0; i < rounds; i++)
		if (!start_dirty(c, i))
			return false;
	return true;
}

/* One of the structures that exist twice is damaged. A writable open mends the
 * headers, the first change of the disk the region tables. */
static void damage(struct acase *c, struct memimg *img)
{
	uint8_t junk[512];
	uint64_t i = below(c, 4);

	t_fill(junk, sizeof(junk), c->seed);
	c->region_bad = i >= 2;
	memimg_write(img, i < 2 ? FMT_HEADER_OFF(i) : FMT_REGION_OFF(i - 2),
		     junk, sizeof(junk));
}

static void add_reproducer(struct acase *c)
{
	verdict_add(c->v, "\n  repeat with: crash --profile %s --seed %ju",
		    c->pf->name, (uintmax_t)c->seed);
	if (!c->crashed)
		return;
	verdict_add(c->v, " --at %ju --state %ju", (uintmax_t)c->at,
		    (uintmax_t)c->state);
	if (c->again)
		verdict_add(c->v, " --at2 %ju --state2 %ju",
			    (uintmax_t)c->at2, (uintmax_t)c->state2);
	else
		verdict_add(c->v, "\n  power failed after %s", c->where);
}

bool case_run(const struct profile *pf, uint64_t seed, const struct only *only,
	      struct tally *t, struct verdict *v)
{
	struct acase c = { .pf = pf, .seed = seed, .rng = seed, .only = only,
			   .t = t, .v = v };
	struct memimg img;
	struct vhdx_err e;

	*v = (struct verdict){ 0 };
	parent_prepare(pf);
	guid_seed_for_tests(seed + 1);
	if (loop_new(&c.loop, &e))
		abort();
	make_image(c.loop, pf, seed, &img);
	c.model = model_new(pf->size_len, seed, is_child(pf));
	if (pf->format == VHDX_FORMAT_VHDX && seed % 5 == 0)
		damage(&c, &img);
	rig_init(&c.rig, &img, seed);
	memimg_free(&img);
	t->cases++;
	if (starts(&c) && workload(&c, seed, pf->sessions)) {
		c.crashed = true;
		if (only->given)
			fail_once(&c, only->at, only->state);
		else
			fail_everywhere(&c);
	}
	parent_verify(pf, v);
	if (v->bad) {
		add_reproducer(&c);
		return false; /* loop and disk may be in use: leave them */
	}
	guids_free(&c.guids);
	rig_fini(&c.rig);
	model_free(c.model);
	loop_free(c.loop);
	return true;
}
