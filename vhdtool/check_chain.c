/* SPDX-License-Identifier: MIT */
#include "check_chain.h"

#include <stdio.h>
#include <string.h>

#include "finding.h"
#include "msg.h"
#include "out.h"
#include "vhdx_chain.h"

struct show {
	struct tally layer, sum;
	json_t *layers; /* NULL: print */
};

static void on_finding(void *arg, unsigned depth, const char *path,
		       const struct vhdx_finding *f)
{
	struct show *s = arg;
	(void)depth;
	if (s->layers && !s->layer.list)
		s->layer.list = json_array();
	finding_take(&s->layer, path, f);
}

static void on_layer(void *arg, unsigned depth, const char *path,
		     const struct vhdx_check_result *r)
{
	struct show *s = arg;
	struct tally *t = &s->layer;
	s->sum.errors += t->errors;
	s->sum.errors_left += t->errors_left;
	s->sum.warnings += t->warnings;
	s->sum.repairable += t->repairable;
	s->sum.repaired += t->repaired;
	if (s->layers) {
		if (!t->list)
			t->list = json_array();
		json_t *j = finding_json(path, t, r);
		json_object_set_new(j, "depth", out_u64(depth));
		json_array_append_new(s->layers, j);
	} else {
		finding_summary(path, t, r);
	}
	*t = (struct tally){ .list = NULL };
}

static int print_json(const char *path, const struct show *s,
		      const struct vhdx_chain_check_result *r)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "complete", json_boolean(!r->broken.code));
	json_object_set_new(j, "errors", out_u64(s->sum.errors));
	json_object_set_new(j, "errors_left", out_u64(s->sum.errors_left));
	json_object_set_new(j, "warnings", out_u64(s->sum.warnings));
	json_object_set_new(j, "repaired", out_u64(s->sum.repaired));
	json_object_set_new(j, "layers", s->layers);
	if (r->broken.code)
		json_object_set_new(j, "problem", out_error(&r->broken));
	return out_json(j);
}

static void print_text(const char *path, const struct check_args *a,
		       const struct show *s,
		       const struct vhdx_chain_check_result *r)
{
	char buf[OUT_SIZE_LEN];
	printf("chain of %s%s", out_count(r->layer_cnt, "image", "images",
					  buf),
	       r->broken.code ? ", incomplete" : "");
	printf("; %s", out_count(s->sum.errors, "error", "errors", buf));
	printf(", %s", out_count(s->sum.warnings, "warning", "warnings", buf));
	if (s->sum.repaired)
		printf("; %ju repaired", (uintmax_t)s->sum.repaired);
	printf("%s\n", s->sum.errors ? "" : ": the chain is sound");
	char command[8192] = "check --chain";
	for (unsigned i = 0; i < a->search.cnt; i++) {
		size_t n = strlen(command);
		snprintf(command + n, sizeof(command) - n, " --search %s",
			 msg_shell_word(a->search.v[i]));
	}
	finding_next_step(command, path, a->repair, a->dry_run, &s->sum);
}

/* A parent that is missing, or busy, has a status of its own, unless something
 * is damaged besides. */
static int status_of(const struct show *s,
		     const struct vhdx_chain_check_result *r)
{
	int broken = say_exit_status(r->broken.code);
	switch (r->broken.code) {
	case VHDX_OK:
	case VHDX_E_NOPARENT:
	case VHDX_E_BUSY:
	case VHDX_E_PERM:
	case VHDX_E_IO:
		return s->sum.errors_left > (broken ? 1 : 0) ? STATUS_INTEGRITY
							     : broken;
	default:
		return STATUS_INTEGRITY;
	}
}

int check_chain(const char *path, const struct check_args *a)
{
	struct show s = { .layers = a->json ? json_array() : NULL };
	struct vhdx_chain_check_opts opts = {
		.flags = (a->repair ? VHDX_CHECK_REPAIR : 0) |
			 (a->dry_run ? VHDX_CHECK_DRY_RUN : 0),
		.search = a->search.v,
		.search_cnt = a->search.cnt,
		.finding = on_finding,
		.layer = on_layer,
		.arg = &s,
	};
	struct vhdx_chain_check_result r;
	struct vhdx_err err;
	if (vhdx_check_chain(path, &opts, &r, &err)) {
		json_decref(s.layers);
		json_decref(s.layer.list);
		if (err.code != VHDX_E_CORRUPT)
			return msg_err(path, &err);
		return say_fail(STATUS_INTEGRITY, path, "%s", err.text);
	}
	if (a->json && print_json(path, &s, &r))
		return STATUS_FAILED;
	if (!a->json)
		print_text(path, a, &s, &r);
	return status_of(&s, &r);
}
