/* SPDX-License-Identifier: MIT */
/* The virtual disk's id and physical sector size: two metadata items. */
#include "le.h"
#include "vhdx_items.h"

static void add(struct vhdx_image *vi, struct item_edit *it,
		const struct guid *id, const void *data, uint32_t len)
{
	const struct fmt_meta_entry *m =
		meta_item_find(vi->layout.meta, id, false);

	*it = (struct item_edit){ .id = *id, .virtual_disk = m->vdisk,
				  .required = m->required, .data = data,
				  .len = len };
}

int vhdx_set_disk(struct image *img, const struct disk_edit *d,
		  struct vhdx_err *e)
{
	struct vhdx_image *vi = vi_of(img);
	struct item_edit its[2];
	uint8_t b[4];
	unsigned cnt = 0;

	if (d->physical_sector_len) {
		put_le32(b, d->physical_sector_len);
		add(vi, &its[cnt++], &FMT_META_PSS, b, sizeof(b));
	}
	if (!guid_is_zero(&d->disk_id))
		add(vi, &its[cnt++], &FMT_META_DISK_ID, d->disk_id.b, 16);
	return vhdx_edit_items(vi, its, cnt, true, e);
}
