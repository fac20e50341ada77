/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cmd.h"
#include "img.h"
#include "out.h"

struct discard_args {
	struct opt_list search;
	uint64_t voff, len;
	bool force;
	bool dry_run;
};

static int discard(const char *path, struct vhdx_blk *blk,
		   const struct discard_args *a)
{
	char size[OUT_SIZE_LEN], data[OUT_SIZE_LEN];
	uint64_t no_data_len, no_space_len;
	int status = img_gaps(path, blk, a->voff, a->len, &no_data_len,
			      &no_space_len);
	if (status)
		return status;
	uint64_t data_len = a->len - no_data_len;
	if (!a->dry_run) {
		struct vhdx_err err;
		if (vhdx_blk_discard(blk, a->voff, a->len, &err) ||
		    vhdx_blk_flush(blk, &err))
			return msg_err(path, &err);
	}
	printf("%s %s at offset %ju; %s of it held data\n",
	       a->dry_run ? "would discard" : "discarded",
	       out_size(a->len, size), (uintmax_t)a->voff,
	       out_size(data_len, data));
	if (a->dry_run)
		printf("needs no space on the host worth mentioning\n");
	return STATUS_OK;
}

static int exec_discard(const struct cmd *c, int argc, char **argv)
{
	struct discard_args a = { .voff = OPT_NOT_GIVEN,
				  .len = OPT_NOT_GIVEN };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	/* No default: forgetting an option must not empty a disk. */
	if (a.voff == OPT_NOT_GIVEN || a.len == OPT_NOT_GIVEN)
		return say_usage("--offset and --length are both needed");
	status = img_guard_children(pos[0], a.force, &a.search);
	if (status)
		return status;
	struct vhdx_blk *blk;
	status = img_open(pos[0], a.dry_run ? 0 : VHDX_OPEN_WRITE,
			  VHDX_FORMAT_PROBE, &a.search, &blk);
	if (status)
		return status;
	status = img_check_range(pos[0], blk, a.voff, &a.len);
	if (!status)
		status = img_check_aligned(pos[0], blk, a.voff, a.len);
	if (!status)
		status = discard(pos[0], blk, &a);
	return img_close(pos[0], blk, status);
}

static const struct opt options[] = {
	{ "offset", OPT_SIZE, offsetof(struct discard_args, voff), "SIZE",
	  "where to start in the virtual disk", NULL },
	{ "length", OPT_SIZE, offsetof(struct discard_args, len), "SIZE",
	  "how much", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct discard_args, dry_run), NULL,
	  "only say what would be discarded", NULL },
	OPT_GUARD_FORCE(struct discard_args, force),
	OPT_SEARCH(struct discard_args, search),
	OPT_END
};

const struct cmd cmd_discard = {
	.name = "discard",
	.synopsis = "--offset SIZE --length SIZE [OPTIONS] FILE",
	.brief = "tell the image that a range is no longer needed",
	.notes = "Whole blocks are given back to the image, and their space to "
		 "the host where it\nallows; they then read as zeros. Offset "
		 "and length are multiples of the sector\nsize.\n",
	.opts = options,
	.exec = exec_discard,
};
