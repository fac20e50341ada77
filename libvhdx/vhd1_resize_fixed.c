/* SPDX-License-Identifier: MIT */
/*
 * A fixed VHD grows. Its footer, of which there is only one, has to get from
 * the old end to the new one, and where it was are then zeros.
 *
 *   a footer at the new end, with the OLD size -> zeros over the old footer
 *   -> the footer at the new end gets the new size
 *
 * F1  The host has the space before anything changes.
 * F2  Until the last step the disk has its old size, and all that will come
 *     into sight is behind its end. Each step is durable before the next.
 * F3  The first step makes the file longer, and power may fail when it is, but
 *     the footer is not there: then the old one is the last thing in the file
 *     that is not zeros, and by that it is found (vhd1_load.h); opening for
 *     writing cuts off what is behind it.
 * F4  A footer is one sector: it is there as it was, or as it is to be.
 *
 * In between, the footer does not stand where its size says. A disk whose first
 * sector looks like a footer, or like a VHDX file's, could then be taken for
 * that: it is refused.
 */
#include <string.h>

#include "mutation.h"
#include "raw.h"
#include "vhd1_load.h"
#include "vhd1_resize.h"

struct move {
	struct image *img;
	struct file *f;
	uint64_t old_len, new_len; /* of the disk */
	uint64_t from, to;	   /* where the footer was, and goes */
	uint8_t footer[VHD1_FOOTER_LEN];
};

static int load_footer(struct move *m, struct vhdx_err *e)
{
	struct vhd1_footers ft;
	int rc = vhd1_footers_load(m->f, &ft, e);

	if (rc)
		return rc;
	if (!ft.end.valid || ft.end.f.type != VHD1_FIXED ||
	    ft.end.off < m->old_len)
		return err_corrupt(e, VHDX_OBJ_FOOTER, ft.end.off, "VHD",
				   "%s: its footer has changed since it was "
				   "opened", m->f->path);
	if (!is_aligned(ft.end.off, VHD1_SECTOR))
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_FOOTER,
			       ft.end.off, "VHD", "%s: its footer is not at a "
			       "multiple of 512: convert it", m->f->path);
	m->from = ft.end.off;
	m->to = u64_max(m->from, m->new_len);
	memcpy(m->footer, ft.end.raw, sizeof(m->footer));
	return 0;
}

static int check_first_sector(const struct move *m, struct vhdx_err *e)
{
	uint8_t b[8];
	int rc = file_read(m->f, 0, b, sizeof(b), e);

	if (rc || (memcmp(b, VHD1_COOKIE, 8) && memcmp(b, "vhdxfile", 8)))
		return rc;
	return err_set(e, VHDX_E_UNSUPPORTED, "%s: the disk itself begins like "
		       "an image file, which could be taken for this one while "
		       "it grows: convert it", m->f->path);
}

static int put_footer(struct move *m, uint64_t size_len, struct vhdx_err *e)
{
	int rc;

	vhd1_footer_resize(m->footer, size_len);
	rc = file_write(m->f, m->to, m->footer, sizeof(m->footer), e);
	return rc ? rc : file_sync(m->f, e);
}

/* The rest of the sector, too, that a footer of 511 bytes leaves. */
static int blank(struct move *m, uint64_t off, uint64_t end,
		 struct vhdx_err *e)
{
	int rc = off < end ? file_blank(m->f, off, end - off, e) : 0;

	return rc ? rc : file_sync(m->f, e);
}

/* F1, F2 */
static int begin(struct move *m, struct vhdx_err *e)
{
	uint64_t was = m->f->size;
	int rc = file_reserve(m->f, was, m->to + VHD1_FOOTER_LEN - was, e);

	if (!rc)
		rc = blank(m, m->old_len, m->from, e);
	if (!rc)
		rc = put_footer(m, m->old_len, e);
	/* What was reserved and written goes; the file is as before. */
	if (rc && (file_truncate(m->f, was, NULL) || file_sync(m->f, NULL)))
		raw_fail(m->img, &(struct vhdx_err){ .code = VHDX_E_IO,
				.text = "the footer could not be moved" });
	return rc;
}

static int carry_out(struct move *m, struct vhdx_err *e)
{
	int rc;

	if (m->to == m->from)
		rc = blank(m, m->old_len, m->new_len, e);
	else
		rc = begin(m, e);
	if (!rc && m->to > m->from && !MUTATED(VHD_RESIZE_OLD_FOOTER))
		rc = blank(m, m->from,
			   u64_min(m->to, m->from + VHD1_FOOTER_LEN), e);
	if (rc)
		return rc;
	rc = put_footer(m, m->new_len, e);
	if (rc && e)
		raw_fail(m->img, e); /* nobody knows which size it has */
	return rc;
}

int vhd1_fixed_resize(struct image *img, uint64_t size_len, struct vhdx_err *e)
{
	struct move m = { .img = img, .f = img->file, .old_len = img->size_len,
			  .new_len = size_len };
	struct vhdx_err why;
	int rc;

	if (size_len < img->size_len)
		return vhd1_only_grows(img, e);
	rc = load_footer(&m, &why);
	if (!rc)
		rc = check_first_sector(&m, &why);
	if (!rc)
		rc = carry_out(&m, &why);
	if (rc)
		return err_copy(e, &why, rc);
	img->size_len = img->info.size_len = size_len;
	img->info.current_len = size_len;
	img->info.chs_len = vhd1_chs_len(vhd1_chs_of(size_len));
	return 0;
}
