/* SPDX-License-Identifier: MIT */
/*
 * convert: everything is looked at before anything is made; the target is
 * built without a name and gets one only when it is complete and durable.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "copy.h"
#include "img.h"
#include "intr.h"
#include "newimg.h"
#include "out.h"
#include "progress.h"
#include "stream.h"

struct convert_args {
	struct opt_list search;
	struct newimg_args image;
	int from;
	int progress;
	bool chs_size;
	bool dry_run;
	bool no_sync;
};

struct job {
	const struct convert_args *args;
	const char *src_path, *dst_path;
	struct vhdx_blk *src;
	struct vhdx_geometry geometry; /* of src */
	struct vhdx_create_opts opts;  /* of the target */
	uint64_t file_len, host_len;   /* of the empty target */
	uint64_t data_len;	       /* to write, at most */
};

/* What the target takes over from the source unless told otherwise: its size,
 * its sectors (what is on the disk counts in them), and within one format the
 * block size. */
static void inherit(struct job *j)
{
	struct vhdx_info info;
	vhdx_get_info(j->src, &info);
	struct vhdx_create_opts *o = &j->opts;
	o->size_len = j->geometry.size_len;
	bool vhdx = o->format == VHDX_FORMAT_VHDX;
	if (vhdx && !o->sector_len)
		o->sector_len = j->geometry.sector_len;
	if (vhdx && info.format == VHDX_FORMAT_VHDX &&
	    !o->physical_sector_len &&
	    j->geometry.physical_sector_len >= o->sector_len)
		o->physical_sector_len = j->geometry.physical_sector_len;
	bool blocks = vhdx || (o->format == VHDX_FORMAT_VHD &&
			       !(o->type_given && o->type == VHDX_TYPE_FIXED));
	if (blocks && info.format == o->format && !o->block_len)
		o->block_len = info.block_len;
}

static void warn_of_sectors(const struct job *j)
{
	uint32_t from = j->geometry.sector_len, to = j->opts.sector_len;
	if (j->opts.format != VHDX_FORMAT_RAW && from != to)
		say_note(j->dst_path, "note: sectors of %u bytes instead of "
			 "%u: partition tables and file systems made for the "
			 "source will not be understood", to, from);
}

static bool is_preallocated(const struct job *j)
{
	return j->opts.type == VHDX_TYPE_FIXED &&
	       j->opts.format != VHDX_FORMAT_RAW;
}

static int measure(struct job *j, bool exact)
{
	struct vhdx_err err;
	if (copy_measure(j->src, j->geometry.size_len, exact, &j->data_len,
			 &err))
		return msg_err(j->src_path, &err);
	return STATUS_OK;
}

/* The map tells quickly what is needed at most; only where that does not fit
 * is the source read to find its zeros. */
static int check_space(struct job *j)
{
	int status = measure(j, false);
	if (status || is_preallocated(j))
		return status ? status
			      : img_check_space(j->dst_path, j->host_len);
	if (j->host_len + j->data_len > img_free_len(j->dst_path)) {
		progress_begin((enum progress_mode)j->args->progress, "measure",
			       j->geometry.size_len);
		status = measure(j, true);
		progress_end(false);
	}
	if (status)
		return status;
	return img_check_space(j->dst_path, j->host_len + j->data_len);
}

static int plan(struct job *j)
{
	int status = newimg_opts(j->dst_path, &j->args->image, &j->opts);
	if (status)
		return status;
	if (j->opts.format == VHDX_FORMAT_PROBE)
		return say_usage("%s: the name does not tell the format; add "
				 "--to raw, --to vhd or --to vhdx",
				 j->dst_path);
	status = img_check_not_layer(j->dst_path, j->src);
	if (status)
		return status;
	inherit(j);
	status = newimg_plan(j->dst_path, &j->opts, &j->file_len,
			     &j->host_len);
	if (status)
		return status;
	j->opts.no_sync = j->args->no_sync;
	warn_of_sectors(j);
	return check_space(j);
}

static int copy_failed(const struct job *j, const struct copy_result *r,
		       const struct vhdx_err *err)
{
	if (err->code == VHDX_E_CANCELED)
		return say_fail(STATUS_FAILED, j->dst_path,
				"interrupted: nothing was left behind");
	return msg_err(r->dst_failed ? j->dst_path : j->src_path, err);
}

static int run(struct job *j)
{
	struct vhdx_new *n;
	struct vhdx_blk *dst;
	struct vhdx_err err;
	struct copy_result result;
	if (vhdx_new_begin(j->dst_path, &j->opts, &n, &dst, &err))
		return msg_err(j->dst_path, &err);
	progress_begin((enum progress_mode)j->args->progress, "convert",
		       j->geometry.size_len);
	int code = copy_run(j->src, dst, j->geometry.size_len, &result, &err);
	progress_end(code == 0);
	if (code) {
		vhdx_new_abort(n);
		return copy_failed(j, &result, &err);
	}
	if (vhdx_new_commit(n, &err))
		return msg_err(j->dst_path, &err);
	j->data_len = result.data_len;
	return STATUS_OK;
}

