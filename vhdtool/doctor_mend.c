/* SPDX-License-Identifier: MIT */
/*
 * What `doctor --apply` does: only what loses nothing and needs no choice. In
 * this order, with a new look at everything in between:
 *
 *  1. Dirty logs are replayed: the rest then sees the files as they are.
 *  2. Merges that were cut off are finished: they move links and names.
 *  3. Children whose parent was moved get its path: by identity, and only if
 *     there is no second file with that identity.
 *
 * A step that fails is reported and passed over; the look that follows still
 * lists its problem.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "intr.h"
#include "msg.h"
#include "out.h"
#include "vhdx_edit.h"

__attribute__((format(printf, 2, 3)))
static void tell(json_t *done, const char *fmt, ...)
{
	char text[8192];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (done) {
		json_array_append_new(done, out_string(text));
		return;
	}
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	printf("done: %s\n", text);
}

static void replay(const struct doctor_problem *p, json_t *done)
{
	struct vhdx_err err;
	uint64_t cnt;
	char buf[OUT_SIZE_LEN];
	if (vhdx_log_replay(p->path, &cnt, &err))
		(void)msg_err(p->path, &err);
	else
		tell(done, "%s: its log was replayed, %s", p->path,
		     out_count(cnt, "entry", "entries", buf));
}

static int keep_on(void *arg, uint64_t done_len, uint64_t total_len)
{
	(void)arg;
	(void)done_len;
	(void)total_len;
	return intr_caught();
}

static void finish_merge(const struct doctor_problem *p, json_t *done)
{
	struct vhdx_merge_opts opts = {
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)p->path,
		.progress = { keep_on, NULL },
	};
	struct vhdx_err err;
	char *child = strndup(p->path, strlen(p->path) - strlen(".merge"));
	if (!child)
		(void)say_fail(STATUS_FAILED, p->path, "out of memory");
	else if (vhdx_merge(child, &opts, NULL, &err))
		(void)msg_err(child, &err);
	else
		tell(done, "%s: its merge was finished", child);
	free(child);
}

static void record_path(const struct doctor *d, const struct doctor_problem *p,
			json_t *done)
{
	const char *parent = d->forest->images[p->parent].path;
	struct vhdx_set_parent_opts opts = {
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)p->path,
	};
	struct vhdx_check_result r;
	struct vhdx_err err;
	/* A damaged image is not to be written to; the report will tell. */
	if (vhdx_check(p->path, 0, NULL, NULL, &r, &err) || r.errors)
		return;
	if (vhdx_set_parent(p->path, parent, &opts, NULL, &err))
		(void)msg_err(p->path, &err);
	else
		tell(done, "%s: its parent is recorded as %s now", p->path,
		     parent);
}

static void mend(const struct doctor *d, const struct doctor_problem *p,
		 json_t *done)
{
	switch (p->mend) {
	case MEND_REPLAY:
		replay(p, done);
		break;
	case MEND_MERGE:
		finish_merge(p, done);
		break;
	case MEND_PATH:
		record_path(d, p, done);
		break;
	case MEND_NOTHING:
		break;
	}
}

int doctor_mend(const struct doctor_args *args, json_t *done)
{
	static const enum doctor_mend order[] = { MEND_REPLAY, MEND_MERGE,
						  MEND_PATH };
	int status = STATUS_OK;
	for (size_t k = 0; !status && k < sizeof(order) / sizeof(order[0]);
	     k++) {
		struct doctor d;
		status = doctor_find(&d, args, false);
		for (size_t i = 0; !status && i < d.problem_cnt; i++)
			if (d.problems[i].mend == order[k] && !intr_caught())
				mend(&d, &d.problems[i], done);
		doctor_free(&d);
	}
	return status;
}
