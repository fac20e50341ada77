/* SPDX-License-Identifier: MIT */
/*
 * Opening a VHD. Read-only, nothing of the file changes: a missing footer is
 * made up for by the other copy, a damaged BAT entry makes its block
 * unreadable and no other. For writing, the file has to be sound first: both
 * footers are put in order, durably, before anything else is written (V1 of
 * vhd1_io.c), and damage that cannot be mended without guessing is refused.
 *
 * What a differencing disk says about its parent is read here; finding it is
 * the chain's business.
 */
#include <inttypes.h>
#include <string.h>

#include "vhd1_image.h"
#include "vhd1_parent.h"
#include "vhd1_resize.h"

struct opening {
	struct file *f;
	const struct image_open_opts *o;
	struct vhd1_footers ft;
	struct vhd1_header h;
	struct vhd1_bat bat;
	uint64_t size_len;
	uint64_t footer_off; /* of the footer at the end, once it is there */
};

static void tell(const struct opening *op, const char *fmt, ...)
	printf_like(2, 3);

static void tell(const struct opening *op, const char *fmt, ...)
{
	char text[640];
	va_list ap;

	if (!op->o->msg)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	op->o->msg(op->o->msg_arg, text);
}

static bool for_writing(const struct opening *op)
{
	return op->o->flags & VHDX_OPEN_WRITE;
}

static int choose_size(struct opening *op, struct vhdx_err *e)
{
	const struct vhd1_footer *f = &op->ft.use->f;
	uint64_t len = f->current_len, chs = vhd1_chs_len(f->chs);

	/* The largest geometry stands for every larger size. */
	if (op->o->flags & VHDX_OPEN_CHS_SIZE && !vhd1_chs_is_max(f->chs))
		len = chs;
	if (len < VHD1_SECTOR)
		return err_corrupt(e, VHDX_OBJ_FOOTER, op->ft.use->off, "VHD",
				   "the footer gives the disk a size of %ju "
				   "bytes (geometry: %ju)",
				   (uintmax_t)f->current_len, (uintmax_t)chs);
	op->size_len = align_down(len, VHD1_SECTOR);
	if (op->size_len != len)
		tell(op, "the size of the disk, %ju bytes, is not a multiple "
		     "of 512: the last %ju bytes are left out", (uintmax_t)len,
		     (uintmax_t)(len - op->size_len));
	return 0;
}

static void creator_text(const struct vhd1_footer *f, char *out, size_t len)
{
	char app[5] = "", os[5] = "";

	memcpy(app, f->creator_app, 4);
	memcpy(os, f->host_os, 4);
	for (int i = 0; i < 4; i++) {
		if (app[i] && (app[i] < 0x20 || app[i] > 0x7e))
			app[i] = '?';
		if (os[i] && (os[i] < 0x20 || os[i] > 0x7e))
			os[i] = '?';
	}
	for (int i = 3; i >= 0 && (app[i] == ' ' || !app[i]); i--)
		app[i] = '\0';
	snprintf(out, len, "%s %u.%u (%s)", app, f->creator_version >> 16,
		 f->creator_version & 0xffff, os);
}

static void fill_info(const struct opening *op, struct vhdx_info *info)
{
	const struct vhd1_footer *f = &op->ft.use->f;

	memset(info, 0, sizeof(*info));
	info->format = VHDX_FORMAT_VHD;
	info->type = f->type == VHD1_FIXED ? VHDX_TYPE_FIXED
		   : f->type == VHD1_DYNAMIC ? VHDX_TYPE_DYNAMIC
					     : VHDX_TYPE_DIFFERENCING;
	info->size_len = op->size_len;
	info->file_len = op->f->size;
	info->host_len = file_host_len(op->f);
	info->block_len = op->bat.block_len;
	info->sector_len = VHD1_SECTOR;
	info->physical_sector_len = VHD1_SECTOR;
	info->chs_len = vhd1_chs_len(f->chs);
	info->current_len = f->current_len;
	memcpy(info->disk_id, f->uuid, sizeof(info->disk_id));
	creator_text(f, info->creator, sizeof(info->creator));
}

/* The file goes on behind the footer: it was to become longer
 * (vhd1_resize_fixed.c, F3). */
static int cut_behind(struct opening *op, struct vhdx_err *e)
{
	const struct vhd1_copy *end = &op->ft.end;
	int rc;

	if (op->f->size <= end->off + VHD1_FOOTER_LEN)
		return 0;
	tell(op, "the file was to become longer, but its footer did not move: "
	     "the %ju bytes behind it are nothing%s",
	     (uintmax_t)(op->f->size - end->off - end->len),
	     for_writing(op) ? ", and given back" : "");
	if (!for_writing(op))
		return 0;
	rc = file_truncate(op->f, end->off + end->len, e);
	return rc ? rc : file_sync(op->f, e);
}

static int open_fixed(struct opening *op, struct image **out,
		      struct vhdx_err *e)
{
	const struct vhd1_copy *end = &op->ft.end;
	struct vhdx_info info;
	int rc;

	if (op->size_len > end->off)
		return err_corrupt(e, VHDX_OBJ_FOOTER, end->off, "VHD",
				   "the footer gives the fixed disk %ju bytes, "
				   "but only %ju come before it",
				   (uintmax_t)op->size_len,
				   (uintmax_t)end->off);
	rc = cut_behind(op, e);
	if (rc)
		return rc;
	fill_info(op, &info);
	return raw_window_open(op->f, op->o, &info, vhd1_fixed_resize, out,
			       e);
}

