/* SPDX-License-Identifier: MIT */
/*
 * The unique id of a VHD. It is what children name, so they do not open on this
 * file any more, and what a reader sees of the disk itself stays.
 */
#include <string.h>

#include "vhd1_relink.h"

int vhd1_set_disk(struct image *img, const struct disk_edit *d,
		  struct vhdx_err *e)
{
	struct vhd1 *v = container_of(img, struct vhd1, img);
	uint8_t footer[VHD1_FOOTER_LEN];
	int rc;

	if (guid_is_zero(&d->disk_id) || guid_eq(&d->disk_id, &img->identity))
		return 0;
	rc = vhd1_settle(v, e);
	if (rc)
		return rc;
	memcpy(footer, v->footer, sizeof(footer));
	vhd1_footer_name(footer, d->disk_id.b);
	rc = vhd1_switch_footers(v, footer, e);
	if (rc)
		return rc;
	img->identity = d->disk_id;
	memcpy(img->info.disk_id, d->disk_id.b, 16);
	return 0;
}
