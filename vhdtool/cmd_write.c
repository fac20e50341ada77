/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "img.h"
#include "intr.h"
#include "out.h"
#include "stream.h"

struct write_args {
	struct opt_list search;
	uint64_t voff, len;
	bool zeroes;
	bool force;
	bool dry_run;
};

/* Bytes that stdin still holds, when it is a file; else OPT_NOT_GIVEN. */
static uint64_t input_len(void)
{
	struct stat st;
	if (fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode))
		return OPT_NOT_GIVEN;
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	if (at < 0)
		return OPT_NOT_GIVEN;
	return at < st.st_size ? (uint64_t)(st.st_size - at) : 0;
}

/* What is known before the start: the length, if it is known, fits the disk,
 * and the host has room for what takes no space yet. */
static int plan(const char *path, struct vhdx_blk *blk, struct write_args *a)
{
	uint64_t len = a->len;
	if (len == OPT_NOT_GIVEN && !a->zeroes)
		len = input_len();
	bool known = len != OPT_NOT_GIVEN || a->zeroes;
	int status = img_check_range(path, blk, a->voff, &len);
	if (!status && a->zeroes)
		status = img_check_aligned(path, blk, a->voff, len);
	if (status)
		return status;
	if (a->zeroes)
		a->len = len;
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	uint64_t first = a->voff - a->voff % g.sector_len;
	uint64_t last = (a->voff + len + g.sector_len - 1) / g.sector_len *
			g.sector_len;
	uint64_t no_data_len, need_len = 0;
	if (!a->zeroes)
		status = img_gaps(path, blk, first, last - first, &no_data_len,
				  &need_len);
	if (!status && known)
		status = img_check_space(path, need_len);
	if (status || !a->dry_run)
		return status;
	char size[OUT_SIZE_LEN], need[OUT_SIZE_LEN];
	printf("would write %s%s%s at offset %ju\nneeds at most %s on the "
	       "host\n", known ? "" : "up to ", out_size(len, size),
	       a->zeroes ? " of zeros" : "", (uintmax_t)a->voff,
	       out_size(need_len, need));
	return STATUS_OK;
}

static int write_all(const char *path, struct vhdx_blk *blk,
		     const struct write_args *a)
{
	struct vhdx_err err;
	uint64_t done_len = a->len;
	int status = STATUS_OK;
	if (!a->zeroes)
		status = stream_in(path, blk, a->voff, a->len, &done_len);
	else if (vhdx_blk_write_zeroes(blk, a->voff, a->len, &err))
		status = msg_err(path, &err);
	/* Also after a failure: what did arrive is kept and made durable. */
	if (vhdx_blk_flush(blk, &err) && status == STATUS_OK)
		status = msg_err(path, &err);
	if (status == STATUS_OK) {
		char size[OUT_SIZE_LEN];
		printf("wrote %s%s at offset %ju\n", out_size(done_len, size),
		       a->zeroes ? " of zeros" : "", (uintmax_t)a->voff);
	}
	return status;
}

static int exec_write(const struct cmd *c, int argc, char **argv)
{
	struct write_args a = { .len = OPT_NOT_GIVEN };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (a.zeroes && a.len == OPT_NOT_GIVEN)
		return say_usage("--zeroes needs --length");
	/* So that an interrupted write still closes the image cleanly. */
	if (!intr_catch())
		return STATUS_FAILED;
	status = img_guard_children(pos[0], a.force, &a.search);
	if (status)
		return status;
	struct vhdx_blk *blk;
	status = img_open(pos[0], a.dry_run ? 0 : VHDX_OPEN_WRITE,
			  VHDX_FORMAT_PROBE, &a.search, &blk);
	if (status)
		return status;
	status = plan(pos[0], blk, &a);
	if (!status && !a.dry_run)
		status = write_all(pos[0], blk, &a);
	return img_close(pos[0], blk, status);
}

static const struct opt options[] = {
	{ "offset", OPT_SIZE, offsetof(struct write_args, voff), "SIZE",
	  "where to start in the virtual disk", NULL },
	{ "length", OPT_SIZE, offsetof(struct write_args, len), "SIZE",
	  "how much; else all of the input", NULL },
	{ "zeroes", OPT_FLAG, offsetof(struct write_args, zeroes), NULL,
	  "write zeros; standard input is not read", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct write_args, dry_run), NULL,
	  "only say what would be written and what it needs", NULL },
	OPT_GUARD_FORCE(struct write_args, force),
	OPT_SEARCH(struct write_args, search),
	OPT_END
};

const struct cmd cmd_write = {
	.name = "write",
	.synopsis = "[OPTIONS] FILE < INPUT",
	.brief = "copy standard input into the virtual disk",
	.notes = "Offset and length may be any number of bytes (with --zeroes: "
		 "whole sectors).\nExit status 0: everything is written and "
		 "durable.\n",
	.opts = options,
	.exec = exec_write,
};
