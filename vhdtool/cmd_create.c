/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cmd.h"
#include "img.h"
#include "newimg.h"
#include "out.h"

struct create_args {
	struct newimg_args image;
	uint64_t size_len;
	const char *parent;
	struct opt_list search;
	bool dry_run;
};

/* What the child takes over from its parent unless told otherwise: here
 * already, so that a dry run shows what would become of it. */
static int inherit(const char *path, const struct create_args *a,
		   struct vhdx_create_opts *opts)
{
	struct vhdx_blk *blk;
	struct vhdx_geometry g;
	int status = img_open(opts->parent, 0, VHDX_FORMAT_PROBE, &a->search,
			      &blk);
	if (status)
		return status;
	vhdx_blk_geometry(blk, &g);
	struct vhdx_info info;
	vhdx_get_info(blk, &info);
	unsigned layer_cnt = vhdx_layer_cnt(blk);
	status = img_check_not_layer(path, blk);
	status = img_close(opts->parent, blk, status);
	if (status)
		return status;
	if (layer_cnt == VHDX_LAYERS_MAX)
		return say_fail(STATUS_FAILED, opts->parent, "is the top of %u "
				"layers: a chain cannot be deeper; merge some "
				"of them first", layer_cnt);
	if (opts->format == VHDX_FORMAT_PROBE)
		opts->format = info.format;
	if (info.format != opts->format)
		return say_fail(STATUS_USAGE, opts->parent,
				"is %s: the parent of a %s image must be one",
				vhdx_format_name(info.format),
				vhdx_format_name(opts->format));
	if (opts->size_len == OPT_NOT_GIVEN)
		opts->size_len = g.size_len;
	if (!opts->sector_len)
		opts->sector_len = g.sector_len;
	if (opts->sector_len != g.sector_len)
		return say_usage("--sector-size %u: it must be the parent's, "
				 "%u", opts->sector_len, g.sector_len);
	if (!opts->physical_sector_len)
		opts->physical_sector_len = g.physical_sector_len;
	return STATUS_OK;
}

static int plan_child(const char *path, const struct create_args *a,
		      struct vhdx_create_opts *opts)
{
	opts->parent = a->parent;
	opts->search = a->search.v;
	opts->search_cnt = a->search.cnt;
	opts->type = VHDX_TYPE_DIFFERENCING;
	opts->type_given = true;
	return inherit(path, a, opts);
}

static int create(const char *path, const struct create_args *a)
{
	struct vhdx_create_opts opts;
	int status = newimg_opts(path, &a->image, &opts);
	if (status)
		return status;
	opts.size_len = a->size_len;
	if (a->parent)
		status = plan_child(path, a, &opts);
	if (status)
		return status;
	uint64_t file_len, host_len;
	status = newimg_plan(path, &opts, &file_len, &host_len);
	if (status == STATUS_OK)
		status = img_check_space(path, host_len);
	if (status)
		return status;
	if (!a->dry_run) {
		struct vhdx_err err;
		if (vhdx_create(path, &opts, &err))
			return msg_err(path, &err);
	}
	newimg_print(path, &opts, a->dry_run ? "would create" : "created");
	if (a->dry_run)
		newimg_print_need(file_len, host_len);
	return STATUS_OK;
}

static int exec_create(const struct cmd *c, int argc, char **argv)
{
	struct create_args a = { .size_len = OPT_NOT_GIVEN };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 2, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (cnt == 2 && a.size_len != OPT_NOT_GIVEN)
		return say_usage("the size is given twice");
	if (cnt == 2 && !opt_size(pos[1], &a.size_len))
		return say_usage("'%s': a size is 4096, 64K, 2M, 1G or 64T",
				 pos[1]);
	bool child = a.image.type == 1 + VHDX_TYPE_DIFFERENCING;
	if (child && !a.parent)
		return say_usage("of what image? --type differencing needs "
				 "--parent FILE");
	if (a.parent && a.image.type && !child)
		return say_usage("--parent is for --type differencing only");
	if (a.size_len == OPT_NOT_GIVEN && !a.parent)
		return say_usage("how large? vhdtool create %s SIZE",
				 msg_shell_word(pos[0]));
	return create(pos[0], &a);
}

static const struct opt_choice types[] = {
	{ "dynamic", 1 + VHDX_TYPE_DYNAMIC },
	{ "fixed", 1 + VHDX_TYPE_FIXED },
	{ "differencing", 1 + VHDX_TYPE_DIFFERENCING },
	{ NULL, 0 },
};

static const struct opt options[] = {
	{ "size", OPT_SIZE, offsetof(struct create_args, size_len), "SIZE",
	  "size of the virtual disk", NULL },
	NEWIMG_OPTIONS(struct create_args, image, "format", types,
		       "dynamic (the default), fixed or differencing"),
	{ "parent", OPT_STRING, offsetof(struct create_args, parent), "FILE",
	  "differencing: what the new image is a child of", NULL },
	OPT_SEARCH(struct create_args, search),
	{ "dry-run", OPT_FLAG, offsetof(struct create_args, dry_run), NULL,
	  "only say what would be made and what it needs", NULL },
	OPT_END
};

const struct cmd cmd_create = {
	.name = "create",
	.synopsis = "[OPTIONS] FILE [SIZE]",
	.brief = "make a new, empty image",
	.notes = "The format follows the name (.vhd .avhd .vhdx .avhdx .raw "
		 ".img .bin) and is vhdx\nfor any other. A dynamic image grows "
		 "as data is written. The file appears under\nits name "
		 "complete and durable, or not at all. With --parent it "
		 "holds only\nwhat differs from the parent, whose size and "
		 "sectors it has unless told otherwise.\nThe parent must not "
		 "be written to any more, or the child is lost.\n",
	.opts = options,
	.exec = exec_create,
};
