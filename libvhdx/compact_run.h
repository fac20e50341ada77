/* SPDX-License-Identifier: MIT */
/*
 * What compacting has in common for all formats (vhdx_compact.c,
 * vhd1_compact.c): a few jobs side by side, each of which looks at a piece of
 * the file or copies it; how far the work is; and the first failure, after
 * which nothing new begins. What a piece is, and what becomes of it, is the
 * format's.
 */
#ifndef COMPACT_RUN_H
#define COMPACT_RUN_H

#include "image.h"
#include "shift.h"

#define CRUN_JOBS 8u

struct crun;

struct cjob {
	struct shift s;
	struct crun *run;
	uint64_t from, to; /* as the format counts places */
	bool moves;	   /* to `to`; else it is only looked at */
	bool busy, over;
};

struct crun {
	const struct compact *how;
	struct vhdx_compact_result *r;
	struct file *file;
	bool stopped; /* no new jobs */
	bool moving;  /* more may come down */
	bool full;    /* the host is */
	uint64_t work_len, told_len, total_len, lost_len;
	int res; /* first failure */
	struct vhdx_err err;
	struct cjob *jobs; /* owned; CRUN_JOBS */
	uint8_t *bufs;	   /* owned; SHIFT_BUF_LEN each */
};

/* f is borrowed. After a failure, too, crun_free(). */
int crun_new(struct crun *r, const struct compact *how, struct file *f,
	     struct vhdx_err *e) must_check;
void crun_free(struct crun *r);

void crun_fail(struct crun *r, int res, const struct vhdx_err *err);

/* The host has no room for copies: dropping goes on, and makes room for another
 * run. */
void crun_is_full(struct crun *r, const struct vhdx_err *err);

/* Is what lies there in a job's hands? */
bool crun_is_busy(const struct crun *r, uint64_t from);

/* Begins j; j->s has its places and lengths. In a dry run only what may go is
 * looked at. */
void crun_start(struct cjob *j, bool may_go);

/* How many jobs are under way; end() is called for those that are over. */
unsigned crun_end_jobs(struct crun *r, void (*end)(struct cjob *j),
		       bool *ended);

/* Tells how far it is, which may stop it. */
void crun_tell(struct crun *r);

/* The whole's result; rc: of what was left to do at the end. */
int crun_result(const struct crun *r, int rc, struct vhdx_err *e);

/* A block was dropped, for what j saw. */
void crun_count_dropped(struct crun *r, bool unused);

#endif
