/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "cmd.h"
#include "img.h"
#include "stream.h"

struct read_args {
	struct opt_list search;
	uint64_t voff, len;
	bool chs_size;
};

static int exec_read(const struct cmd *c, int argc, char **argv)
{
	struct read_args a = { .len = OPT_NOT_GIVEN };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (isatty(STDOUT_FILENO))
		return say_usage("standard output is a terminal: send the "
				 "content to a file or a program");
	struct vhdx_blk *blk;
	status = img_open(pos[0], a.chs_size ? VHDX_OPEN_CHS_SIZE : 0,
			  VHDX_FORMAT_PROBE, &a.search, &blk);
	if (status)
		return status;
	status = img_check_range(pos[0], blk, a.voff, &a.len);
	if (!status)
		status = stream_out(pos[0], blk, a.voff, a.len);
	return img_close(pos[0], blk, status);
}

static const struct opt options[] = {
	{ "offset", OPT_SIZE, offsetof(struct read_args, voff), "SIZE",
	  "where to start in the virtual disk", NULL },
	{ "length", OPT_SIZE, offsetof(struct read_args, len), "SIZE",
	  "how much; else to the end", NULL },
	{ "chs-size", OPT_FLAG, offsetof(struct read_args, chs_size), NULL,
	  "vhd: take the size from the geometry", NULL },
	OPT_SEARCH(struct read_args, search),
	OPT_END
};

const struct cmd cmd_read = {
	.name = "read",
	.synopsis = "[OPTIONS] FILE > OUTPUT",
	.brief = "copy a part of the virtual disk to standard output",
	.notes = "Exit status 0 only if every byte was delivered. Offset and "
		 "length may be any\nnumber of bytes. Changes nothing, not "
		 "even a dirty log.\n",
	.opts = options,
	.exec = exec_read,
};
