/* SPDX-License-Identifier: MIT */
/*
 * Making images under their names: plan, unnamed file, content, name. What
 * exists under the name, at every moment, is what was there before or a whole
 * image.
 */
#include "image.h"
#include "mem.h"
#include "newfile.h"

struct vhdx_new {
	struct newfile *file;
	struct vhdx_blk *blk; /* its user writes through it; owns the loop */
};

static int fill(struct file *f, const struct vhdx_create_opts *o,
		struct vhdx_err *e)
{
	switch (o->format) {
	case VHDX_FORMAT_VHDX:
		return vhdx_image_create(f, o, e);
	case VHDX_FORMAT_VHD:
		return vhd1_image_create(f, o, e);
	case VHDX_FORMAT_RAW:
	case VHDX_FORMAT_PROBE: /* gone since the plan */
		break;
	}
	return raw_image_create(f, o, e);
}

/* A new file with an empty image in it, open; *o is completed. */
static int begin(struct loop *loop, const char *path,
		 struct vhdx_create_opts *o, struct newfile **n,
		 struct file **f, struct vhdx_err *e)
{
	uint64_t file_len, host_len;
	int rc = vhdx_create_plan(o, &file_len, &host_len, e);

	if (!rc)
		rc = newfile_begin(loop, path, o->force, n, f, e);
	if (rc)
		return rc;
	rc = fill(*f, o, e);
	if (!rc)
		return 0;
	file_close(*f);
	newfile_abort(*n);
	return err_wrap(e, rc, "creating %s", path);
}

int vhdx_create(const char *path, const struct vhdx_create_opts *opts,
		struct vhdx_err *e)
{
	struct vhdx_create_opts o = *opts;
	struct newfile *n;
	struct loop *loop;
	struct file *f;
	int rc = loop_new(&loop, e);

	if (rc)
		return rc;
	rc = begin(loop, path, &o, &n, &f, e);
	if (!rc) {
		file_close(f);
		rc = newfile_commit(n, e);
	}
	loop_free(loop);
	return rc;
}

/* f is the image's, or closed. */
static int open_blk(struct loop *loop, struct file *f,
		    enum vhdx_format format, struct vhdx_blk **out,
		    struct vhdx_err *e)
{
	const struct image_open_opts io = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	int rc = image_open(f, format, &io, &img, e);

	if (rc) {
		file_close(f);
		return rc;
	}
	rc = blk_new(img, loop, true, out, e);
	if (rc)
		(void)img->ops->close(img, NULL);
	return rc;
}

int vhdx_new_begin(const char *path, const struct vhdx_create_opts *opts,
		   struct vhdx_new **out, struct vhdx_blk **blk,
		   struct vhdx_err *e)
{
	struct vhdx_new *n = mem_zalloc(sizeof(*n));
	struct vhdx_create_opts o = *opts;
	struct loop *loop = NULL;
	struct file *f;
	int rc;

	*out = NULL;
	*blk = NULL;
	if (!n)
		return err_set(e, VHDX_E_NOMEM, "no memory for a new image");
	rc = loop_new(&loop, e);
	if (!rc)
		rc = begin(loop, path, &o, &n->file, &f, e);
	if (rc)
		goto fail;
	rc = open_blk(loop, f, o.format, &n->blk, e);
	if (rc) {
		newfile_abort(n->file);
		goto fail;
	}
	*out = n;
	*blk = n->blk;
	return 0;
fail:
	loop_free(loop);
	mem_free(n);
	return rc;
}

int vhdx_new_commit(struct vhdx_new *n, struct vhdx_err *e)
{
	int rc = vhdx_blk_close(n->blk, e);

	if (rc)
		newfile_abort(n->file);
	else
		rc = newfile_commit(n->file, e);
	mem_free(n);
	return rc;
}

void vhdx_new_abort(struct vhdx_new *n)
{
	if (!n)
		return;
	(void)vhdx_blk_close(n->blk, NULL);
	newfile_abort(n->file);
	mem_free(n);
}
