/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cmd.h"
#include "img.h"
#include "out.h"
#include "vhdx_edit.h"

struct set_parent_args {
	struct opt_list search;
	bool ignore_id;
	bool dry_run;
	bool json;
};

static int print_json(const char *child, const char *parent,
		      const struct set_parent_args *a,
		      const struct vhdx_set_parent_result *r)
{
	char id[OUT_GUID_LEN];
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(child));
	json_object_set_new(j, "parent", out_string(parent));
	json_object_set_new(j, "parent_id",
			    json_string(out_guid(r->id, r->format, id)));
	json_object_set_new(j, "id_matched", json_boolean(r->id_matched));
	if (!a->dry_run)
		json_object_set_new(j, "changed", json_boolean(r->changed));
	json_object_set_new(j, "dry_run", json_boolean(a->dry_run));
	return out_json(j);
}

static int print_text(const char *child, const char *parent,
		      const struct set_parent_args *a,
		      const struct vhdx_set_parent_result *r)
{
	char id[OUT_GUID_LEN];
	out_guid(r->id, r->format, id);
	child = out_clean(child);
	parent = out_clean(parent);
	const char *proof = r->id_matched ? "as the child names it"
					  : "not the one that the child named";
	if (a->dry_run)
		printf("%s: would record the parent %s, id %s, %s; nothing was "
		       "changed\n", child, parent, id, proof);
	else if (r->changed)
		printf("%s: its parent is %s, id %s, %s\n", child, parent, id,
		       proof);
	else
		printf("%s: its parent was recorded as %s already; nothing was "
		       "changed\n", child, parent);
	return STATUS_OK;
}

static int exec_set_parent(const struct cmd *c, int argc, char **argv)
{
	struct set_parent_args a = { .json = false };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 2, 2, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	struct vhdx_set_parent_opts opts = {
		.ignore_id = a.ignore_id,
		.dry_run = a.dry_run,
		.search = a.search.v,
		.search_cnt = a.search.cnt,
		.msg = say_from_library,
		.msg_arg = pos[0],
	};
	struct vhdx_set_parent_result r;
	struct vhdx_err err;
	if (vhdx_set_parent(pos[0], pos[1], &opts, &r, &err))
		return msg_err(pos[0], &err);
	return a.json ? print_json(pos[0], pos[1], &a, &r)
		      : print_text(pos[0], pos[1], &a, &r);
}

static const struct opt options[] = {
	{ "ignore-id-mismatch", OPT_FLAG,
	  offsetof(struct set_parent_args, ignore_id), NULL,
	  "take PARENT whatever its id", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct set_parent_args, dry_run), NULL,
	  "only prove that it can be done", NULL },
	OPT_JSON(struct set_parent_args, json),
	OPT_SEARCH(struct set_parent_args, search),
	OPT_END
};

const struct cmd cmd_set_parent = {
	.name = "set-parent",
	.synopsis = "[OPTIONS] CHILD PARENT",
	.brief = "record where the parent of a child is",
	.notes = "PARENT must be the one that CHILD was made of, by its id: a "
		 "parent that was\nmoved or renamed. One that was written to "
		 "has another id;\n--ignore-id-mismatch takes it all the same, "
		 "and what CHILD does not hold\nitself is then what PARENT "
		 "holds now.\n",
	.opts = options,
	.exec = exec_set_parent,
};
