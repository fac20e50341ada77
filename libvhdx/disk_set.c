/* SPDX-License-Identifier: MIT */
/* As relink.c: read-only first, so that a refusal leaves no trace. */
#include "disk_set.h"

#include <string.h>

/* An id as text, in the order in which the format stores it. */
static int parse_id(const struct image *img, const char *text,
		    struct guid *out, struct vhdx_err *e)
{
	struct guid g;
	char back[GUID_TEXT_LEN];

	if (strcmp(text, "new") == 0) {
		guid_random(out);
		return 0;
	}
	if (!guid_parse(text, &g) || guid_is_zero(&g))
		return err_set(e, VHDX_E_INVAL, "\"%s\" is no disk id: it must "
			       "be a GUID other than zero, or \"new\"", text);
	*out = g;
	/* What chain_id_text() shows for the bytes must be what was given. */
	if (img->info.format == VHDX_FORMAT_VHD) {
		struct guid shown;

		(void)chain_id_text(img, &g, back);
		if (guid_parse(back, &shown))
			*out = shown;
	}
	return 0;
}

static int verify_sector(const struct image *img, uint32_t len,
			 struct vhdx_err *e)
{
	bool vhdx = img->info.format == VHDX_FORMAT_VHDX;

	if (len == 0 || len == img->physical_sector_len)
		return 0;
	if (!vhdx)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: the sectors of a "
			       "%s have 512 bytes, always", img->file->path,
			       vhdx_format_name(img->info.format));
	if ((len == 512 || len == 4096) && len >= img->sector_len)
		return 0;
	return err_set(e, VHDX_E_INVAL, "%s: the physical sector size is %u; "
		       "it must be %s4096", img->file->path, len,
		       img->sector_len == 512 ? "512 or " : "");
}

static int plan(const struct image *img, const struct vhdx_set_opts *opts,
		struct disk_edit *d, struct vhdx_set_result *res,
		struct vhdx_err *e)
{
	int rc = 0;

	if (!img->ops->set)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: a %s%s has nothing "
			       "that this version can set", img->file->path,
			       img->info.format == VHDX_FORMAT_RAW ? "" :
			       "fixed ",
			       vhdx_format_name(img->info.format));
	rc = verify_sector(img, opts->physical_sector_len, e);
	if (rc)
		return rc;
	d->physical_sector_len = opts->physical_sector_len;
	if (opts->disk_id && guid_is_zero(&d->disk_id))
		rc = parse_id(img, opts->disk_id, &d->disk_id, e);
	if (rc)
		return rc;
	res->format = img->info.format;
	memcpy(res->was_disk_id, img->info.disk_id, 16);
	memcpy(res->disk_id, guid_is_zero(&d->disk_id) ? img->info.disk_id
						       : d->disk_id.b, 16);
	res->was_physical_sector_len = img->physical_sector_len;
	res->physical_sector_len = d->physical_sector_len
		? d->physical_sector_len : img->physical_sector_len;
	res->changed = memcmp(res->was_disk_id, res->disk_id, 16) != 0 ||
		res->physical_sector_len != res->was_physical_sector_len;
	return 0;
}

static int with_image(const struct opener *o, struct loop *l, const char *path,
		      bool write, const struct vhdx_set_opts *opts,
		      struct disk_edit *d, struct vhdx_set_result *res,
		      struct vhdx_err *e)
{
	struct chain_opts co = {
		.flags = VHDX_OPEN_ALONE | (write ? VHDX_OPEN_WRITE : 0),
		.msg = write ? opts->msg : NULL,
		.msg_arg = opts->msg_arg,
	};
	struct chain *c;
	int rc, close_rc;

	rc = chain_open(o, l, path, &co, &c, e);
	if (rc)
		return rc;
	rc = plan(c->layers[0], opts, d, res, e);
	if (!rc && write)
		rc = c->layers[0]->ops->set(c->layers[0], d, e);
	close_rc = chain_close(c, rc ? NULL : e);
	return rc ? rc : close_rc;
}

int set_image(const struct opener *o, struct loop *l, const char *path,
	      const struct vhdx_set_opts *opts, struct vhdx_set_result *result,
	      struct vhdx_err *e)
{
	struct disk_edit d = { .physical_sector_len = 0 };
	int rc = with_image(o, l, path, false, opts, &d, result, e);

	if (rc || opts->dry_run || !result->changed)
		return rc;
	return with_image(o, l, path, true, opts, &d, result, e);
}
