/* SPDX-License-Identifier: MIT */
/*
 * Logical units: a disk, its SCSI face, and what happens when it comes, goes,
 * or is opened again.
 *
 *	add --> UNIT_OPEN --remove--> UNIT_REMOVING --nothing in flight--> gone
 *	 reopen |    ^                   ^
 *		v    | opened again      | remove
 *	UNIT_QUIESCING --closed--> UNIT_CLOSED <-- could not be opened again
 *
 * U1. A disk is closed when the host works on none of its requests.
 * U2. For a reopen it is flushed first, and stays open if that fails: what was
 *     lost is lost in a device that knows it, and says so to later flushes.
 *     After a good flush closing cannot lose anything that was written.
 * U3. What comes while it is closed waits (scsi_quiesce), however long: a guest
 *     is never told of an error that is not its disk's.
 */
#include "storvsp_int.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

struct storvsp_unit *storvsp_unit_find(struct storvsp *v, unsigned lun)
{
	struct storvsp_unit *u = lun < STORVSP_LUNS ? v->unit[lun] : NULL;
	return u && u->state != UNIT_REMOVING ? u : NULL;
}

unsigned storvsp_unit_list(const struct storvsp *v, uint8_t lun[STORVSP_LUNS])
{
	unsigned cnt = 0;
	for (unsigned i = 0; i < STORVSP_LUNS; i++)
		if (v->unit[i] && v->unit[i]->state != UNIT_REMOVING)
			lun[cnt++] = (uint8_t)i;
	return cnt;
}

/* ---- its turn ----------------------------------------------------------- */

void storvsp_unit_touch(struct storvsp_unit *u)
{
	if (list_empty(&u->turning))
		list_add_tail(&u->v->turning, &u->turning);
}

static void readable(struct storvsp_source *s)
{
	storvsp_unit_touch(container_of(s, struct storvsp_unit, source));
}

/* A disk that always has something ready must leave room for the others. */
#define TURNS 8

void storvsp_unit_turns(struct storvsp *v)
{
	struct list turning, *it, *nx;
	list_init(&turning);
	list_splice(&turning, &v->turning);
	list_for_each_safe(it, nx, &turning) {
		struct storvsp_unit *u =
			list_entry(it, struct storvsp_unit, turning);
		int n = 0;
		list_del(it);
		while (u->blk && n < TURNS && vhdx_blk_turn(u->blk, 0) > 0)
			n++;
		if (n == TURNS)
			storvsp_unit_touch(u);
	}
}

/* ---- giving up ---------------------------------------------------------- */

void storvsp_unit_abort(struct storvsp_unit *u)
{
	scsi_abort_all(u->scsi);
	storvsp_unit_touch(u);
}

/* What is in flight may stay there until somebody does something. */
static bool is_stuck(const struct storvsp_unit *u)
{
	return u->in_flight && (u->starved || !u->blk);
}

/* Reads go on beside writes that wait for space. */
bool storvsp_unit_idle(const struct storvsp *v)
{
	for (unsigned i = 0; i < STORVSP_LUNS; i++) {
		const struct storvsp_unit *u = v->unit[i];
		if (u && u->in_flight &&
		    (!is_stuck(u) || scsi_is_working(u->scsi)))
			return false;
	}
	return true;
}

static void starved(void *arg, bool paused)
{
	struct storvsp_unit *u = arg;
	u->starved = paused;
	if (paused)
		storvsp_tell(u->v, "disk at LUN %u: no space left on the host; "
			     "its requests wait: make room, then resume",
			     u->disk.lun);
	else
		storvsp_tell(u->v, "disk at LUN %u: goes on", u->disk.lun);
}

/* ---- opening and closing ------------------------------------------------ */

static int open_blk(struct storvsp_unit *u, uint8_t id[16], struct vhdx_err *e)
{
	int rc = u->disk.open(u->disk.arg, &u->blk, id, e);
	if (rc)
		return rc;
	u->source = (struct storvsp_source){
		readable, vhdx_blk_fd(u->blk), false,
	};
	rc = storvsp_watch(u->v, &u->source, e);
	if (rc) {
		(void)!vhdx_blk_close(u->blk, NULL);
		u->blk = NULL;
		return rc;
	}
	vhdx_blk_geometry(u->blk, &u->geometry);
	storvsp_unit_touch(u);
	return 0;
}

static int close_blk(struct storvsp_unit *u, struct vhdx_err *e)
{
	if (!u->blk)
		return 0;
	struct vhdx_blk *blk = u->blk;
	storvsp_unwatch(u->v, &u->source);
	u->blk = NULL;
	return vhdx_blk_close(blk, e);
}

