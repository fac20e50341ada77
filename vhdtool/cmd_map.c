/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "img.h"
#include "out.h"

struct map_args {
	struct opt_list search;
	bool json;
	uint64_t voff, len;
};

struct map_printer {
	bool json;
	bool first;
	int status;
	struct vhdx_extent held; /* not printed yet; len 0: none */
};

static const char *const kind_name[] = {
	[VHDX_EXTENT_DATA] = "data",
	[VHDX_EXTENT_ZERO] = "zero",
	[VHDX_EXTENT_UNMAPPED] = "unmapped",
	[VHDX_EXTENT_PARENT] = "parent",
};

static void print_row(const struct vhdx_extent *x)
{
	printf("%16ju %16ju  %s", (uintmax_t)x->voff, (uintmax_t)x->len,
	       kind_name[x->kind]);
	if (x->kind == VHDX_EXTENT_DATA)
		printf("     %5u %16ju  %s", x->depth, (uintmax_t)x->host_off,
		       out_clean(x->host_path));
	putchar('\n');
}

static int print_json(const struct vhdx_extent *x, bool first)
{
	json_t *j = json_object();
	json_object_set_new(j, "offset", out_u64(x->voff));
	json_object_set_new(j, "length", out_u64(x->len));
	json_object_set_new(j, "state", json_string(kind_name[x->kind]));
	if (x->kind == VHDX_EXTENT_DATA) {
		json_object_set_new(j, "depth", out_u64(x->depth));
		json_object_set_new(j, "host_file", out_string(x->host_path));
		json_object_set_new(j, "host_offset", out_u64(x->host_off));
	}
	fputs(first ? "\n  " : ",\n  ", stdout);
	return out_json_line(j);
}

static void print_held(struct map_printer *p)
{
	if (p->held.len == 0)
		return;
	if (!p->json)
		print_row(&p->held);
	else if (print_json(&p->held, p->first))
		p->status = STATUS_FAILED;
	p->first = false;
	p->held.len = 0;
}

/* Whether y goes on where x ends, in the disk and in the file. */
static bool continues(const struct vhdx_extent *x, const struct vhdx_extent *y)
{
	if (x->kind != y->kind || x->voff + x->len != y->voff)
		return false;
	if (x->kind != VHDX_EXTENT_DATA)
		return true;
	return x->depth == y->depth && x->host_off + x->len == y->host_off &&
	       strcmp(x->host_path, y->host_path) == 0;
}

static int print_map(const char *path, struct vhdx_blk *blk,
		     const struct map_args *a)
{
	struct map_printer p = { .json = a->json, .first = true };
	if (a->json)
		putchar('[');
	else
		printf("%16s %16s  %-8s %5s %16s  %s\n", "OFFSET", "LENGTH",
		       "STATE", "DEPTH", "HOST OFFSET", "HOST FILE");
	uint64_t end = a->voff + a->len;
	for (uint64_t voff = a->voff; voff < end;) {
		struct vhdx_extent x;
		struct vhdx_err err;
		if (vhdx_blk_map(blk, voff, end - voff, &x, &err)) {
			p.status = msg_err(path, &err);
			break;
		}
		voff += x.len;
		if (p.held.len && continues(&p.held, &x)) {
			p.held.len += x.len;
			continue;
		}
		print_held(&p);
		p.held = x;
		if (ferror(stdout))
			break;
	}
	print_held(&p);
	if (a->json)
		fputs(p.first ? "]\n" : "\n]\n", stdout);
	return p.status;
}

static int exec_map(const struct cmd *c, int argc, char **argv)
{
	struct map_args a = { .len = OPT_NOT_GIVEN };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	struct vhdx_blk *blk;
	struct vhdx_err broken;
	status = img_open_anyhow(pos[0], 0, &a.search, &blk, &broken);
	if (status)
		return status;
	status = img_check_range(pos[0], blk, a.voff, &a.len);
	if (!status)
		status = img_check_aligned(pos[0], blk, a.voff, a.len);
	if (!status)
		status = print_map(pos[0], blk, &a);
	if (!status && broken.code)
		status = msg_err(pos[0], &broken);
	return img_close(pos[0], blk, status);
}

static const struct opt options[] = {
	{ "json", OPT_FLAG, offsetof(struct map_args, json), NULL,
	  "an array with one object per extent", NULL },
	{ "offset", OPT_SIZE, offsetof(struct map_args, voff), "SIZE",
	  "where to start in the virtual disk", NULL },
	{ "length", OPT_SIZE, offsetof(struct map_args, len), "SIZE",
	  "how far; else to the end", NULL },
	OPT_SEARCH(struct map_args, search),
	OPT_END
};

const struct cmd cmd_map = {
	.name = "map",
	.synopsis = "[OPTIONS] FILE",
	.brief = "show which parts of the disk hold data, and where",
	.notes = "States: data; zero (reads as zeros, says the image); "
		 "unmapped (never written or\ndiscarded, reads as zeros). "
		 "Neighbours of the same state are joined. DEPTH is the\n"
		 "layer: 0 the file itself, 1 its parent. Where a parent "
		 "cannot be opened, what it would\nhold is shown as parent, "
		 "and the exit status tells.\n",
	.opts = options,
	.exec = exec_map,
};
