/* SPDX-License-Identifier: MIT */
/*
 * compact: what is dropped and moved is the library's; here it is said before,
 * after, and why something stayed.
 */
#include <stdio.h>

#include "cmd.h"
#include "fsmap.h"
#include "img.h"
#include "intr.h"
#include "out.h"
#include "progress.h"
#include "vhdx_edit.h"

struct compact_args {
	struct opt_list search;
	int progress;
	bool fs;
	bool force;
	bool dry_run;
	bool json;
};

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	const struct compact_args *a = arg;
	progress_told((enum progress_mode)a->progress, "compact", done,
		      total);
	return intr_caught();
}

static void print_change(const char *what, uint64_t before, uint64_t after)
{
	char a[OUT_SIZE_LEN], b[OUT_SIZE_LEN];
	if (after == UINT64_MAX)
		printf("%s %s\n", what, out_size(before, a));
	else if (after == before)
		printf("%s %s, as before\n", what, out_size(before, a));
	else
		printf("%s %s -> %s\n", what, out_size(before, a),
		       out_size(after, b));
}

static void print_dropped(uint64_t cnt, const char *why)
{
	char buf[OUT_SIZE_LEN];
	if (cnt)
		printf("dropped        %s: %s\n",
		       out_count(cnt, "block", "blocks", buf), why);
}

static void print_parts(const struct fsmap *map)
{
	char size[OUT_SIZE_LEN];
	for (unsigned i = 0; i < map->cnt; i++) {
		const struct fsmap_part *p = &map->parts[i];
		printf("%-14s %s at %ju: %s\n", p->name,
		       out_human(p->len, size), (uintmax_t)p->off, p->text);
	}
	if (map->note[0])
		printf("the disk       %s\n", map->note);
}

static void add_parts(json_t *j, const struct fsmap *map)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < map->cnt; i++) {
		const struct fsmap_part *p = &map->parts[i];
		json_t *o = json_object();
		json_object_set_new(o, "name", out_string(p->name));
		json_object_set_new(o, "offset", out_u64(p->off));
		json_object_set_new(o, "length", out_u64(p->len));
		json_object_set_new(o, "unused_length",
				    out_u64(p->unused_len));
		json_object_set_new(o, "found", out_string(p->text));
		json_array_append_new(list, o);
	}
	json_object_set_new(j, "partitions", list);
	if (map->note[0])
		json_object_set_new(j, "note", out_string(map->note));
}

static void print_result(const char *path, const struct compact_args *a,
			 const struct fsmap *map,
			 const struct vhdx_compact_result *r)
{
	char size[OUT_SIZE_LEN], block[OUT_SIZE_LEN];
	printf("%s: %s, %s, blocks of %s%s\n", path,
	       vhdx_format_name(r->format), out_human(r->size_len, size),
	       out_human(r->block_len, block),
	       a->dry_run ? "; what would be done:" : "");
	print_parts(map);
	print_dropped(r->zero_cnt, "nothing in them of their own");
	print_dropped(r->anchor_cnt, "discarded earlier");
	print_dropped(r->unused_cnt, "not used by the file systems");
	if (r->bitmap_cnt)
		printf("dropped        %s\n",
		       out_count(r->bitmap_cnt, "sector bitmap",
				 "sector bitmaps", size));
	if (r->moved_len)
		printf("moved down     %s\n", out_size(r->moved_len, size));
	print_change("file          ", r->file_len, r->file_len_after);
	print_change("on the host   ", r->host_len, r->host_len_after);
	if (r->hole_len)
		printf("still free     %s in the file: %s\n",
		       out_size(r->hole_len, size), r->held_by);
	else if (r->held_by[0])
		printf("note           %s\n", r->held_by);
}

