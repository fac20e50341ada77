/* SPDX-License-Identifier: MIT */
#include "compact_run.h"

#include "mem.h"

#define TELL_LEN MIB /* of work, between two calls of progress */

int crun_new(struct crun *r, const struct compact *how, struct file *f,
	     struct vhdx_err *e)
{
	r->how = how;
	r->r = how->result;
	r->file = f;
	r->moving = true;
	r->jobs = mem_array(CRUN_JOBS, sizeof(*r->jobs));
	r->bufs = mem_aligned(4096, CRUN_JOBS * SHIFT_BUF_LEN);
	if (!r->jobs || !r->bufs)
		return err_set(e, VHDX_E_NOMEM, "no memory to compact %s",
			       f->path);
	for (unsigned i = 0; i < CRUN_JOBS; i++) {
		r->jobs[i].run = r;
		r->jobs[i].s.buf = r->bufs + i * SHIFT_BUF_LEN;
	}
	return 0;
}

void crun_free(struct crun *r)
{
	mem_free(r->jobs);
	mem_free(r->bufs);
}

void crun_fail(struct crun *r, int res, const struct vhdx_err *err)
{
	if (!r->res) {
		r->res = res;
		r->err = *err;
	}
	r->stopped = true;
}

void crun_is_full(struct crun *r, const struct vhdx_err *err)
{
	r->full = true;
	r->moving = false;
	r->err = *err;
}

bool crun_is_busy(const struct crun *r, uint64_t from)
{
	for (unsigned i = 0; i < CRUN_JOBS; i++)
		if (r->jobs[i].busy && r->jobs[i].from == from)
			return true;
	return false;
}

static void job_done(struct shift *s)
{
	container_of(s, struct cjob, s)->over = true;
}

void crun_start(struct cjob *j, bool may_go)
{
	j->busy = true;
	j->over = false;
	j->s.file = j->run->file;
	j->s.done = job_done;
	j->s.empty_goes = may_go;
	if (j->run->how->dry_run && !may_go) {
		*j->s.work_len += j->s.len;
		j->s.res = 0;
		j->s.empty = false;
		j->over = true;
		return;
	}
	shift_start(&j->s);
}

unsigned crun_end_jobs(struct crun *r, void (*end)(struct cjob *j), bool *ended)
{
	unsigned cnt = 0;

	*ended = false;
	for (unsigned i = 0; i < CRUN_JOBS; i++) {
		struct cjob *j = &r->jobs[i];

		if (j->busy && j->over) {
			j->busy = false;
			end(j);
			*ended = true;
		}
		cnt += j->busy;
	}
	return cnt;
}

void crun_tell(struct crun *r)
{
	const struct vhdx_progress *p = &r->how->progress;
	struct vhdx_err e;

	if (!p->fn || r->work_len - r->told_len < TELL_LEN)
		return;
	r->told_len = r->work_len;
	if (!p->fn(p->arg, u64_min(r->work_len, r->total_len), r->total_len))
		return;
	(void)err_set(&e, VHDX_E_CANCELED, "%s: compacting was stopped; the "
		      "image is intact, and the same call goes on",
		      r->file->path);
	crun_fail(r, e.code, &e);
}

int crun_result(const struct crun *r, int rc, struct vhdx_err *e)
{
	if (r->res)
		return err_copy(e, &r->err, r->res);
	if (!rc && r->full)
		return err_set(e, VHDX_E_NOSPC, "%.300s; what could be dropped "
			       "has been, run it again", r->err.text);
	return rc;
}

void crun_count_dropped(struct crun *r, bool unused)
{
	if (unused)
		r->r->unused_cnt++;
	else
		r->r->zero_cnt++;
}
