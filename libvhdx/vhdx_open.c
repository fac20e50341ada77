/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a VHDX image. Read-only, a dirty log is replayed in
 * memory (file_overlay) and the file is not touched. For writing, it is
 * replayed in place, and the whole BAT is examined: nothing is ever written to
 * an image whose blocks overlap. Otherwise opening changes nothing; the first
 * write starts the session (vhdx_space.c).
 *
 * Close: everything durable and home, LogGuid zero in both headers (C5), and
 * only then, when no log could call the file truncated, the spare space at its
 * end goes back to the host.
 */
#include <string.h>

#include "locator.h"
#include "mem.h"
#include "mutation.h"
#include "recover.h"
#include "replay.h"
#include "vhdx_compact.h"
#include "vhdx_create.h"
#include "vhdx_img.h"

static void tell(const struct image_open_opts *o, const char *fmt, ...)
	printf_like(2, 3);

static void tell(const struct image_open_opts *o, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!o->msg)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->msg(o->msg_arg, text);
}

static void vhdx_flush(struct image *img, struct image_flush *fl)
{
	commit_flush(vi_of(img)->cm, fl);
}

/* ---- closing ------------------------------------------------------------ */

static void vhdx_free(struct vhdx_image *vi)
{
	commit_free(vi->cm);
	mcache_free(vi->mc);
	space_fini(&vi->space);
	layout_free(&vi->layout);
	mem_free(vi->allocs);
	mem_free(vi->freed);
	mem_free(vi->region_copy);
	parent_ref_free(vi->img.parent);
	mem_free(vi);
}

static void flushed(struct image_flush *fl)
{
	*(bool *)fl->opaque = true;
}

int vhdx_settle(struct vhdx_image *vi, struct vhdx_err *e)
{
	bool done = false;
	struct image_flush fl = { .done = flushed, .opaque = &done };

	commit_flush(vi->cm, &fl);
	while (!done || !commit_is_idle(vi->cm) || !space_is_idle(vi))
		loop_turn(vi->img.file->loop, -1);
	/* The flush is answered before the pages are home. */
	if (!fl.res && commit_failed(vi->cm))
		return commit_failure(vi->cm, e);
	return err_copy(e, &fl.err, fl.res);
}

static int give_back_tail(struct vhdx_image *vi, struct vhdx_err *e)
{
	uint64_t end = space_end(&vi->space);
	int rc;

	if (vi->session < SESSION_FILE || end >= vi->img.file->size)
		return 0;
	rc = file_truncate(vi->img.file, end, e);
	return rc ? rc : file_sync(vi->img.file, e);
}

static int close_writable(struct vhdx_image *vi, struct vhdx_err *e)
{
	int rc = vhdx_settle(vi, e);

	if (!rc && MUTATED(CLOSE_SHRINKS_LAST))
		rc = give_back_tail(vi, e);
	if (!rc)
		rc = commit_close(vi->cm, e);
	return rc ? rc : give_back_tail(vi, e);
}

static int vhdx_close(struct image *img, struct vhdx_err *e)
{
	struct vhdx_image *vi = vi_of(img);
	struct file *f = img->file;
	int rc = 0;

	if (img->writable)
		rc = close_writable(vi, e);
	vhdx_free(vi);
	file_close(f);
	return rc;
}

static const struct image_ops vhdx_ops = {
	.map_read = vhdx_map_read,
	.map_write = vhdx_map_write,
	.end_write = vhdx_end_write,
	.unmap = vhdx_unmap,
	.flush = vhdx_flush,
	.close = vhdx_close,
	.compact = vhdx_image_compact,
	.set_parent = vhdx_relink,
	.adopt = vhdx_adopt,
	.set = vhdx_set_disk,
	.resize = vhdx_image_resize,
};

/* ---- opening ------------------------------------------------------------ */

static void on_starved(void *arg)
{
	struct vhdx_image *vi = arg;

	if (vi->cm)
		commit_kick(vi->cm);
}

static void on_durable(void *arg)
{
	freed_reclaim(arg);
}

static void on_taken(void *arg)
{
	struct vhdx_image *vi = arg;

	claims_wake(vi);
}

