/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "msg.h"
#include "out.h"

static const char *const severity_name[] = {
	[VHDX_SEV_NOTE] = "note",
	[VHDX_SEV_WARNING] = "warning",
	[VHDX_SEV_ERROR] = "error",
};

/* The names in a folder are anybody's: no control character gets out. */
static void put_text(const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		putchar(c < 0x20 || c == 0x7f ? '?' : c);
	}
}

/* In capitals what keeps it from being used. */
static const char *health(const struct doctor *d, size_t i)
{
	const struct vhdx_found *im = &d->forest->images[i];
	const struct doctor_node *n = &d->nodes[i];
	if (im->code == VHDX_E_BUSY)
		return "in use";
	if (im->code)
		return "CANNOT BE OPENED";
	if (n->check_code || n->errors)
		return "DAMAGED";
	if (im->circle)
		return "IN A CIRCLE";
	if (im->linkage_cnt && im->parent == VHDX_NO_IMAGE)
		return "WITHOUT ITS PARENT";
	if (im->linkage_cnt && !im->by_path)
		return "PARENT MOVED";
	if (n->broken)
		return "its chain is broken";
	return im->info.log_dirty ? "ok, its log is dirty" : "ok";
}

/* ---- text --------------------------------------------------------------- */

#define DRAWN_MAX 64u /* deeper ones only have their depth shown */

/* "|   " for each ancestor that has more children, and the branch. */
static void put_branch(const struct doctor *d, size_t i, unsigned depth)
{
	const struct doctor_node *n = d->nodes;
	if (depth > DRAWN_MAX) {
		printf("%*s%u: ", 4 * (int)DRAWN_MAX, "", depth);
		return;
	}
	for (unsigned up = depth; up > 0; up--) {
		size_t at = i;
		for (unsigned k = 1; k < up; k++)
			at = n[at].parent;
		bool more = n[at].next != VHDX_NO_IMAGE;
		if (up == 1)
			fputs(more ? "|-- " : "`-- ", stdout);
		else
			fputs(more ? "|   " : "    ", stdout);
	}
}

static void print_image(const struct doctor *d, size_t i, unsigned depth)
{
	const struct vhdx_found *im = &d->forest->images[i];
	char size[OUT_SIZE_LEN], host[OUT_SIZE_LEN];
	put_branch(d, i, depth);
	put_text(im->path);
	if (im->known)
		printf(": %s %s, %s, %s on the host",
		       vhdx_type_name(im->info.type),
		       vhdx_format_name(im->info.format),
		       out_human(im->info.size_len, size),
		       out_human(im->info.host_len, host));
	printf(": %s\n", health(d, i));
}

static void print_problem(const struct doctor_problem *p)
{
	printf("%s: ", severity_name[p->severity]);
	put_text(p->path);
	fputs(": ", stdout);
	put_text(p->text);
	putchar('\n');
	if (p->command)
		printf("    %s\n", p->command);
}

static void print_merges(const struct doctor *d)
{
	char frees[OUT_SIZE_LEN], needs[OUT_SIZE_LEN], lacks[OUT_SIZE_LEN];
	if (d->merge_cnt)
		printf("what could be merged, if the older state is not needed "
		       "any more:\n");
	for (size_t i = 0; i < d->merge_cnt; i++) {
		const struct doctor_merge *m = &d->merges[i];
		printf("    %s\n        into ", m->command);
		put_text(d->forest->images[m->target].path);
		printf(": frees %s, needs at most %s before that",
		       out_human(m->frees_len, frees),
		       out_human(m->needs_len, needs));
		if (m->lacks_len)
			printf(", of which %s are MISSING",
			       out_human(m->lacks_len, lacks));
		putchar('\n');
	}
}

static void print_apply(const struct doctor_args *a, size_t safe_cnt)
{
	printf("%zu of these can be mended without a risk by: vhdtool doctor "
	       "--apply", safe_cnt);
	if (a->recursive)
		fputs(" --recursive", stdout);
	for (unsigned i = 0; i < a->search.cnt; i++)
		printf(" --search %s", msg_shell_word(a->search.v[i]));
	for (unsigned i = 0; i < a->folder_cnt; i++)
		printf(" %s", msg_shell_word(a->folders[i]));
	for (unsigned i = 0; i < a->file_cnt; i++)
		printf(" %s", msg_shell_word(a->files[i]));
	putchar('\n');
}

