/* SPDX-License-Identifier: MIT */
#include "finding.h"

#include <stdio.h>

#include "msg.h"
#include "out.h"

static const char *const severity_name[] = {
	[VHDX_SEV_NOTE] = "note",
	[VHDX_SEV_WARNING] = "warning",
	[VHDX_SEV_ERROR] = "error",
};

static void print_one(const char *subject, const struct vhdx_finding *f)
{
	if (subject)
		printf("%s: ", out_clean(subject));
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

static json_t *one_json(const struct vhdx_finding *f)
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

void finding_take(struct tally *t, const char *subject,
		  const struct vhdx_finding *f)
{
	t->notes += f->severity == VHDX_SEV_NOTE;
	t->warnings += f->severity == VHDX_SEV_WARNING;
	t->errors += f->severity == VHDX_SEV_ERROR;
	t->errors_left += f->severity == VHDX_SEV_ERROR && !f->repaired;
	t->repaired += f->repaired;
	t->repairable += f->repairable && !f->repaired;
	if (t->list)
		json_array_append_new(t->list, one_json(f));
	else
		print_one(subject, f);
}

void finding_summary(const char *path, const struct tally *t,
		     const struct vhdx_check_result *r)
{
	char buf[OUT_SIZE_LEN];
	printf("%s: %s, ", out_clean(path),
	       vhdx_format_name(r->format));
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
}

void finding_next_step(const char *command, const char *path, bool repair,
		       bool dry_run, const struct tally *t)
{
	if (!t->repairable)
		return;
	if (repair && dry_run)
		printf("nothing was changed; to repair what is marked "
		       "repairable: vhdtool %s --repair %s\n", command,
		       msg_shell_word(path));
	else if (!repair)
		printf("to see what a repair would do: vhdtool %s --repair "
		       "--dry-run %s\n", command, msg_shell_word(path));
}

json_t *finding_json(const char *path, const struct tally *t,
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