static void on_failed(void *arg)
{
	struct vhdx_image *vi = arg;

	/* Nothing will become durable any more: nobody may wait for it. */
	vmap_wake(&vi->freed_waiters);
	claims_wake(vi);
}

static const struct commit_ops commit_ops = {
	.taken = on_taken,
	.durable = on_durable,
	.failed = on_failed,
};

/* The log: in place when writable, else *shown is f as replayed. */
static int open_log(struct vhdx_image *vi, struct file *f,
		    const struct image_open_opts *o, struct file **shown,
		    struct vhdx_err *e)
{
	struct guid old = vi->hdr.cur.file_write;
	struct replay_seq seq;
	uint64_t entries = 0;
	int rc;

	*shown = f;
	vi->img.info.log_dirty = !guid_is_zero(&vi->hdr.cur.log);
	if (vi->img.writable) {
		rc = recover_log(f, &vi->hdr, &entries, e);
		if (rc)
			return rc;
		vi->file_guid_fresh = !guid_eq(&vi->hdr.cur.file_write, &old);
		if (vi->img.info.log_dirty)
			tell(o, "replayed %llu log entries",
			     (unsigned long long)entries);
		return 0;
	}
	if (!vi->img.info.log_dirty)
		return 0;
	rc = replay_scan(f, &vi->hdr.cur, &seq, e);
	if (rc)
		return rc;
	tell(o, "the log holds %llu entries; replayed in memory",
	     (unsigned long long)seq.entry_cnt);
	rc = file_overlay_new(f, &seq, shown, e);
	replay_free(&seq);
	return rc;
}

static int open_writable(struct vhdx_image *vi, struct vhdx_err *e)
{
	int rc = bat_scan(vi->img.file, &vi->layout, &vi->hdr.cur, &vi->space,
			  e);

	if (rc)
		return err_wrap(e, rc, "not safe to write to");
	vi->allocs = mem_zalloc(VI_ALLOCS * sizeof(*vi->allocs));
	vi->freed = mem_alloc(VI_FREED * sizeof(*vi->freed));
	vi->region_copy = mem_alloc(FMT_REGION_LEN);
	if (!vi->allocs || !vi->freed || !vi->region_copy)
		return err_set(e, VHDX_E_NOMEM,
			       "no memory to open for writing");
	alloc_init(vi);
	loop_task_init(&vi->grow_task, grow_start);
	return commit_new(vi->img.file, &vi->hdr, vi->mc, &commit_ops, vi,
			  &vi->cm, e);
}

static void fill_info(struct vhdx_image *vi, const struct guid *log)
{
	struct vhdx_info *info = &vi->img.info;
	const struct layout *l = &vi->layout;
	const struct fmt_header *h = &vi->hdr.cur;

	info->format = VHDX_FORMAT_VHDX;
	info->type = l->has_parent	  ? VHDX_TYPE_DIFFERENCING
		     : l->leave_allocated ? VHDX_TYPE_FIXED
					  : VHDX_TYPE_DYNAMIC;
	vi->img.identity = vi->hdr.cur.data_write;
	memcpy(info->disk_id, l->disk_id.b, 16);
	layout_creator(&l->ident, info->creator, sizeof(info->creator));
	memcpy(info->file_write_guid, h->file_write.b, 16);
	memcpy(info->data_write_guid, h->data_write.b, 16);
	memcpy(info->log_guid, log->b, 16);
	info->header_seq = h->seq;
	info->log_off = h->log_off;
	info->log_len = h->log_len;
	info->bat_off = l->bat_off;
	info->bat_len = l->bat_len;
	info->meta_off = l->meta_off;
	info->meta_len = l->meta_len;
	vi->img.size_len = l->size_len;
	vi->img.block_len = l->block_len;
	vi->img.sector_len = l->sector_len;
	vi->img.physical_sector_len = l->physical_sector_len;
}

int vhdx_load_locator(struct vhdx_image *vi, struct locator *out, uint64_t *off,
		      struct vhdx_err *e)
{
	const struct fmt_meta_entry *item =
		meta_item_find(vi->layout.meta, &FMT_META_LOCATOR, false);
	uint8_t *b;
	int rc;

