/* SPDX-License-Identifier: MIT */
/* Composition: a path becomes a device. */
#include <string.h>

#include "image.h"

int vhdx_open(const char *path, const struct vhdx_open_opts *opts,
	      struct vhdx_blk **out, struct vhdx_err *e)
{
	static const struct vhdx_open_opts none;
	struct image_open_opts io;
	struct loop *loop = NULL;
	struct file *f = NULL;
	struct image *img;
	int rc;

	*out = NULL;
	if (!opts)
		opts = &none;
	io = (struct image_open_opts){ opts->flags, opts->msg, opts->msg_arg };
	rc = loop_new(&loop, e);
	if (rc)
		return rc;
	rc = opener_default.open(&opener_default, loop, path,
				 opts->flags & VHDX_OPEN_WRITE ? OPENER_WRITE
							       : 0, &f, e);
	if (rc)
		goto fail;
	rc = image_open(f, opts->format, &io, &img, e);
	if (rc)
		goto fail;
	f = NULL; /* img's now */
	rc = blk_new(img, loop, true, out, e);
	if (!rc)
		return 0;
	(void)img->ops->close(img, NULL);
fail:
	file_close(f);
	loop_free(loop);
	return rc;
}
