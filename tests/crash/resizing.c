/* SPDX-License-Identifier: MIT */
#include "resizing.h"

#include "resize.h"

bool resizing_can(const struct disks *ds, int i, uint64_t size_len)
{
	return !ds->d[i].fixed || size_len < 64 * MIB;
}

int resizing_run(const struct opener *o, struct loop *l, const char *path,
		 uint64_t size_len, struct vhdx_err *e)
{
	const struct vhdx_resize_opts opts = { .shrink = true, .force = true };
	struct vhdx_resize_result res;

	return resize_image(o, l, path, size_len, &opts, &res, e);
}