	memset(out, 0, sizeof(*out));
	ASSERT(item); /* layout_load has seen it */
	*off = vi->layout.meta_off + item->off;
	b = mem_alloc(u64_max(item->len, 1));
	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory for a locator");
	rc = file_read(vi->img.file, *off, b, item->len, e);
	if (!rc)
		rc = locator_decode(b, item->len, *off, out, e);
	mem_free(b);
	return rc;
}

static int load_parent(struct vhdx_image *vi, struct vhdx_err *e)
{
	struct locator loc;
	uint64_t off;
	int rc = vhdx_load_locator(vi, &loc, &off, e);

	if (!rc)
		rc = locator_parent(&loc, off, &vi->img.parent, e);
	locator_free(&loc);
	return rc;
}

static int open_layout(struct vhdx_image *vi, const struct image_open_opts *o,
		       struct vhdx_err *e)
{
	int rc = layout_load(vi->img.file, &vi->hdr.cur, &vi->layout, e);

	if (rc)
		return rc;
	if (vi->layout.has_parent)
		rc = load_parent(vi, e);
	if (rc)
		return rc;
	for (int i = 0; i < 2; i++)
		if (!vi->hdr.valid[i])
			tell(o, "header copy %d is damaged (%s); used the "
			     "other", i + 1, vi->hdr.why[i].text);
	if (vi->layout.region_bad >= 0)
		tell(o, "region table copy %d is damaged (%s); used the other",
		     vi->layout.region_bad + 1, vi->layout.region_why.text);
	return mcache_new(vi->img.file, VI_PAGES, on_starved, vi, &vi->mc, e);
}

int vhdx_reload(struct vhdx_image *vi, struct vhdx_err *e)
{
	struct guid log;
	struct parent_ref *old_parent = vi->img.parent;
	struct layout old = vi->layout;
	int rc = layout_load(vi->img.file, &vi->hdr.cur, &vi->layout, e);

	vi->img.parent = NULL;
	if (!rc && vi->layout.has_parent)
		rc = load_parent(vi, e);
	if (rc) {
		layout_free(&vi->layout);
		vi->layout = old;
		vi->img.parent = old_parent;
		return rc;
	}
	layout_free(&old);
	parent_ref_free(old_parent);
	memcpy(log.b, vi->img.info.log_guid, 16);
	fill_info(vi, &log);
	return 0;
}

void vhdx_image_as_parent(struct image *img, struct create_child *out)
{
	struct vhdx_image *vi = vi_of(img);

	*out = (struct create_child){ .parent_file = img->file,
				      .parent = &vi->layout };
}

int vhdx_image_open(struct file *f, const struct image_open_opts *o,
		    struct image **out, struct vhdx_err *e)
{
	struct vhdx_image *vi = mem_zalloc(sizeof(*vi));
	struct guid log;
	int rc;

	*out = NULL;
	if (!vi)
		return err_set(e, VHDX_E_NOMEM, "no memory to open an image");
	vi->img.ops = &vhdx_ops;
	vi->img.writable = o->flags & VHDX_OPEN_WRITE;
	vi->img.file = f;
	list_init(&vi->session_waiters);
	list_init(&vi->alloc_waiters);
	list_init(&vi->freed_waiters);
	list_init(&vi->claim_waiters);
	list_init(&vi->claim_queue);
	list_init(&vi->makers);
	list_init(&vi->grow_queue);
	rc = header_load(f, &vi->hdr, e);
	if (rc)
		goto fail;
	log = vi->hdr.cur.log;
	rc = open_log(vi, f, o, &vi->img.file, e);
	if (!rc)
		rc = open_layout(vi, o, e);
	if (!rc && vi->img.writable)
		rc = open_writable(vi, e);
	if (rc)
		goto fail;
	fill_info(vi, &log);
	*out = &vi->img;
	return 0;
fail:
	if (vi->img.file && vi->img.file != f)
		file_overlay_detach(vi->img.file);
	vhdx_free(vi);
	return rc;
}
