/* SPDX-License-Identifier: MIT */
/*
 * merge: the library says what it is going to do with each file before it does
 * it; that is kept as JSON, and printed as text or as it is.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "intr.h"
#include "out.h"
#include "progress.h"
#include "vhdx_chain.h"

struct merge_args {
	struct opt_list search, children;
	const char *into;
	uint64_t depth;
	int progress;
	bool keep, force, dry_run, json;
};

struct job {
	const struct merge_args *args;
	const char *child;
	const char *target; /* borrowed from `root` */
	json_t *root, *layers, *grandchildren, *siblings, *unknown;
	bool began; /* progress */
};

/* ---- what the library tells ---------------------------------------------- */

static void note_layer(struct job *j, const struct vhdx_merge_file *f)
{
	json_t *o = json_object();
	json_object_set_new(o, "path", out_string(f->path));
	json_object_set_new(o, "data", out_u64(f->data_len));
	json_object_set_new(o, "zeros", out_u64(f->zero_len));
	json_object_set_new(o, "removed", json_boolean(f->goes));
	json_array_append_new(j->layers, o);
}

static void note_file(void *arg, const struct vhdx_merge_file *f)
{
	struct job *j = arg;
	json_t *o;
	switch (f->role) {
	case VHDX_MERGE_LAYER:
		note_layer(j, f);
		break;
	case VHDX_MERGE_TARGET:
		json_object_set_new(j->root, "target", out_string(f->path));
		j->target = json_string_value(json_object_get(j->root,
							      "target"));
		break;
	case VHDX_MERGE_GRANDCHILD:
		json_array_append_new(j->grandchildren, out_string(f->path));
		break;
	case VHDX_MERGE_SIBLING:
		json_array_append_new(j->siblings, out_string(f->path));
		break;
	case VHDX_MERGE_UNKNOWN:
		o = json_object();
		json_object_set_new(o, "path", out_string(f->path));
		json_object_set_new(o, "error", out_error(f->err));
		json_array_append_new(j->unknown, o);
		break;
	}
}

static int note_progress(void *arg, uint64_t done_len, uint64_t total_len)
{
	struct job *j = arg;
	if (!j->began)
		progress_begin((enum progress_mode)j->args->progress, "merge",
			       total_len);
	j->began = true;
	progress_update(done_len);
	return intr_caught();
}

/* ---- text ---------------------------------------------------------------- */

static void print_paths(const json_t *list, const char *what)
{
	size_t i;
	const json_t *v;
	json_array_foreach(list, i, v)
		printf("%s: %s\n", out_clean(json_string_value(v)), what);
}

static void print_layers(const struct job *j)
{
	char data[OUT_SIZE_LEN], zeros[OUT_SIZE_LEN];
	bool dry = j->args->dry_run;
	size_t i;
	const json_t *v;
	json_array_foreach(j->layers, i, v) {
		const char *path =
			json_string_value(json_object_get(v, "path"));
		uint64_t data_len = (uint64_t)json_integer_value(
			json_object_get(v, "data"));
		uint64_t zero_len = (uint64_t)json_integer_value(
			json_object_get(v, "zeros"));
		printf("%s: %s of data and %s of zeros, %s\n", out_clean(path),
		       out_size(data_len, data), out_size(zero_len, zeros),
		       json_is_true(json_object_get(v, "removed")) ?
		       dry ? "would be removed" : "removed" : "kept");
	}
}

static void print_text(const struct job *j, const struct vhdx_merge_result *r)
{
	char a[OUT_SIZE_LEN], b[OUT_SIZE_LEN];
	bool dry = j->args->dry_run;
	if (!j->target) /* only links and names were left to do */
		printf("%s: the merge %s\n", out_clean(j->child),
		       dry ? "would be finished" : "is finished");
	else
		printf("%s %s into %s%s\n", dry ? "would merge" : "merged",
		       out_clean(j->child), out_clean(j->target), r->resumed ?
		       ", a merge that was cut off" : "");
	print_layers(j);
	print_paths(j->grandchildren, dry ? "its child, would be re-linked" :
		    "its child, re-linked");
	print_paths(j->siblings, dry ? "would be broken" : "is broken now");
	if (!dry)
		return;
	printf("needs %s on the host", out_size(r->need_len, a));
	if (r->free_len != UINT64_MAX)
		printf(", of %s free", out_size(r->free_len, b));
	printf("; blocks to allocate: %s\n", out_size(r->alloc_len, a));
}

/* ---- the command --------------------------------------------------------- */

