/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cmd.h"
#include "img.h"
#include "newimg.h"
#include "out.h"

struct create_args {
	struct newimg_args image;
	uint64_t size_len;
	bool dry_run;
};

static int create(const char *path, const struct create_args *a)
{
	struct vhdx_create_opts opts;
	int status = newimg_opts(path, &a->image, &opts);
	if (status)
		return status;
	opts.size_len = a->size_len;
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
		return msg_usage("the size is given twice");
	if (cnt == 2 && !opt_size(pos[1], &a.size_len))
		return msg_usage("'%s': a size is 4096, 64K, 2M, 1G or 64T",
				 pos[1]);
	if (a.size_len == OPT_NOT_GIVEN)
		return msg_usage("how large? vhdtool create %s SIZE",
				 msg_shell_word(pos[0]));
	return create(pos[0], &a);
}

static const struct opt options[] = {
	{ "size", OPT_SIZE, offsetof(struct create_args, size_len), "SIZE",
	  "size of the virtual disk", NULL },
	NEWIMG_OPTIONS(struct create_args, image, "format"),
	{ "dry-run", OPT_FLAG, offsetof(struct create_args, dry_run), NULL,
	  "only say what would be made and what it needs", NULL },
	OPT_END
};

const struct cmd cmd_create = {
	.name = "create",
	.synopsis = "[OPTIONS] FILE SIZE",
	.brief = "make a new, empty image",
	.notes = "The format follows the name (.vhd .avhd .vhdx .avhdx .raw "
		 ".img .bin) and is vhdx\nfor any other. A dynamic image grows "
		 "as data is written. The file appears under\nits name "
		 "complete and durable, or not at all.\n",
	.opts = options,
	.exec = exec_create,
};