void doctor_print(const struct doctor *d)
{
	char images[OUT_SIZE_LEN], errors[OUT_SIZE_LEN], warnings[OUT_SIZE_LEN];
	size_t image_cnt = 0, safe_cnt = 0;
	unsigned depth;
	for (size_t i = doctor_next(d, VHDX_NO_IMAGE, &depth);
	     i != VHDX_NO_IMAGE; i = doctor_next(d, i, &depth)) {
		print_image(d, i, depth);
		image_cnt++;
	}
	if (image_cnt)
		putchar('\n');
	for (size_t i = 0; i < d->problem_cnt; i++) {
		print_problem(&d->problems[i]);
		safe_cnt += d->problems[i].mend != MEND_NOTHING;
	}
	print_merges(d);
	printf("%s, %s, %s%s\n", out_count(image_cnt, "image", "images",
					   images),
	       out_count(d->errors, "error", "errors", errors),
	       out_count(d->warnings, "warning", "warnings", warnings),
	       d->problem_cnt ? "" : ": all is well");
	if (safe_cnt && !d->args->apply)
		print_apply(d->args, safe_cnt);
}

/* ---- JSON --------------------------------------------------------------- */

static json_t *path_json(const struct doctor *d, size_t i)
{
	return i == VHDX_NO_IMAGE ? json_null()
				  : out_string(d->forest->images[i].path);
}

static json_t *image_json(const struct doctor *d, size_t i)
{
	const struct vhdx_found *im = &d->forest->images[i];
	const struct doctor_node *n = &d->nodes[i];
	char id[OUT_GUID_LEN];
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(im->path));
	json_object_set_new(j, "health", json_string(health(d, i)));
	json_object_set_new(j, "opens", json_boolean(!n->broken && !im->code));
	if (im->err)
		json_object_set_new(j, "problem", out_error(im->err));
	if (!im->known)
		return j;
	const struct vhdx_info *info = &im->info;
	json_object_set_new(j, "format",
			    json_string(vhdx_format_name(info->format)));
	json_object_set_new(j, "type", json_string(vhdx_type_name(info->type)));
	json_object_set_new(j, "virtual_size", out_u64(info->size_len));
	json_object_set_new(j, "file_length", out_u64(info->file_len));
	json_object_set_new(j, "host_length", out_u64(info->host_len));
	json_object_set_new(j, "link_id",
			    json_string(out_guid(im->identity, info->format,
						 id)));
	json_object_set_new(j, "parent", path_json(d, im->parent));
	json_object_set_new(j, "log_dirty", json_boolean(info->log_dirty));
	json_object_set_new(j, "errors", out_u64(n->errors));
	return j;
}

static json_t *problem_json(const struct doctor_problem *p)
{
	json_t *j = json_object();
	json_object_set_new(j, "severity",
			    json_string(severity_name[p->severity]));
	json_object_set_new(j, "kind", json_string(p->kind));
	json_object_set_new(j, "file", out_string(p->path));
	json_object_set_new(j, "text", out_string(p->text));
	if (p->command)
		json_object_set_new(j, "command", out_string(p->command));
	json_object_set_new(j, "safe", json_boolean(p->mend != MEND_NOTHING));
	return j;
}

static json_t *merge_json(const struct doctor *d, const struct doctor_merge *m)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", path_json(d, m->child));
	json_object_set_new(j, "into", path_json(d, m->target));
	json_object_set_new(j, "depth", out_u64(m->depth));
	json_object_set_new(j, "frees", out_u64(m->frees_len));
	json_object_set_new(j, "needs", out_u64(m->needs_len));
	json_object_set_new(j, "lacks", out_u64(m->lacks_len));
	json_object_set_new(j, "command", out_string(m->command));
	return j;
}

int doctor_print_json(const struct doctor *d, json_t *done)
{
	json_t *j = json_object(), *images = json_array();
	json_t *problems = json_array(), *merges = json_array();
	unsigned depth;
	for (size_t i = doctor_next(d, VHDX_NO_IMAGE, &depth);
	     i != VHDX_NO_IMAGE; i = doctor_next(d, i, &depth))
		json_array_append_new(images, image_json(d, i));
	for (size_t i = 0; i < d->problem_cnt; i++)
		json_array_append_new(problems, problem_json(&d->problems[i]));
	for (size_t i = 0; i < d->merge_cnt; i++)
		json_array_append_new(merges, merge_json(d, &d->merges[i]));
	json_object_set_new(j, "errors", out_u64(d->errors));
	json_object_set_new(j, "warnings", out_u64(d->warnings));
	json_object_set_new(j, "images", images);
	json_object_set_new(j, "problems", problems);
	json_object_set_new(j, "merges", merges);
	if (done)
		json_object_set_new(j, "done", done);
	return out_json(j);
}
