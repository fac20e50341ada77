/* SPDX-License-Identifier: MIT */
/*
 * What belongs to the virtual disk and not to a file goes from a child to the
 * parent that it is merged into (MS-VHDX 2.6.1.2: IsVirtualDisk): the items the
 * parent had are replaced, those that the child does not have go.
 *
 * The items every file must have are told by their names, not by their flags,
 * which a file may have wrong: none of them is ever removed, and what the other
 * file says about its own layout is never taken.
 */
#include <string.h>

#include "mem.h"
#include "vhdx_items.h"

struct adopt {
	struct vhdx_image *vi, *from;
	struct item_edit *edits; /* owned */
	uint8_t **data;		 /* owned, and each of them; of the edits */
	unsigned cnt, cap;
};

/* About a file, or settled otherwise (size) or before (sector size). */
static bool stays(const struct fmt_meta_entry *m)
{
	return !m->user && (guid_eq(&m->id, &FMT_META_FILE_PARAMS) ||
			    guid_eq(&m->id, &FMT_META_DISK_SIZE) ||
			    guid_eq(&m->id, &FMT_META_LSS) ||
			    guid_eq(&m->id, &FMT_META_LOCATOR));
}

static bool is_disks(const struct fmt_meta_entry *m)
{
	bool always = !m->user && (guid_eq(&m->id, &FMT_META_DISK_ID) ||
				   guid_eq(&m->id, &FMT_META_PSS));

	return !stays(m) && (m->vdisk || always);
}

static int take(struct adopt *a, const struct fmt_meta_entry *m,
		struct vhdx_err *e)
{
	struct vhdx_image *from = a->from;
	uint8_t *b = mem_alloc(u64_max(m->len, 1));

	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory for metadata");
	a->data[a->cnt] = b;
	a->edits[a->cnt++] = (struct item_edit){
		.id = m->id, .user = m->user, .virtual_disk = true,
		.required = m->required, .data = b, .len = m->len,
	};
	return m->len ? file_read(from->img.file, from->layout.meta_off +
				  m->off, b, m->len, e) : 0;
}

/* Of the disk here, and unknown there. */
static void drop(struct adopt *a, const struct fmt_meta_entry *m)
{
	const struct fmt_meta_entry *other =
		meta_item_find(a->from->layout.meta, &m->id, m->user);

	if (!is_disks(m) || (other && is_disks(other)))
		return;
	a->edits[a->cnt++] = (struct item_edit){ .id = m->id,
						 .user = m->user };
}

static int collect(struct adopt *a, struct vhdx_err *e)
{
	const struct fmt_meta_table *in = a->from->layout.meta;
	const struct fmt_meta_table *own = a->vi->layout.meta;
	int rc = 0;

	a->cap = in->cnt + own->cnt;
	a->edits = mem_array(a->cap, sizeof(*a->edits));
	a->data = mem_zalloc(a->cap * sizeof(*a->data));
	if (!a->edits || !a->data)
		return err_set(e, VHDX_E_NOMEM, "no memory for metadata");
	for (uint32_t i = 0; i < own->cnt; i++)
		drop(a, &own->e[i]);
	for (uint32_t i = 0; !rc && i < in->cnt; i++)
		if (is_disks(&in->e[i]))
			rc = take(a, &in->e[i], e);
	return rc;
}

static void adopt_free(struct adopt *a)
{
	for (unsigned i = 0; a->data && i < a->cnt; i++)
		mem_free(a->data[i]);
	mem_free(a->data);
	mem_free(a->edits);
}

int vhdx_adopt(struct image *img, struct image *from, struct vhdx_err *e)
{
	struct adopt a = { .vi = vi_of(img) };
	int rc;

	if (from->ops != img->ops)
		return err_set(e, VHDX_E_INVAL, "%s and %s are of different "
			       "formats", img->file->path, from->file->path);
	if (from->sector_len != img->sector_len)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_META,
			       ERR_NO_OFF, "2.6.2.4",
			       "%s has sectors of %u bytes, %s of %u: they "
			       "must be the same", img->file->path,
			       img->sector_len, from->file->path,
			       from->sector_len);
	a.from = vi_of(from);
	rc = collect(&a, e);
	if (!rc)
		rc = vhdx_edit_items(a.vi, a.edits, a.cnt, true, e);
	adopt_free(&a);
	return rc;
}
