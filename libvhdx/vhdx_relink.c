/* SPDX-License-Identifier: MIT */
/*
 * Another parent for a differencing VHDX, or other words for the same one. Only
 * the locator changes, as one item, and with it FileWriteGuid: the disk that a
 * reader sees is the same as long as the parent is, so this file's own children
 * stay valid. Keys that mean nothing here are kept as they are.
 */
#include <stdlib.h>

#include "locator.h"
#include "mem.h"
#include "vhdx_items.h"

/* The way to the parent leads from the folder that the file really is in. */
static int set_paths(struct vhdx_image *vi, struct locator *l,
		     const char *parent, struct vhdx_err *e)
{
	const char *path = vi->img.file->path;
	char *real = realpath(path, NULL);
	int rc = locator_set_paths(l, real ? real : path, parent, e);

	free(real);
	return rc;
}

static int edit_locator(struct vhdx_image *vi, struct locator *l,
			const struct parent_edit *p, struct vhdx_err *e)
{
	int rc = locator_set_linkage(l, "parent_linkage", &p->linkage, e);

	if (!rc && guid_is_zero(&p->linkage2))
		rc = locator_set(l, "parent_linkage2", NULL, e);
	else if (!rc)
		rc = locator_set_linkage(l, "parent_linkage2", &p->linkage2,
					 e);
	if (!rc && p->path)
		rc = set_paths(vi, l, p->path, e);
	return rc;
}

static int store(struct vhdx_image *vi, const struct locator *l,
		 struct vhdx_err *e)
{
	const struct fmt_meta_entry *m =
		meta_item_find(vi->layout.meta, &FMT_META_LOCATOR, false);
	struct item_edit it = { .id = FMT_META_LOCATOR,
				.virtual_disk = m->vdisk,
				.required = m->required };
	uint8_t *b = mem_alloc(locator_encode(l, NULL));
	int rc;

	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory for a locator");
	it.len = locator_encode(l, b);
	it.data = b;
	rc = vhdx_edit_items(vi, &it, 1, false, e);
	mem_free(b);
	return rc;
}

int vhdx_relink(struct image *img, const struct parent_edit *p,
		struct vhdx_err *e)
{
	struct vhdx_image *vi = vi_of(img);
	struct locator was = { 0 }, l = { 0 };
	uint64_t off;
	int rc;

	if (!vi->layout.has_parent)
		return err_obj(e, VHDX_E_INVAL, VHDX_OBJ_PARENT, ERR_NO_OFF,
			       NULL, "%s is not a differencing disk: it cannot "
			       "have a parent", img->file->path);
	rc = vhdx_settle(vi, e);
	if (!rc)
		rc = vhdx_load_locator(vi, &was, &off, e);
	if (!rc)
		rc = vhdx_load_locator(vi, &l, &off, e);
	if (!rc)
		rc = edit_locator(vi, &l, p, e);
	/* Other writers lay the same words out in other ways: no reason to
	 * change the file. */
	if (!rc && !locator_eq(&was, &l))
		rc = store(vi, &l, e);
	locator_free(&was);
	locator_free(&l);
	return rc;
}
