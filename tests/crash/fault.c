/* SPDX-License-Identifier: MIT */
/*
 * A short workload, once for every N with the Nth file operation failing. Then:
 * somebody was told; a device whose sync failed never again calls a flush a
 * success; and the file, as the failing session has left it, with power lost on
 * top, recovers to allowed values.
 */
#include "case.h"

#include <string.h>

#include "guid.h"
#include "image.h"
#include "t.h"

#define REQUESTS 24

struct frun {
	struct profile pf; /* shortened */
	uint64_t seed, nth;
	int code;
	bool sticky;
	struct loop *loop;
	struct model *model;
	struct disk *disk;
	struct workload w;
	bool told;
	struct verdict *v;
	struct tally *t;
};

static uint64_t pos_of(void *arg)
{
	return disk_pos(arg);
}

/* Opening may fail: that is telling. */
static struct vhdx_blk *open_faulty(struct frun *r)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct file *f = disk_open(r->disk);
	struct vhdx_blk *blk;
	struct image *img;
	struct vhdx_err e;

	if (image_open(f, r->pf.format, &o, &img, &e)) {
		if (disk_failed_op(r->disk) < 0)
			verdict_set(r->v, "opening: %s", e.text);
		r->told = true;
		file_close(f);
		return NULL;
	}
	if (blk_new(img, r->loop, false, &blk, &e))
		abort();
	return blk;
}

static void judge_session(struct frun *r, int close_rc)
{
	int op = disk_failed_op(r->disk);
	bool told = r->told || r->w.errors || close_rc;

	if (r->w.failed)
		verdict_set(r->v, "%s", r->w.text);
	if (op < 0 && told)
		verdict_set(r->v, "nothing failed below, but a request or "
			    "the close did");
	if (op < 0)
		return;
	/* Punching is advice: who cannot punch has lost nothing. A VHD's
	 * footer that finds the host full is written later (V8). */
	if (r->code == VHDX_E_NOSPC && op == FILE_WRITE &&
	    r->pf.format == VHDX_FORMAT_VHD)
		return;
	if (!told && op != FILE_PUNCH)
		verdict_set(r->v, "a failed %s is reported to nobody",
			    op == FILE_SYNC ? "sync" : op == FILE_READ
			    ? "read" : "write or size change");
	if (op == FILE_SYNC && !r->sticky && close_rc == 0 && !r->told)
		verdict_set(r->v, "a sync failed, and yet the close calls "
			    "everything durable");
	if (op == FILE_SYNC && r->w.ok_flushes_since_error && r->w.errors)
		verdict_set(r->v, "a flush succeeds after a failed sync");
}

/* What the session left behind, after a reset of the machine. */
static void judge_file(struct frun *r)
{
	struct expect x = { &r->pf, r->model, disk_pos(r->disk), false, 0 };
	uint64_t rng = r->seed ^ r->nth;

	for (unsigned i = 0; i < 3 && !r->v->bad; i++) {
		struct memimg img;
		struct disk *d;

		disk_state(r->disk, disk_pos(r->disk),
			   i == 0 ? 1 : t_rand(&rng) >> 1, &img);
		d = disk_new(r->loop, &img, 1);
		x.seen = false;
		recover_writable(disk_open(d), &x, r->v);
		if (!r->v->bad)
			clean_verify(r->loop, disk_content(d), &x, r->v);
		r->t->recoveries++;
		memimg_free(&img);
		if (!r->v->bad)
			disk_free(d);
	}
}

/* False when the workload has fewer operations than that. */
static bool one_fault(struct frun *r)
{
	struct memimg img;
	struct vhdx_blk *blk;
	struct vhdx_err e;
	int close_rc = 0;
	bool reached;

	guid_seed_for_tests(r->seed + 1);
	if (loop_new(&r->loop, &e))
		abort();
	make_image(r->loop, &r->pf, &img);
	r->model = model_new(r->pf.size_len, r->seed);
	r->disk = disk_new(r->loop, &img, r->seed);
	memimg_free(&img);
	disk_fail(r->disk, r->nth, r->code, r->sticky);
	workload_init(&r->w, &r->pf, r->model, r->seed);
	r->w.pos = pos_of;
	r->w.pos_arg = r->disk;
	r->w.faults = true;
	r->told = false;
	blk = open_faulty(r);
	if (blk) {
		workload_session(&r->w, blk);
		if (!r->w.failed)
			close_rc = vhdx_blk_close(blk, &e);
	}
	judge_session(r, close_rc);
	reached = disk_failed_op(r->disk) >= 0;
	r->t->fault_runs++;
	disk_fail(r->disk, 0, 0, false);
	if (!r->v->bad)
		judge_file(r);
	if (r->v->bad)
		return false; /* loop and disk may be in use: leave them */
	disk_free(r->disk);
	model_free(r->model);
	loop_free(r->loop);
	return reached;
}

bool fault_run(const struct profile *pf, uint64_t seed, uint64_t only_nth,
	       struct tally *t, struct verdict *v)
{
	struct frun r = { .pf = *pf, .seed = seed, .t = t, .v = v };
	uint64_t step = 1 + seed % 7; /* every N, but over several seeds */

	*v = (struct verdict){ 0 };
	r.pf.requests = (unsigned)u64_min(pf->requests, REQUESTS);
	r.nth = only_nth ? only_nth : 1 + seed % step;
	do {
		uint64_t kind = (seed / 7 + r.nth / 64) % 3;

		r.code = kind == 1 ? VHDX_E_NOSPC : VHDX_E_IO;
		r.sticky = kind == 2;
		if (!one_fault(&r))
			break;
		r.nth += step;
	} while (!only_nth);
	if (!v->bad)
		return true;

	size_t used = strlen(v->text);

	snprintf(v->text + used, sizeof(v->text) - used,
		 "\n  repeat with: crash --profile %s --seed %ju --nth %ju",
		 pf->name, (uintmax_t)seed, (uintmax_t)r.nth);
	return false;
}
