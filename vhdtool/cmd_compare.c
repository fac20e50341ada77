/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cmd.h"
#include "differ.h"
#include "img.h"
#include "intr.h"
#include "progress.h"

struct compare_args {
	struct opt_list search;
	bool strict;
	bool chs_size;
	int progress;
};

static int report(const char *a_path, const char *b_path, uint64_t a_len,
		  uint64_t b_len, const struct compare_args *args,
		  const struct differ_result *r)
{
	if (r->first_voff != DIFFER_NONE) {
		printf("different: the first byte that differs is at offset "
		       "%ju\n", (uintmax_t)r->first_voff);
		return STATUS_FAILED;
	}
	if (a_len == b_len) {
		printf("same content, %ju bytes\n", (uintmax_t)a_len);
		return STATUS_OK;
	}
	printf("%s content, but %s has %ju bytes and %s %ju; the rest of the "
	       "longer one is zeros\n", args->strict ? "different: same" :
	       "same", a_path, (uintmax_t)a_len, b_path, (uintmax_t)b_len);
	return args->strict ? STATUS_FAILED : STATUS_OK;
}

static int compare(const char *a_path, struct vhdx_blk *a, const char *b_path,
		   struct vhdx_blk *b, const struct compare_args *args)
{
	struct vhdx_geometry ga, gb;
	vhdx_blk_geometry(a, &ga);
	vhdx_blk_geometry(b, &gb);
	uint64_t total = ga.size_len > gb.size_len ? ga.size_len : gb.size_len;
	struct differ_result r;
	struct vhdx_err err;
	progress_begin((enum progress_mode)args->progress, "compare", total);
	int code = differ_run(a, b, &r, &err);
	progress_end(code == 0);
	if (code == VHDX_E_CANCELED)
		return say_fail(STATUS_FAILED, NULL, "interrupted");
	if (code)
		return msg_err(r.b_failed ? b_path : a_path, &err);
	return report(a_path, b_path, ga.size_len, gb.size_len, args, &r);
}

static int exec_compare(const struct cmd *c, int argc, char **argv)
{
	struct compare_args args = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &args, argc, argv, 2, 2, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (!intr_catch())
		return STATUS_FAILED;
	unsigned flags = args.chs_size ? VHDX_OPEN_CHS_SIZE : 0;
	struct vhdx_blk *a, *b;
	status = img_open(pos[0], flags, VHDX_FORMAT_PROBE, &args.search, &a);
	if (status)
		return status;
	status = img_open(pos[1], flags, VHDX_FORMAT_PROBE, &args.search, &b);
	if (status)
		return img_close(pos[0], a, status);
	status = compare(pos[0], a, pos[1], b, &args);
	status = img_close(pos[1], b, status);
	return img_close(pos[0], a, status);
}

static const struct opt options[] = {
	{ "strict", OPT_FLAG, offsetof(struct compare_args, strict), NULL,
	  "different sizes are a difference", NULL },
	{ "chs-size", OPT_FLAG, offsetof(struct compare_args, chs_size), NULL,
	  "vhd: take the size from the geometry", NULL },
	{ "progress", OPT_CHOICE, offsetof(struct compare_args, progress),
	  "HOW", "auto (a line on a terminal), json or none", progress_modes },
	OPT_SEARCH(struct compare_args, search),
	OPT_END
};

const struct cmd cmd_compare = {
	.name = "compare",
	.synopsis = "[OPTIONS] FILE FILE",
	.brief = "compare the content of two images of any format",
	.notes = "Exit status 0: the same; 1: different (then said on standard "
		 "output with the\noffset) or failed. Where one disk is "
		 "longer, the rest must be zeros.\n",
	.opts = options,
	.exec = exec_compare,
};
