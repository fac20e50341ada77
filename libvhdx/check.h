/* SPDX-License-Identifier: MIT */
/*
 * Reporting what a check finds. A finding is a plain sentence with a severity,
 * the object and its file offset; it is told to the caller at once and counted
 * in the result. A finding that was mended counts as repaired only; `errors`
 * and `warnings` hold what remains.
 *
 * A check mends a thing first, makes it durable, and reports it then as
 * CHECK_FIXED; it reports CHECK_CAN_FIX where it was not asked to.
 */
#ifndef CHECK_H
#define CHECK_H

#include "image.h"

enum check_fix {
	CHECK_NO_FIX,  /* nothing safe can be done */
	CHECK_CAN_FIX, /* repair would mend it */
	CHECK_FIXED,   /* mended, and durably so */
};

/* May this run write to the file? */
static inline bool check_mending(const struct check *c)
{
	return c->repair && !c->dry_run;
}

/* What to report for something that is mended whenever writing is allowed. */
static inline enum check_fix check_fix_state(const struct check *c)
{
	return check_mending(c) ? CHECK_FIXED : CHECK_CAN_FIX;
}

/* The plural of "N things". */
static inline const char *check_s(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* off: file offset in bytes or ERR_NO_OFF; spec: section, "" or NULL. */
void check_say(struct check *c, enum vhdx_severity sev, enum check_fix fix,
	       enum vhdx_obj obj, uint64_t off, const char *spec,
	       const char *fmt, ...) printf_like(7, 8);

#define check_note(c, obj, off, spec, ...) \
	check_say((c), VHDX_SEV_NOTE, CHECK_NO_FIX, (obj), (off), (spec), \
		  __VA_ARGS__)
#define check_warn(c, obj, off, spec, ...) \
	check_say((c), VHDX_SEV_WARNING, CHECK_NO_FIX, (obj), (off), (spec), \
		  __VA_ARGS__)
#define check_error(c, obj, off, spec, ...) \
	check_say((c), VHDX_SEV_ERROR, CHECK_NO_FIX, (obj), (off), (spec), \
		  __VA_ARGS__)

/* An error that a decoder raised, as a finding. */
void check_say_err(struct check *c, enum vhdx_severity sev, enum check_fix fix,
		   const struct vhdx_err *why);

/* Many findings of one kind: the first ones are told in full, of the rest
 * only the number.
 *	if (check_in_full(&many))
 *		check_say(...);
 *	...
 *	check_rest(c, &many, sev, fix, obj, spec, "blocks beyond the end");
 */
#define CHECK_IN_FULL 20u

struct check_many {
	uint64_t cnt;
};

static inline bool check_in_full(struct check_many *m)
{
	return m->cnt++ < CHECK_IN_FULL;
}

/* Says "... and N more <what>." and counts N findings; nothing if N is 0. */
void check_rest(struct check *c, const struct check_many *m,
		enum vhdx_severity sev, enum check_fix fix, enum vhdx_obj obj,
		const char *spec, const char *what);

#endif