static void tell_bad(void *arg, uint32_t blk, const char *text)
{
	struct opening *op = arg;

	if (text && blk < op->bat.need && op->bat.bad_cnt == 1)
		tell(op, "%s; such blocks cannot be read: run check", text);
}

static int load(struct opening *op, struct vhdx_err *e)
{
	int rc = vhd1_header_load(op->f, &op->ft.use->f, &op->h, e);

	if (rc)
		return rc;
	rc = vhd1_bat_load(op->f, &op->ft, &op->h, op->size_len, &op->bat, e);
	if (rc == 0)
		rc = vhd1_bat_audit(&op->bat, vhd1_limit(op->f, &op->ft),
				    tell_bad, NULL, op, e);
	if (rc == 0)
		vhd1_footers_settle(&op->ft, op->bat.data_end);
	return rc;
}

static int check_sound(struct opening *op, struct vhdx_err *e)
{
	bool grave;

	if (op->bat.bad_cnt)
		return err_corrupt(e, VHDX_OBJ_BAT, op->bat.off, "VHD",
				   "%s: %ju entries of the BAT are damaged: it "
				   "can be opened for reading only",
				   op->f->path, (uintmax_t)op->bat.bad_cnt);
	if (vhd1_footers_differ(&op->ft, &grave) && grave)
		return err_corrupt(e, VHDX_OBJ_FOOTER, op->ft.end.off, "VHD",
				   "%s: the footer at file offset %ju and its "
				   "copy at 0 disagree (sizes %ju and %ju): it "
				   "can be opened for reading only",
				   op->f->path, (uintmax_t)op->ft.end.off,
				   (uintmax_t)op->ft.end.f.current_len,
				   (uintmax_t)op->ft.head.f.current_len);
	return 0;
}

static void tell_footers(const struct opening *op)
{
	const struct vhd1_footers *ft = &op->ft;
	bool grave;

	if (ft->switched) {
		tell(op, "a change of the dynamic disk header was interrupted; "
		     "it counts%s", for_writing(op)
				     ? ", and the footer copy follows" : "");
		return;
	}
	if (ft->end.valid && ft->head.valid) {
		if (vhd1_footers_differ(ft, &grave))
			tell(op, "the footer at the end of the file and its "
			     "copy at the start differ; the one at the end is "
			     "used");
		return;
	}
	const struct vhd1_copy *bad = ft->end.valid ? &ft->head : &ft->end;
	tell(op, "%s; the one at the %s of the file %s", bad->why.text,
	     ft->end.valid ? "end" : "start",
	     for_writing(op) ? "is used, and the other restored from it"
			     : "is used instead");
}

static int mend(struct opening *op, struct vhdx_err *e)
{
	uint64_t tail = vhd1_tail_len(op->f, &op->ft, &op->bat);

	if (tail)
		tell(op, "the file was not closed properly: %ju bytes behind "
		     "the last block, which were never flushed, are given "
		     "back", (uintmax_t)tail);
	return vhd1_mend(op->f, &op->ft, &op->bat, &op->footer_off, e);
}

static int load_parent(const struct opening *op, struct parent_ref **out,
		       struct vhdx_err *e)
{
	bool alone = op->o->flags & VHDX_OPEN_ALONE;

	if (op->ft.use->f.type != VHD1_DIFFERENCING)
		return 0;
	return vhd1_parent_load(op->f, &op->h, op->ft.use->f.data_off, alone,
				out, e);
}

/* All is loaded, and for writing mended. */
static int make(struct opening *op, struct image **out, struct vhdx_err *e)
{
	struct vhd1_found found = { .bat = op->bat, .header = op->h,
				    .footer = op->ft.use->raw,
				    .end_off = op->footer_off,
				    .writable = for_writing(op) };
	int rc = load_parent(op, &found.parent, e);

	fill_info(op, &found.info);
	if (rc == 0)
		rc = vhd1_image_new(op->f, &found, out, e);
	parent_ref_free(found.parent);
	op->bat = found.bat;
	return rc;
}

static int open_dynamic(struct opening *op, struct image **out,
			struct vhdx_err *e)
{
	int rc = load(op, e);

	if (rc == 0 && for_writing(op))
		rc = check_sound(op, e);
	if (rc == 0)
		tell_footers(op);
	if (rc == 0 && for_writing(op))
		rc = mend(op, e);
	if (rc == 0)
		rc = make(op, out, e);
	vhd1_bat_free(&op->bat);
	return rc;
}

int vhd1_image_open(struct file *f, const struct image_open_opts *o,
		    struct image **out, struct vhdx_err *e)
{
	struct opening op = { .f = f, .o = o };
	int rc;

	if (for_writing(&op) && !f->writable)
		return err_set(e, VHDX_E_READONLY,
			       "%s is open for reading only", f->path);
	rc = vhd1_footers_load(f, &op.ft, e);
	if (rc)
		return rc;
	rc = choose_size(&op, e);
	if (rc)
		return rc;
	if (op.ft.use->f.saved_state)
		tell(&op, "a saved state of a virtual machine goes with this "
		     "disk: it may not fit any more once the disk changes");
	rc = op.ft.use->f.type == VHD1_FIXED ? open_fixed(&op, out, e)
					     : open_dynamic(&op, out, e);
	if (rc == 0)
		memcpy((*out)->identity.b, op.ft.use->f.uuid, 16);
	return rc;
}
