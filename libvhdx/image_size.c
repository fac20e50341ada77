/* SPDX-License-Identifier: MIT */
/* Which sizes a disk can have, by its format. */
#include <inttypes.h>

#include "image.h"

int image_verify_size(const struct image *img, uint64_t size_len,
		      struct vhdx_err *e)
{
	static const struct {
		uint64_t max;
		const char *text;
	} limits[] = {
		[VHDX_FORMAT_RAW] = { INT64_MAX - 4095, "8 EiB" },
		[VHDX_FORMAT_VHD] = { 2040 * GIB, "2040 GiB" },
		[VHDX_FORMAT_VHDX] = { 64 * TIB, "64 TiB" },
	};
	enum vhdx_format f = img->info.format;

	if (size_len && size_len <= limits[f].max &&
	    is_aligned(size_len, img->sector_len))
		return 0;
	return err_set(e, VHDX_E_INVAL, "%s: a size of %" PRIu64 " bytes: a "
		       "%s disk with sectors of %u bytes can have any multiple "
		       "of that, up to %s", img->file->path, size_len,
		       vhdx_format_name(f), img->sector_len, limits[f].text);
}