static int free_unit(struct storvsp_unit *u, struct vhdx_err *e)
{
	if (u->scsi)
		scsi_disk_destroy(u->scsi);
	int rc = close_blk(u, e);
	list_del(&u->turning);
	mem_free(u);
	return rc;
}

int storvsp_unit_close_all(struct storvsp *v, struct vhdx_err *e)
{
	int first = 0;
	for (unsigned i = 0; i < STORVSP_LUNS; i++) {
		struct vhdx_err err;
		if (!v->unit[i])
			continue;
		int rc = free_unit(v->unit[i], &err);
		v->unit[i] = NULL;
		if (rc && !first)
			first = err_copy(e, &err, rc);
	}
	return first;
}

/* ---- add ---------------------------------------------------------------- */

static int new_unit(struct storvsp *v, const struct storvsp_disk *d,
		    struct storvsp_unit **out, struct vhdx_err *e)
{
	struct storvsp_unit *u = mem_zalloc(sizeof(*u));
	struct scsi_conf conf = {
		.read_only = d->read_only,
		.nospc = d->nospc,
		.paused = starved,
		.arg = u,
	};
	if (!u)
		return err_set(e, VHDX_E_NOMEM, "LUN %u: out of memory",
			       d->lun);
	u->v = v;
	u->disk = *d;
	list_init(&u->turning);
	int rc = open_blk(u, conf.id, e);
	if (!rc) {
		conf.blk = u->blk;
		rc = scsi_disk_create(&conf, &u->scsi, e);
	}
	if (rc) {
		(void)!free_unit(u, NULL);
		return rc;
	}
	*out = u;
	return 0;
}

static void add_order(struct storvsp *v, struct storvsp_order *o)
{
	const struct storvsp_disk *d = o->arg;
	if (v->unit[d->lun]) {
		storvsp_done(v, o, err_set(o->e, VHDX_E_EXISTS, "LUN %u is "
			     "taken; choose another", d->lun));
		return;
	}
	int rc = new_unit(v, d, &v->unit[d->lun], o->e);
	if (!rc)
		storvsp_chan_enumerate(v);
	storvsp_done(v, o, rc);
}

int storvsp_add(struct storvsp *v, const struct storvsp_disk *d,
		struct vhdx_err *e)
{
	struct storvsp_order o = {
		.run = add_order, .arg = (void *)(uintptr_t)d, .e = e,
	};
	if (d->lun >= STORVSP_LUNS)
		return err_set(e, VHDX_E_INVAL, "LUN %u: a controller has 0 to "
			       "%u", d->lun, STORVSP_LUNS - 1);
	return storvsp_call(v, &o);
}

/* ---- remove ------------------------------------------------------------- */

/* NULL: the order has been answered. */
static struct storvsp_unit *unit_of(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_unit *u = storvsp_unit_find(v, o->lun);
	if (!u)
		storvsp_done(v, o, err_set(o->e, VHDX_E_NOTFOUND, "LUN %u: "
			     "there is no disk", o->lun));
	else if (u->reopening)
		storvsp_done(v, o, err_set(o->e, VHDX_E_BUSY, "LUN %u: is "
			     "being opened again; try again", o->lun));
	return u && !u->reopening ? u : NULL;
}

static void remove_order(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_unit *u = unit_of(v, o);
	if (!u)
		return;
	u->state = UNIT_REMOVING;
	u->order = o;
	storvsp_chan_enumerate(v);
	v->pending = true;
}

int storvsp_remove(struct storvsp *v, unsigned lun, struct vhdx_err *e)
{
	struct storvsp_order o = { .run = remove_order, .lun = lun, .e = e };
	return storvsp_call(v, &o);
}

static bool remove_step(struct storvsp_unit *u)
{
	struct storvsp *v = u->v;
	struct storvsp_order *o = u->order;
	if (is_stuck(u))
		storvsp_unit_abort(u);
	if (u->in_flight)
		return true;
	v->unit[u->disk.lun] = NULL;
	storvsp_done(v, o, free_unit(u, o->e));
	return false;
}

/* ---- reopen ------------------------------------------------------------- */

static void is_quiet(void *arg)
{
	struct storvsp_unit *u = arg;
	u->quiet = true;
}

