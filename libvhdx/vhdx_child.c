/* SPDX-License-Identifier: MIT */
/* A new differencing VHDX: what it records of its parent, then the file. */
#include "image.h"
#include "locator.h"
#include "mem.h"
#include "vhdx_create.h"

int vhdx_image_create_child(struct file *f, const char *path,
			    const struct vhdx_create_opts *o,
			    struct image *parent, struct vhdx_err *e)
{
	struct create_child child;
	struct locator loc = { 0 };
	uint8_t *b = NULL;
	int rc = locator_make(path, o->parent, &parent->identity, &loc, e);

	if (!rc)
		b = mem_alloc(locator_encode(&loc, NULL));
	if (!rc && !b)
		rc = err_set(e, VHDX_E_NOMEM, "no memory for a locator");
	if (!rc) {
		vhdx_image_as_parent(parent, &child);
		child.locator_len = locator_encode(&loc, b);
		child.locator = b;
		rc = vhdx_child_create(f, o, &child, e);
	}
	mem_free(b);
	locator_free(&loc);
	return rc;
}