static int print_json(const char *path, const struct compact_args *a,
		      const struct fsmap *map,
		      const struct vhdx_compact_result *r)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "format",
			    json_string(vhdx_format_name(r->format)));
	json_object_set_new(j, "dry_run", json_boolean(a->dry_run));
	json_object_set_new(j, "virtual_size", out_u64(r->size_len));
	json_object_set_new(j, "block_size", out_u64(r->block_len));
	json_object_set_new(j, "file_length_before", out_u64(r->file_len));
	json_object_set_new(j, "file_length_after",
			    out_u64(r->file_len_after));
	json_object_set_new(j, "host_length_before", out_u64(r->host_len));
	if (r->host_len_after != UINT64_MAX)
		json_object_set_new(j, "host_length_after",
				    out_u64(r->host_len_after));
	json_object_set_new(j, "blocks_before", out_u64(r->block_cnt));
	json_object_set_new(j, "dropped_zero", out_u64(r->zero_cnt));
	json_object_set_new(j, "dropped_discarded", out_u64(r->anchor_cnt));
	json_object_set_new(j, "dropped_unused", out_u64(r->unused_cnt));
	json_object_set_new(j, "dropped_bitmaps", out_u64(r->bitmap_cnt));
	json_object_set_new(j, "moved_length", out_u64(r->moved_len));
	json_object_set_new(j, "free_length", out_u64(r->hole_len));
	if (r->held_by[0])
		json_object_set_new(j, "held_by", out_string(r->held_by));
	if (a->fs)
		add_parts(j, map);
	return out_json(j);
}

static int failed(const char *path, const struct compact_args *a,
		  const struct vhdx_err *err)
{
	if (err->code != VHDX_E_CANCELED)
		return msg_err(path, err);
	return say_fail(STATUS_FAILED, path, "interrupted: the image is "
			"intact. To finish: vhdtool compact %s%s",
			a->fs ? "--fs " : "", msg_shell_word(path));
}

static int compact(const char *path, struct compact_args *a)
{
	static struct fsmap map;
	struct vhdx_compact_result r;
	struct vhdx_err err;
	struct vhdx_compact_opts o = {
		.dry_run = a->dry_run,
		.progress = { on_progress, a },
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)path,
		.search = a->search.v,
		.search_cnt = a->search.cnt,
		.unused = a->fs ? fsmap_unused : NULL,
		.unused_arg = &map,
	};
	int rc = vhdx_compact(path, &o, &r, &err);
	progress_end(!rc);
	if (rc)
		return failed(path, a, &err);
	if (a->json)
		return print_json(path, a, &map, &r);
	print_result(path, a, &map, &r);
	return STATUS_OK;
}

static int exec_compact(const struct cmd *c, int argc, char **argv)
{
	struct compact_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (!intr_catch())
		return STATUS_FAILED;
	/* Only then what a reader sees changes. */
	if (a.fs && !a.dry_run) {
		status = img_guard_children(pos[0], a.force, &a.search);
		if (status)
			return status;
	}
	return compact(pos[0], &a);
}

static const struct opt options[] = {
	{ "fs", OPT_FLAG, offsetof(struct compact_args, fs), NULL,
	  "drop also what the file systems in it do not use", NULL },
	OPT_JSON(struct compact_args, json),
	{ "dry-run", OPT_FLAG, offsetof(struct compact_args, dry_run), NULL,
	  "only look, and say what would be done", NULL },
	OPT_PROGRESS(struct compact_args, progress),
	OPT_GUARD_FORCE(struct compact_args, force),
	OPT_SEARCH(struct compact_args, search),
	OPT_END
};

const struct cmd cmd_compact = {
	.name = "compact",
	.synopsis = "[OPTIONS] FILE",
	.brief = "give back the space that an image does not need",
	.notes = "Blocks that hold nothing but zeros are dropped, the others "
		 "are moved down, and the\nfile is cut. The content of the "
		 "disk stays as it is, children stay valid. It may\nbe "
		 "interrupted at any time; running it again goes on.\nWith "
		 "--fs, unused space of clean ext2, ext3, ext4 and NTFS file "
		 "systems and of\nswap is dropped as well.\n",
	.opts = options,
	.exec = exec_compact,
};
