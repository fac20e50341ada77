/* SPDX-License-Identifier: MIT */
/*
 * Compacting from the outside: opens the image, alone or (to ask what its disk
 * uses) with all that it stands on, has its format do the work, and measures
 * the file before and after. It is ours alone, and stays open, from the first
 * look to the last change.
 */
#include "compact.h"

#include <string.h>

static int open_disk(const struct opener *o, struct loop *l, const char *path,
		     const struct vhdx_compact_opts *opts,
		     struct vhdx_blk **out, struct image **leaf,
		     struct vhdx_err *e)
{
	struct chain_opts co = {
		.flags = (opts->dry_run ? 0 : VHDX_OPEN_WRITE) |
			 (opts->unused ? 0 : VHDX_OPEN_ALONE),
		.search = opts->search,
		.search_cnt = opts->search_cnt,
		.msg = opts->msg,
		.msg_arg = opts->msg_arg,
	};
	struct chain *chain;
	int rc = chain_open(o, l, path, &co, &chain, e);

	if (rc)
		return rc;
	*leaf = chain->layers[0];
	if ((*leaf)->ops->compact)
		rc = blk_new_chain(chain, l, false, out, e);
	else
		rc = err_set(e, VHDX_E_UNSUPPORTED, "%s is a %s %s image: "
			     "there is nothing in it to compact", path,
			     vhdx_type_name((*leaf)->info.type),
			     vhdx_format_name((*leaf)->info.format));
	if (rc)
		(void)chain_close(chain, NULL);
	return rc;
}

static void measure(struct vhdx_blk *blk, struct vhdx_compact_result *r)
{
	struct vhdx_info info;

	vhdx_get_info(blk, &info);
	r->format = info.format;
	r->size_len = info.size_len;
	r->block_len = info.block_len;
	r->file_len = r->file_len_after = info.file_len;
	r->host_len = r->host_len_after = info.host_len;
}

/* The closed file; what cannot be told stays as it was. */
static void measure_after(const struct opener *o, struct loop *l,
			  const char *path, struct vhdx_compact_result *r)
{
	struct file *f;

	if (o->open(o, l, path, OPENER_NOLOCK, &f, NULL))
		return;
	r->file_len_after = f->size;
	r->host_len_after = file_host_len(f);
	file_close(f);
}

static int work(struct vhdx_blk *blk, struct image *img,
		const struct vhdx_compact_opts *opts,
		struct vhdx_compact_result *r, struct vhdx_err *e)
{
	struct vhdx_unused unused;
	struct compact how = { .dry_run = opts->dry_run,
			       .progress = opts->progress,
			       .result = r };
	int rc = 0;

	unused_init(&unused, img->size_len);
	if (opts->unused) {
		rc = opts->unused(opts->unused_arg, blk, &unused, e);
		unused_sort(&unused);
		how.unused = &unused;
	}
	if (!rc)
		rc = img->ops->compact(img, &how, e);
	unused_free(&unused);
	return rc;
}

int compact_image(const struct opener *o, struct loop *l, const char *path,
		  const struct vhdx_compact_opts *opts,
		  struct vhdx_compact_result *r, struct vhdx_err *e)
{
	struct vhdx_blk *blk;
	struct image *img;
	int rc, rc2;

	memset(r, 0, sizeof(*r));
	rc = open_disk(o, l, path, opts, &blk, &img, e);
	if (rc)
		return rc;
	measure(blk, r);
	rc = work(blk, img, opts, r, e);
	rc2 = vhdx_blk_close(blk, rc ? NULL : e);
	if (opts->dry_run)
		r->host_len_after = UINT64_MAX;
	else
		measure_after(o, l, path, r);
	return rc ? rc : rc2;
}

int vhdx_compact(const char *path, const struct vhdx_compact_opts *opts,
		 struct vhdx_compact_result *result, struct vhdx_err *e)
{
	static const struct vhdx_compact_opts none;
	struct vhdx_compact_result unwanted;
	struct loop *l;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	rc = compact_image(&opener_default, l, path, opts ? opts : &none,
			   result ? result : &unwanted, e);
	loop_free(l);
	return rc;
}