static void add_result(struct job *j, const struct vhdx_merge_result *r,
		       const struct vhdx_err *err)
{
	json_object_set_new(j->root, "dry_run", json_boolean(j->args->dry_run));
	json_object_set_new(j->root, "resumed", json_boolean(r->resumed));
	json_object_set_new(j->root, "data", out_u64(r->data_len));
	json_object_set_new(j->root, "zeros", out_u64(r->zero_len));
	json_object_set_new(j->root, "need", out_u64(r->need_len));
	json_object_set_new(j->root, "allocate", out_u64(r->alloc_len));
	if (r->free_len != UINT64_MAX)
		json_object_set_new(j->root, "free", out_u64(r->free_len));
	json_object_set_new(j->root, "removed_files",
			    out_u64(r->removed_cnt));
	json_object_set_new(j->root, "relinked_files",
			    out_u64(r->relinked_cnt));
	if (err->code)
		json_object_set_new(j->root, "error", out_error(err));
}

static void begin(struct job *j)
{
	j->root = json_object();
	j->layers = json_array();
	j->grandchildren = json_array();
	j->siblings = json_array();
	j->unknown = json_array();
	json_object_set_new(j->root, "child", out_string(j->child));
	json_object_set_new(j->root, "layers", j->layers);
	json_object_set_new(j->root, "grandchildren", j->grandchildren);
	json_object_set_new(j->root, "siblings", j->siblings);
	json_object_set_new(j->root, "unknown", j->unknown);
}

/* All that stands in the way, not just the first of it. */
static void tell_obstacles(const struct job *j, const struct vhdx_err *err)
{
	size_t i;
	const json_t *v;
	if (err->code == VHDX_E_LINKAGE && !j->args->dry_run)
		json_array_foreach(j->siblings, i, v)
			say_note(json_string_value(v),
				 "would be broken by the merge");
	json_array_foreach(j->unknown, i, v) {
		const json_t *e = json_object_get(v, "error");
		say_note(json_string_value(json_object_get(v, "path")),
			 "%s%s", "whether it is a child cannot be told: ",
			 json_string_value(json_object_get(e, "text")));
	}
}

static int run(struct job *j)
{
	const struct merge_args *a = j->args;
	const struct vhdx_merge_opts opts = {
		.into = a->into,
		.depth = (unsigned)a->depth,
		.keep = a->keep,
		.force = a->force,
		.dry_run = a->dry_run,
		.children = a->children.cnt ? a->children.v : NULL,
		.children_cnt = a->children.cnt,
		.search = a->search.v,
		.search_cnt = a->search.cnt,
		.file = note_file,
		.file_arg = j,
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)j->child,
		.progress = { note_progress, j },
	};
	struct vhdx_merge_result res;
	struct vhdx_err err = { 0 };
	int code = vhdx_merge(j->child, &opts, &res, &err);
	progress_end(code == 0);
	if (a->json) {
		add_result(j, &res, &err);
		int status = out_json(json_incref(j->root));
		return code ? msg_err(j->child, &err) : status;
	}
	/* A dry run that ends in a refusal still tells what it has found. */
	if (!code || (a->dry_run && j->target))
		print_text(j, &res);
	if (!code)
		return STATUS_OK;
	tell_obstacles(j, &err);
	return msg_err(j->child, &err);
}

static int exec_merge(const struct cmd *c, int argc, char **argv)
{
	struct merge_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (a.into && a.depth)
		return say_usage("--into and --depth say the same: give one");
	if (a.depth > 255)
		return say_usage("--depth %ju: at most 255",
				 (uintmax_t)a.depth);
	if (!a.dry_run && !intr_catch())
		return STATUS_FAILED;
	struct job j = { .args = &a, .child = pos[0] };
	begin(&j);
	status = run(&j);
	json_decref(j.root);
	return status;
}

static const struct opt options[] = {
	{ "into", OPT_STRING, offsetof(struct merge_args, into), "ANCESTOR",
	  "into this ancestor, with all files in between", NULL },
	{ "depth", OPT_COUNT, offsetof(struct merge_args, depth), "N",
	  "into the N-th ancestor; 1, its parent, is the default", NULL },
	{ "keep", OPT_FLAG, offsetof(struct merge_args, keep), NULL,
	  "remove nothing; CHILD stays and goes on working", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct merge_args, dry_run), NULL,
	  "only say what would be done and what it needs", NULL },
	{ "children", OPT_LIST, offsetof(struct merge_args, children), "FILE",
	  "look for other children among these, not in the folders", NULL },
	{ "force", OPT_FLAG, offsetof(struct merge_args, force), NULL,
	  "even if other children are broken by it", NULL },
	OPT_PROGRESS(struct merge_args, progress),
	OPT_JSON(struct merge_args, json),
	OPT_SEARCH(struct merge_args, search),
	OPT_END
};

const struct cmd cmd_merge = {
	.name = "merge",
	.synopsis = "[OPTIONS] CHILD",
	.brief = "put what a child holds into its parent, and remove it",
	.notes = "Only what CHILD holds is copied. Its own children are "
		 "re-linked to the parent. At\nany instant, power failure "
		 "included, the chain opens and shows the same disk; a\nmerge "
		 "that was stopped is finished by the same command. Other "
		 "children of the\nparent would be broken: they are looked for "
		 "in the folders of the files, and\nthe merge is refused if "
		 "there are any.\n",
	.opts = options,
	.exec = exec_merge,
};
