/* SPDX-License-Identifier: MIT */
/*
 * Telling formats apart, by content only. What looks like a VHD at either end
 * counts as one even if its checksum is wrong: a damaged VHD must end in an
 * error, never be shown as a raw disk. A fixed VHD has its cookie at the end
 * alone, so a raw disk whose last sector happens to start with that cookie is
 * taken for a VHD; the caller can ask for raw. A disk that begins with a VHDX
 * file's identifier inside a fixed VHD is told by the VHD's own footer, which
 * then fits the file exactly. So is a fixed VHD whose growth was cut short: its
 * footer is then the last thing before the zeros that the file ends with, and
 * fits there; a raw disk that holds just that is taken for it as well.
 */
#include <string.h>

#include "image.h"
#include "vhd1_load.h"

#define IDENT "vhdxfile"

static int starts_with(struct file *f, uint64_t off, const char *text,
		       bool *out, struct vhdx_err *e)
{
	char b[8];
	int rc = file_read(f, off, b, sizeof(b), e);

	*out = rc == 0 && memcmp(b, text, sizeof(b)) == 0;
	return rc ? err_wrap(e, rc, "probing %s", f->path) : 0;
}

static int has_vhd_cookie(struct file *f, bool *out, struct vhdx_err *e)
{
	uint64_t back = VHD1_FOOTER_LEN;
	struct vhd1_copy lost;
	int rc;

	*out = false;
	if (f->size < VHD1_FOOTER_LEN)
		return 0;
	rc = starts_with(f, 0, VHD1_COOKIE, out, e);
	for (; rc == 0 && !*out && back >= VHD1_FOOTER_LEN - 1; back--)
		rc = starts_with(f, f->size - back, VHD1_COOKIE, out, e);
	if (rc == 0 && !*out)
		rc = vhd1_find_lost_footer(f, &lost, out, e);
	return rc;
}

static bool is_exact_fixed_vhd(struct file *f)
{
	struct vhd1_footers ft;

	return vhd1_footers_load(f, &ft, NULL) == 0 &&
	       ft.use->f.type == VHD1_FIXED &&
	       ft.use->f.current_len == ft.use->off;
}

int image_probe(struct file *f, enum vhdx_format *out, struct vhdx_err *e)
{
	bool vhdx, vhd;
	int rc = starts_with(f, 0, IDENT, &vhdx, e);

	if (rc == 0)
		rc = has_vhd_cookie(f, &vhd, e);
	if (rc)
		return rc;
	if (vhdx && !(vhd && is_exact_fixed_vhd(f)))
		*out = VHDX_FORMAT_VHDX;
	else
		*out = vhd ? VHDX_FORMAT_VHD : VHDX_FORMAT_RAW;
	return 0;
}

int image_open(struct file *f, enum vhdx_format format,
	       const struct image_open_opts *o, struct image **out,
	       struct vhdx_err *e)
{
	if (format == VHDX_FORMAT_PROBE) {
		int rc = image_probe(f, &format, e);

		if (rc)
			return rc;
	}
	switch (format) {
	case VHDX_FORMAT_VHDX:
		return vhdx_image_open(f, o, out, e);
	case VHDX_FORMAT_VHD:
		return vhd1_image_open(f, o, out, e);
	case VHDX_FORMAT_RAW:
		return raw_image_open(f, o, out, e);
	case VHDX_FORMAT_PROBE:
		break;
	}
	return err_set(e, VHDX_E_INVAL, "unknown image format %d", (int)format);
}
