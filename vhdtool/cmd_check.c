/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cmd.h"
#include "out.h"

struct check_args {
	bool json;
	bool repair;
	bool dry_run;
};

/* What the findings amount to, counted here so that the words printed and the
 * exit status rest on the same numbers. */
struct tally {
	json_t *list; /* NULL: print as they come */
	uint64_t notes, warnings, errors;
	uint64_t repairable, repaired;
	uint64_t errors_left;
};

static const char *const severity_name[] = {
	[VHDX_SEV_NOTE] = "note",
	[VHDX_SEV_WARNING] = "warning",
	[VHDX_SEV_ERROR] = "error",
};

static void print_finding(const struct vhdx_finding *f)
{
	printf("%s: %s", severity_name[f->severity], f->text);
	bool has_off = f->off != UINT64_MAX;
	const char *obj = f->obj == VHDX_OBJ_NONE ? "" : vhdx_obj_name(f->obj);
	if (*obj || has_off || f->spec[0]) {
		const char *sep = " (";
		if (*obj) {
			printf("%s%s", sep, obj);
			sep = ", ";
		}
		if (has_off) {
			printf("%soffset %ju", sep, (uintmax_t)f->off);
			sep = ", ";
		}
		if (f->spec[0])
			printf("%ssection %s", sep, f->spec);
		putchar(')');
	}
	if (f->repaired)
		printf(" - repaired");
	else if (f->repairable)
		printf(" - repairable");
	putchar('\n');
}

static json_t *finding_json(const struct vhdx_finding *f)
{
	json_t *j = json_object();
	json_object_set_new(j, "severity",
			    json_string(severity_name[f->severity]));
	json_object_set_new(j, "object", json_string(vhdx_obj_name(f->obj)));
	if (f->off != UINT64_MAX)
		json_object_set_new(j, "offset", out_u64(f->off));
	if (f->spec[0])
		json_object_set_new(j, "section", out_string(f->spec));
	json_object_set_new(j, "text", out_string(f->text));
	json_object_set_new(j, "repairable", json_boolean(f->repairable));
	json_object_set_new(j, "repaired", json_boolean(f->repaired));
	return j;
}

static void on_finding(void *arg, const struct vhdx_finding *f)
{
	struct tally *t = arg;
	t->notes += f->severity == VHDX_SEV_NOTE;
	t->warnings += f->severity == VHDX_SEV_WARNING;
	t->errors += f->severity == VHDX_SEV_ERROR;
	t->errors_left += f->severity == VHDX_SEV_ERROR && !f->repaired;
	t->repaired += f->repaired;
	t->repairable += f->repairable && !f->repaired;
	if (t->list)
		json_array_append_new(t->list, finding_json(f));
	else
		print_finding(f);
}

static void print_summary(const char *path, const struct check_args *a,
			  const struct tally *t,
			  const struct vhdx_check_result *r)
{
	char buf[OUT_SIZE_LEN];
	printf("%s: %s, ", path, vhdx_format_name(r->format));
	printf("%s allocated", out_count(r->blocks_allocated, "block",
					 "blocks", buf));
	if (r->leaked_len)
		printf(", %s not used by anything",
		       out_size(r->leaked_len, buf));
	printf("; %s", out_count(t->errors, "error", "errors", buf));
	printf(", %s", out_count(t->warnings, "warning", "warnings", buf));
	if (t->repaired)
		printf("; %ju repaired", (uintmax_t)t->repaired);
	printf("%s\n", t->errors ? "" : ": the image is sound");
	if (r->log_dirty)
		printf("the log is dirty; what was checked is the content "
		       "after replay. To bring the file\nup to date: vhdtool "
		       "log replay %s\n", msg_shell_word(path));
	if (!t->repairable)
		return;
	if (a->repair && a->dry_run)
		printf("nothing was changed; to repair what is marked "
		       "repairable: vhdtool check --repair %s\n",
		       msg_shell_word(path));
	else if (!a->repair)
		printf("to see what a repair would do: vhdtool check --repair "
		       "--dry-run %s\n", msg_shell_word(path));
}

static json_t *to_json(const char *path, const struct tally *t,
		       const struct vhdx_check_result *r)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "format",
			    json_string(vhdx_format_name(r->format)));
	json_object_set_new(j, "errors", out_u64(t->errors));
	json_object_set_new(j, "errors_left", out_u64(t->errors_left));
	json_object_set_new(j, "warnings", out_u64(t->warnings));
	json_object_set_new(j, "repaired", out_u64(t->repaired));
	json_object_set_new(j, "blocks_allocated",
			    out_u64(r->blocks_allocated));
	json_object_set_new(j, "leaked_length", out_u64(r->leaked_len));
	json_object_set_new(j, "log_dirty", json_boolean(r->log_dirty));
	json_object_set_new(j, "findings", t->list);
	return j;
}

static int exec_check(const struct cmd *c, int argc, char **argv)
{
	struct check_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (a.dry_run && !a.repair)
		return msg_usage("--dry-run goes with --repair; a plain check "
				 "changes nothing");
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
		return msg_fail(STATUS_INTEGRITY, pos[0], "%s", err.text);
	}
	status = t.errors_left ? STATUS_INTEGRITY : STATUS_OK;
	if (a.json)
		return out_json(to_json(pos[0], &t, &r)) ? STATUS_FAILED
							 : status;
	print_summary(pos[0], &a, &t, &r);
	return status;
}

static const struct opt options[] = {
	{ "json", OPT_FLAG, offsetof(struct check_args, json), NULL,
	  "for programs", NULL },
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
		 "nothing is changed.\n",
	.opts = options,
	.exec = exec_check,
};
