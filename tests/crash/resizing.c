/* SPDX-License-Identifier: MIT */
#include "resizing.h"

#include "chain.h"

bool resizing_can(const struct disks *ds, int i, uint64_t size_len)
{
	return !ds->d[i].fixed || size_len < 64 * MIB;
}

int resizing_run(const struct opener *o, struct loop *l, const char *path,
		 uint64_t size_len, struct vhdx_err *e)
{
	struct chain_opts co = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	struct chain *c;
	int rc = chain_open(o, l, path, &co, &c, e), rc2;

	if (rc)
		return rc;
	img = c->layers[0];
	if (c->cnt > 1)
		img->parent_len = c->layers[1]->size_len;
	rc = img->ops->resize(img, size_len, e);
	rc2 = chain_close(c, rc ? NULL : e);
	return rc ? rc : rc2;
}
