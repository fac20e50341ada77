/* SPDX-License-Identifier: MIT */
/*
 * resize: how, and whether, is the library's; here the new size is made out,
 * and what is left to do for the user is said.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "img.h"
#include "intr.h"
#include "out.h"
#include "progress.h"
#include "vhdx_edit.h"

struct resize_args {
	struct opt_list search;
	int progress;
	bool shrink;
	bool force;
	bool dry_run;
	bool json;
};

static const char *const table_name[] = {
	[VHDX_TABLE_NONE] = "none",
	[VHDX_TABLE_MBR] = "mbr",
	[VHDX_TABLE_GPT] = "gpt",
	[VHDX_TABLE_DAMAGED] = "damaged",
};

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	const struct resize_args *a = arg;
	progress_told((enum progress_mode)a->progress, "looking for data", done,
		      total);
	return intr_caught();
}

/* ---- the size ------------------------------------------------------------ */

/* "-10G" would be taken for an option: its sign is hidden from getopt. */
#define HIDDEN_MINUS '\001'

static void hide_minus(int argc, char **argv, char *buf, size_t cap)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' && isdigit((unsigned char)argv[i][1])) {
			snprintf(buf, cap, "%c%s", HIDDEN_MINUS, argv[i] + 1);
			argv[i] = buf;
			return;
		}
}

static int parse_size(const char *text, uint64_t now, uint64_t *len)
{
	bool more = text[0] == '+', less = text[0] == HIDDEN_MINUS;
	uint64_t v;
	if (!opt_size(text + (more || less), &v))
		return say_usage("'%s' is no size: 4096, 64K, 2M, 1G, 64T, or "
				 "by how much: +10G, -10G", text);
	if (!more && !less)
		*len = v;
	else if (more ? v > UINT64_MAX - now : v > now)
		return say_usage("the disk has %ju bytes: no size is %ju %s "
				 "than that", (uintmax_t)now, (uintmax_t)v,
				 more ? "more" : "less");
	else
		*len = more ? now + v : now - v;
	return STATUS_OK;
}

static int make_out_size(const char *path, const char *text,
			 const struct resize_args *a, uint64_t *len)
{
	struct vhdx_info info;
	struct vhdx_blk *blk;
	int status = img_open(path, VHDX_OPEN_ALONE, VHDX_FORMAT_PROBE,
			      &a->search, &blk);
	if (status)
		return status;
	vhdx_get_info(blk, &info);
	return img_close(path, blk, parse_size(text, info.size_len, len));
}

/* ---- what came of it ----------------------------------------------------- */

static void print_table(const struct vhdx_resize_result *r)
{
	char end[OUT_SIZE_LEN], min[OUT_SIZE_LEN];
	if (r->table == VHDX_TABLE_NONE || r->table == VHDX_TABLE_DAMAGED)
		return;
	printf("partitions     end at %s; the disk could have %s\n",
	       out_size(r->parts_end_len, end), out_size(r->min_len, min));
	if (r->table == VHDX_TABLE_GPT)
		printf("               the GPT was not changed: its backup "
		       "belongs at the end of the disk.\n               To "
		       "move it there, in the guest: sgdisk -e DISK\n");
}

static void print_text(const char *path, const struct resize_args *a,
		       const struct vhdx_resize_result *r)
{
	char old[OUT_SIZE_LEN], new[OUT_SIZE_LEN];
	if (r->old_len == r->new_len) {
		printf("%s: has %s already; nothing was changed\n", path,
		       out_size(r->new_len, new));
		return;
	}
	printf("%s: %s, %s%s\n", path, vhdx_format_name(r->format),
	       vhdx_type_name(r->type),
	       a->dry_run ? "; what would be done:" : "");
	printf("disk           %s -> %s\n", out_size(r->old_len, old),
	       out_size(r->new_len, new));
	if (a->dry_run)
		printf("needs          %s on the host\n",
		       out_size(r->need_len, new));
	else
		printf("file           %s -> %s\n", out_size(r->file_len, old),
		       out_size(r->file_len_after, new));
	print_table(r);
}

static int print_json(const char *path, const struct resize_args *a,
		      const struct vhdx_resize_result *r)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "format",
			    json_string(vhdx_format_name(r->format)));
	json_object_set_new(j, "type", json_string(vhdx_type_name(r->type)));
	json_object_set_new(j, "dry_run", json_boolean(a->dry_run));
	json_object_set_new(j, "old_size", out_u64(r->old_len));
	json_object_set_new(j, "new_size", out_u64(r->new_len));
	json_object_set_new(j, "file_length_before", out_u64(r->file_len));
	json_object_set_new(j, "file_length_after",
			    out_u64(r->file_len_after));
	json_object_set_new(j, "needed_length", out_u64(r->need_len));
	json_object_set_new(j, "partition_table",
			    json_string(table_name[r->table]));
	json_object_set_new(j, "partitions_end", out_u64(r->parts_end_len));
	json_object_set_new(j, "minimum_size", out_u64(r->min_len));
	json_object_set_new(j, "move_gpt_backup",
			    json_boolean(r->table == VHDX_TABLE_GPT &&
					 r->old_len != r->new_len));
	return out_json(j);
}

static int resize(const char *path, uint64_t len, struct resize_args *a)
{
	struct vhdx_resize_opts o = {
		.shrink = a->shrink,
		.force = a->force,
		.dry_run = a->dry_run,
		.progress = { on_progress, a },
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)path,
		.search = a->search.v,
		.search_cnt = a->search.cnt,
	};
	struct vhdx_resize_result r;
	struct vhdx_err err;
	int rc = vhdx_resize(path, len, &o, &r, &err);
	progress_end(!rc);
	if (rc)
		return msg_err(path, &err);
	if (a->json)
		return print_json(path, a, &r);
	print_text(path, a, &r);
	return STATUS_OK;
}

static int exec_resize(const struct cmd *c, int argc, char **argv)
{
	struct resize_args a = { 0 };
	char minus[64], **pos;
	uint64_t len = 0;
	int cnt;
	hide_minus(argc, argv, minus, sizeof(minus));
	int status = opt_parse(c, &a, argc, argv, 2, 2, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	status = make_out_size(pos[0], pos[1], &a, &len);
	if (!status)
		status = img_guard_children(pos[0], a.force, &a.search);
	if (status)
		return status;
	if (!intr_catch())
		return STATUS_FAILED;
	return resize(pos[0], len, &a);
}

static const struct opt options[] = {
	{ "shrink", OPT_FLAG, offsetof(struct resize_args, shrink), NULL,
	  "allow the disk to become smaller", NULL },
	{ "force", OPT_FLAG, offsetof(struct resize_args, force), NULL,
	  "cut off partitions and data; cut off children", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct resize_args, dry_run), NULL,
	  "only look, and say what would be done", NULL },
	OPT_JSON(struct resize_args, json),
	OPT_PROGRESS(struct resize_args, progress),
	OPT_SEARCH(struct resize_args, search),
	OPT_END
};

const struct cmd cmd_resize = {
	.name = "resize",
	.synopsis = "[OPTIONS] FILE SIZE",
	.brief = "make the disk larger or smaller",
	.notes = "SIZE is the new size, or by how much it changes: +10G, -10G. "
		 "What is added reads as\nzeros. A smaller size is refused if "
		 "it would cut into the last partition, or,\nwhere there is no "
		 "partition table, cut off data. The partition table itself is "
		 "not\nchanged. A VHD can only grow.\n",
	.opts = options,
	.exec = exec_resize,
};
