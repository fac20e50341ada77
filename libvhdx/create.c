/* SPDX-License-Identifier: MIT */
/*
 * Making images under their names: plan, unnamed file, content, name. What
 * exists under the name, at every moment, is what was there before or a whole
 * image.
 */
#include "chain.h"
#include "mem.h"
#include "newfile.h"

struct vhdx_new {
	struct newfile *file;
	struct vhdx_blk *blk; /* its user writes through it; owns the loop */
};

/* ---- a child ------------------------------------------------------------- */

/* What a child does not say it takes from its parent. */
static int inherit(struct vhdx_create_opts *o, const struct image *parent,
		   struct vhdx_err *e)
{
	if (!o->size_len)
		o->size_len = parent->size_len;
	if (!o->sector_len)
		o->sector_len = parent->sector_len;
	if (!o->physical_sector_len)
		o->physical_sector_len = parent->physical_sector_len;
	if (o->format == VHDX_FORMAT_PROBE)
		o->format = parent->info.format;
	if (parent->info.format != o->format)
		return err_set(e, VHDX_E_INVAL, "the parent %s is %s: the "
			       "parent of a %s image must be one", o->parent,
			       vhdx_format_name(parent->info.format),
			       vhdx_format_name(o->format));
	if (o->sector_len != parent->sector_len)
		return err_set(e, VHDX_E_INVAL, "sector size %u: a child must "
			       "have its parent's, %u", o->sector_len,
			       parent->sector_len);
	return 0;
}

/* Blocking. Opens the parent, read-only, with all that it stands on: a child
 * of a chain that cannot be read would be of no use. */
static int open_parent(struct loop *loop, struct vhdx_create_opts *o,
		       struct chain **out, struct vhdx_err *e)
{
	const struct chain_opts co = { .search = o->search,
				       .search_cnt = o->search_cnt };
	int rc;

	*out = NULL;
	if (o->type != VHDX_TYPE_DIFFERENCING || !o->type_given) {
		if (!o->parent)
			return 0;
		return err_set(e, VHDX_E_INVAL, "a parent is for differencing "
			       "images only");
	}
	if (!o->parent)
		return err_set(e, VHDX_E_INVAL,
			       "a differencing image needs a parent");
	rc = chain_open(&opener_default, loop, o->parent, &co, out, e);
	if (!rc && (*out)->cnt == CHAIN_MAX)
		rc = err_set(e, VHDX_E_UNSUPPORTED, "the parent %s is the top "
			     "of %u layers: a chain cannot be deeper; merge "
			     "some of them first", o->parent, CHAIN_MAX);
	if (!rc)
		rc = inherit(o, (*out)->layers[0], e);
	return rc;
}

/* ---- any image ----------------------------------------------------------- */

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

static int fill_child(struct file *f, const char *path,
		      const struct vhdx_create_opts *o, struct image *parent,
		      struct vhdx_err *e)
{
	return o->format == VHDX_FORMAT_VHD
		       ? vhd1_image_create_child(f, path, o, parent, e)
		       : vhdx_image_create_child(f, path, o, parent, e);
}

/* A new file with an empty image in it, open; *o is completed. */
static int begin(struct loop *loop, const char *path,
		 struct vhdx_create_opts *o, struct newfile **n,
		 struct file **f, struct vhdx_err *e)
{
	uint64_t file_len, host_len;
	struct chain *parent;
	int rc = open_parent(loop, o, &parent, e);

	if (!rc)
		rc = vhdx_create_plan(o, &file_len, &host_len, e);
	if (!rc)
		rc = newfile_begin(loop, path, o->force, n, f, e);
	if (rc)
		goto out;
	if (o->no_sync)
		newfile_no_sync(*n, *f);
	rc = parent ? fill_child(*f, path, o, parent->layers[0], e)
		    : fill(*f, o, e);
	if (rc) {
		file_close(*f);
		newfile_abort(*n);
		rc = err_wrap(e, rc, "creating %s", path);
	}
out:
	(void)chain_close(parent, NULL); /* read-only: nothing to lose */
	return rc;
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
	if (o.type_given && o.type == VHDX_TYPE_DIFFERENCING) {
		mem_free(n);
		return err_set(e, VHDX_E_UNSUPPORTED, "a differencing image "
			       "can only be created empty");
	}
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