static void begin_reopen(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_unit *u = unit_of(v, o);
	if (!u)
		return;
	u->reopening = true;
	if (u->state == UNIT_CLOSED) { /* it could not be opened last time */
		storvsp_done(v, o, 0);
		return;
	}
	u->state = UNIT_QUIESCING;
	u->order = o;
	u->quiet = false;
	scsi_quiesce(u->scsi, is_quiet, u);
	storvsp_unit_touch(u);
	v->pending = true;
}

static bool quiesce_step(struct storvsp_unit *u)
{
	struct storvsp_order *o = u->order;
	if (!u->quiet)
		return true;
	int rc = 0;
	if (!u->geometry.read_only && !MUTATED(STORVSP_REOPEN_FLUSHES))
		rc = vhdx_blk_flush(u->blk, o->e);
	u->order = NULL;
	if (rc) {
		u->state = UNIT_OPEN;
		u->reopening = false;
		scsi_swap(u->scsi, u->blk);
		storvsp_unit_touch(u);
	} else {
		u->state = UNIT_CLOSED;
		(void)!close_blk(u, NULL); /* U2 */
	}
	storvsp_done(u->v, o, rc);
	return false;
}

/* The guest counts in the sectors it knows: what it sends before it asks again
 * would go to other places. */
static int check_sector(struct storvsp_unit *u, uint32_t was,
			struct vhdx_err *e)
{
	uint32_t is = u->geometry.sector_len;
	if (is == was)
		return 0;
	(void)!close_blk(u, NULL); /* nothing was written */
	u->geometry.sector_len = was;
	return err_set(e, VHDX_E_INVAL, "the disk has sectors of %u bytes now, "
					"the guest knows %u", is, was);
}

static void end_reopen(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_unit *u = v->unit[o->lun];
	uint32_t sector_len = u->geometry.sector_len;
	uint8_t id[16];
	u->reopening = false;
	int rc = open_blk(u, id, o->e);
	if (!rc)
		rc = check_sector(u, sector_len, o->e);
	if (rc) {
		storvsp_done(v, o, err_wrap(o->e, rc, "LUN %u stays closed and "
			     "its requests wait: reopen it again, or remove it",
			     o->lun));
		return;
	}
	u->state = UNIT_OPEN;
	scsi_swap(u->scsi, u->blk);
	/* A guest that asks for nothing hears nothing: it is to ask. */
	storvsp_chan_enumerate(v);
	storvsp_done(v, o, 0);
}

int storvsp_reopen(struct storvsp *v, unsigned lun,
		   int (*change)(void *arg, struct vhdx_err *e), void *arg,
		   struct vhdx_err *e)
{
	struct storvsp_order begin = {
		.run = begin_reopen, .lun = lun, .e = e,
	};
	struct vhdx_err err;
	struct storvsp_order end = { .run = end_reopen, .lun = lun, .e = &err };
	int rc = storvsp_call(v, &begin);
	if (rc)
		return rc;
	/* Here, not on the controller's thread: the other disks go on. */
	int changed = change ? change(arg, e) : 0;
	rc = storvsp_call(v, &end);
	return rc ? err_copy(e, &err, rc) : changed;
}

/* True: it waits for something. u may be gone. */
static bool unit_step(struct storvsp_unit *u)
{
	switch (u->state) {
	case UNIT_REMOVING:
		return remove_step(u);
	case UNIT_QUIESCING:
		return quiesce_step(u);
	default:
		return false;
	}
}

bool storvsp_unit_step(struct storvsp *v)
{
	bool waits = false;
	for (unsigned i = 0; i < STORVSP_LUNS; i++)
		if (v->unit[i] && unit_step(v->unit[i]))
			waits = true;
	return waits;
}

/* ---- resume, status ----------------------------------------------------- */

static void resume_order(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_unit *u = storvsp_unit_find(v, o->lun);
	if (u) {
		scsi_resume(u->scsi);
		storvsp_unit_touch(u);
	}
	storvsp_done(v, o, 0);
}

void storvsp_resume(struct storvsp *v, unsigned lun)
{
	struct storvsp_order o = { .run = resume_order, .lun = lun };
	(void)!storvsp_call(v, &o);
}

static void status_order(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_status *st = o->arg;
	const struct storvsp_unit *u = storvsp_unit_find(v, o->lun);
	if (u) {
		st->there = true;
		st->geometry = u->geometry;
		scsi_stats(u->scsi, &st->stats);
	}
	storvsp_done(v, o, 0);
}

void storvsp_status(struct storvsp *v, unsigned lun, struct storvsp_status *st)
{
	struct storvsp_order o = {
		.run = status_order, .lun = lun, .arg = st,
	};
	memset(st, 0, sizeof(*st));
	(void)!storvsp_call(v, &o);
}
