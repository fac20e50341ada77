/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "check_chain.h"
#include "cmd.h"
#include "finding.h"
#include "out.h"

static void on_finding(void *arg, const struct vhdx_finding *f)
{
	finding_take(arg, NULL, f);
}

static int exec_check(const struct cmd *c, int argc, char **argv)
{
	struct check_args a = { .json = false };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (a.dry_run && !a.repair)
		return say_usage("--dry-run goes with --repair; a plain check "
				 "changes nothing");
	if (a.chain)
		return check_chain(pos[0], &a);
	if (a.search.cnt)
		return say_usage("--search goes with --chain; alone, a file is "
				 "checked without its parents");
	unsigned flags = a.repair ? VHDX_CHECK_REPAIR : 0;
	if (a.dry_run)
		flags |= VHDX_CHECK_DRY_RUN;
	struct tally t = { .list = a.json ? json_array() : NULL };
	struct vhdx_check_result r;
	struct vhdx_err err;
	if (vhdx_check(pos[0], flags, on_finding, &t, &r, &err)) {
		json_decref(t.list);
		/* "run check" would be no help from check itself. */
		if (err.code != VHDX_E_CORRUPT)
			return msg_err(pos[0], &err);
		return say_fail(STATUS_INTEGRITY, pos[0], "%s", err.text);
	}
	status = t.errors_left ? STATUS_INTEGRITY : STATUS_OK;
	if (a.json)
		return out_json(finding_json(pos[0], &t, &r)) ? STATUS_FAILED
							      : status;
	finding_summary(pos[0], &t, &r);
	finding_next_step("check", pos[0], a.repair, a.dry_run, &t);
	return status;
}

static const struct opt options[] = {
	{ "chain", OPT_FLAG, offsetof(struct check_args, chain), NULL,
	  "the image and all it stands on", NULL },
	OPT_SEARCH(struct check_args, search),
	OPT_JSON(struct check_args, json),
	{ "repair", OPT_FLAG, offsetof(struct check_args, repair), NULL,
	  "mend what can be mended without guessing", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct check_args, dry_run), NULL,
	  "with --repair: only say what it would do", NULL },
	OPT_END
};

const struct cmd cmd_check = {
	.name = "check",
	.synopsis = "[OPTIONS] FILE",
	.brief = "examine every structure of an image",
	.notes = "Exit status 0: sound (warnings may have been printed); 6: "
		 "there are errors that\nwere not repaired. Without --repair "
		 "nothing is changed.\n\n--chain checks every parent too, "
		 "and what holds them together; 3: one is missing,\n4: one is "
		 "busy. With --repair, a recorded path that no longer leads to "
		 "the\nparent is mended, if the parent was found otherwise "
		 "(--search).\n",
	.opts = options,
	.exec = exec_check,
};

/* The chain is what a path to the parent is mended by. */
static int exec_repair(const struct cmd *c, int argc, char **argv)
{
	struct check_args a = { .repair = true, .chain = true };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	return status == OPT_GO ? check_chain(pos[0], &a) : status;
}

static const struct opt repair_options[] = {
	OPT_SEARCH(struct check_args, search),
	OPT_JSON(struct check_args, json),
	{ "dry-run", OPT_FLAG, offsetof(struct check_args, dry_run), NULL,
	  "only say what it would do", NULL },
	OPT_END
};

const struct cmd cmd_repair = {
	.name = "repair",
	.synopsis = "[OPTIONS] FILE",
	.brief = "mend an image, what it stands on, and the paths between them",
	.notes = "The same as check --repair --chain: only what can be mended "
		 "without guessing.\n",
	.opts = repair_options,
	.exec = exec_repair,
};
