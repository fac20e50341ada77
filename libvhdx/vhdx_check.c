/* SPDX-License-Identifier: MIT */
/*
 * The check of a VHDX file, from the outside in: identifier, headers, log,
 * region tables, metadata, block allocation table, space. The rules of mending
 * are K1..K4 in vhdx_check.h.
 *
 * A file with a dirty log is examined as it will be after replay: in memory,
 * or, when mending, after having been replayed in place. At the end the loader
 * that vhdx_open() uses has the last word: what it refuses is never called
 * good here.
 */
#include "vhdx_check.h"

#include <inttypes.h>

#include "layout.h"
#include "mem.h"
#include "recover.h"
#include "replay.h"

static void say_pending(struct vck *v, const struct replay_seq *s,
			enum check_fix fix)
{
	uint64_t off = v->hdr.cur.log_off + s->tail_off;

	if (s->item_cnt)
		check_say(v->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_LOG, off,
			  "2.3.3", "the file was not closed properly: %" PRIu64
			  " log %s (sequence %" PRIu64 " to %" PRIu64 ") "
			  "with %zu change%s to be replayed", s->entry_cnt,
			  s->entry_cnt == 1 ? "entry" : "entries",
			  s->first_seq, s->last_seq, s->item_cnt,
			  check_s(s->item_cnt));
	else
		check_say(v->c, VHDX_SEV_NOTE, fix, VHDX_OBJ_LOG, off, "2.3.3",
			  "the file was not closed properly, but its log has "
			  "no change to replay");
}

/* Replays in place or shows the file as replayed; s is used up. */
static int replay(struct vck *v, struct replay_seq *s, struct vhdx_err *e)
{
	int rc;

	if (vck_mends(v)) {
		rc = recover_log(v->c->file, &v->hdr, NULL, e);
		v->mending = rc == 0;
		if (!rc)
			say_pending(v, s, CHECK_FIXED);
		return rc;
	}
	v->c->result->log_dirty = true;
	say_pending(v, s, vck_fix(v));
	return file_overlay_new(v->c->file, s, &v->file, e);
}

static int check_log(struct vck *v, struct vhdx_err *e)
{
	struct replay_seq s = { 0 };
	struct vhdx_err why;
	int rc;

	if (!v->have_hdr || guid_is_zero(&v->hdr.cur.log))
		return 0;
	rc = replay_scan(v->file, &v->hdr.cur, &s, &why);
	if (rc == VHDX_E_CORRUPT) {
		v->may_mend = false;
		check_error(v->c, why.obj, why.off, why.spec,
			    "the file was not closed properly, and its log "
			    "cannot be replayed: %s; the rest is examined "
			    "without it, and nothing is mended", why.text);
		rc = 0;
	} else if (rc) {
		rc = err_copy(e, &why, rc);
	} else {
		rc = replay(v, &s, e);
	}
	replay_free(&s);
	return rc;
}

/* The parts above know every rule that the loader knows; this holds them to
 * it. */
static int check_loads(struct vck *v, struct vhdx_err *e)
{
	struct layout l = { 0 };
	struct vhdx_err why;
	int rc;

	if (!v->have_hdr || v->c->stuck_errors)
		return 0;
	rc = layout_load(v->file, &v->hdr.cur, &l, &why);
	layout_free(&l);
	if (rc == VHDX_E_CORRUPT || rc == VHDX_E_UNSUPPORTED)
		check_say_err(v->c, VHDX_SEV_ERROR, CHECK_NO_FIX, &why);
	else if (rc)
		return err_copy(e, &why, rc);
	return 0;
}

static int examine(struct vck *v, struct vhdx_err *e)
{
	int rc = vck_ident(v, e);

	if (!rc)
		rc = vck_headers(v, e);
	if (!rc)
		rc = check_log(v, e);
	if (!rc)
		rc = vck_headers_say(v, e);
	if (!rc)
		rc = mibmap_init(&v->map, vck_mib_cnt(v), e);
	if (!rc)
		rc = vck_regions(v, e);
	if (!rc)
		rc = vck_meta(v, e);
	if (!rc)
		rc = vck_bat(v, e);
	if (!rc)
		rc = check_loads(v, e);
	if (!rc)
		rc = vck_space(v, e);
	return rc;
}

int vhdx_image_check(struct check *c, struct vhdx_err *e)
{
	struct vck *v = mem_zalloc(sizeof(*v));
	int rc;

	if (!v)
		return err_set(e, VHDX_E_NOMEM, "no memory to check %s",
			       c->file->path);
	v->c = c;
	v->file = c->file;
	rc = examine(v, e);
	if (v->file != c->file)
		file_overlay_detach(v->file);
	mibmap_free(&v->map);
	mem_free(v->regions);
	mem_free(v);
	return rc;
}