static int to_file(struct job *j)
{
	char len[OUT_SIZE_LEN];
	int status = plan(j);
	if (!status && !j->args->dry_run)
		status = run(j);
	if (status)
		return status;
	if (j->args->dry_run) {
		newimg_print(j->dst_path, &j->opts, "would create");
		newimg_print_need(j->file_len,
				  is_preallocated(j) ? j->host_len :
				  j->host_len + j->data_len);
	} else {
		newimg_print(j->dst_path, &j->opts, "created");
	}
	printf("data %s: %s%s\n", j->args->dry_run ? "to copy" : "copied",
	       j->args->dry_run ? "at most " : "", out_size(j->data_len, len));
	if (j->opts.no_sync && !j->args->dry_run)
		printf("not synced: not safe from a power failure before "
		       "the host has written it all\n");
	return STATUS_OK;
}

/* DST is "-": the content as it is, to a pipe. */
static int to_stdout(const struct job *j)
{
	int to = j->args->image.format;
	if (to != VHDX_FORMAT_PROBE && to != VHDX_FORMAT_RAW)
		return say_usage("only raw can be written to standard output");
	if (j->args->dry_run) {
		printf("would write %ju bytes to standard output\n",
		       (uintmax_t)j->geometry.size_len);
		return STATUS_OK;
	}
	if (isatty(STDOUT_FILENO))
		return say_usage("standard output is a terminal: send the "
				 "content to a file or a program");
	progress_begin((enum progress_mode)j->args->progress, "convert",
		       j->geometry.size_len);
	int status = stream_out(j->src_path, j->src, 0, j->geometry.size_len);
	progress_end(status == STATUS_OK);
	return status;
}

static int exec_convert(const struct cmd *c, int argc, char **argv)
{
	struct convert_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 2, 2, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	struct job j = { .args = &a, .src_path = pos[0], .dst_path = pos[1] };
	bool piped = strcmp(j.dst_path, "-") == 0;
	if (!piped && !intr_catch())
		return STATUS_FAILED;
	status = img_open(j.src_path, a.chs_size ? VHDX_OPEN_CHS_SIZE : 0,
			  (enum vhdx_format)a.from, &a.search, &j.src);
	if (status)
		return status;
	vhdx_blk_geometry(j.src, &j.geometry);
	status = piped ? to_stdout(&j) : to_file(&j);
	return img_close(j.src_path, j.src, status);
}

static const struct opt options[] = {
	NEWIMG_OPTIONS(struct convert_args, image, "to", newimg_types,
		       "dynamic (the default) or fixed"),
	{ "from", OPT_CHOICE, offsetof(struct convert_args, from), "FORMAT",
	  "format of SRC; else found by its content", opt_formats },
	{ "chs-size", OPT_FLAG, offsetof(struct convert_args, chs_size), NULL,
	  "SRC is a vhd whose size is that of its geometry", NULL },
	{ "progress", OPT_CHOICE, offsetof(struct convert_args, progress),
	  "HOW", "auto (a line on a terminal), json or none", progress_modes },
	{ "dry-run", OPT_FLAG, offsetof(struct convert_args, dry_run), NULL,
	  "only say what would be made and what it needs", NULL },
	{ "no-sync", OPT_FLAG, offsetof(struct convert_args, no_sync), NULL,
	  "do not wait until DST is durable (see below)", NULL },
	OPT_SEARCH(struct convert_args, search),
	OPT_END
};

const struct cmd cmd_convert = {
	.name = "convert",
	.synopsis = "[OPTIONS] SRC DST",
	.brief = "copy a disk into a new image of any format",
	.notes = "The target's format follows DST's name (.vhd .avhd .vhdx "
		 ".avhdx .raw .img .bin)\nunless --to tells it. Sector and, "
		 "within a format, block sizes are those of SRC\nunless told. "
		 "Only data is copied: zeros take no space in a dynamic or raw "
		 "target.\nDST appears under its name complete and durable, or "
		 "not at all; Ctrl-C leaves\nnothing behind. With --no-sync it "
		 "appears complete, but a power failure can damage\nit, and "
		 "not visibly so, until the host has written all of it or "
		 "`sync DST` has\nended; what --force replaced may be gone "
		 "then, too. DST can be - for raw content\non standard output. "
		 "A child is copied with all that its parents hold.\n",
	.opts = options,
	.exec = exec_convert,
};
