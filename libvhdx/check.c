/* SPDX-License-Identifier: MIT */
/* Telling and counting findings: what all checkers share. */
#include "check.h"

#include <inttypes.h>
#include <stdarg.h>

static void count(struct check *c, enum vhdx_severity sev, enum check_fix fix,
		  uint64_t n)
{
	if (fix == CHECK_FIXED)
		c->result->repaired += n;
	else if (sev == VHDX_SEV_ERROR)
		c->result->errors += n;
	else if (sev == VHDX_SEV_WARNING)
		c->result->warnings += n;
	if (fix == CHECK_NO_FIX && sev == VHDX_SEV_ERROR)
		c->stuck_errors += n;
	if (fix == CHECK_NO_FIX && sev == VHDX_SEV_WARNING)
		c->stuck_warnings += n;
}

static void tell(struct check *c, enum vhdx_severity sev, enum check_fix fix,
		 enum vhdx_obj obj, uint64_t off, const char *spec,
		 const char *text)
{
	struct vhdx_finding f = {
		.severity = sev,
		.obj = obj,
		.off = off,
		.spec = spec ? spec : "",
		.text = text,
		.repairable = fix != CHECK_NO_FIX,
		.repaired = fix == CHECK_FIXED,
	};

	if (c->fn)
		c->fn(c->arg, &f);
}

void check_say(struct check *c, enum vhdx_severity sev, enum check_fix fix,
	       enum vhdx_obj obj, uint64_t off, const char *spec,
	       const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	count(c, sev, fix, 1);
	tell(c, sev, fix, obj, off, spec, text);
}

void check_say_err(struct check *c, enum vhdx_severity sev, enum check_fix fix,
		   const struct vhdx_err *why)
{
	check_say(c, sev, fix, why->obj, why->off, why->spec, "%s", why->text);
}

void check_rest(struct check *c, const struct check_many *m,
		enum vhdx_severity sev, enum check_fix fix, enum vhdx_obj obj,
		const char *spec, const char *what)
{
	uint64_t rest = m->cnt > CHECK_IN_FULL ? m->cnt - CHECK_IN_FULL : 0;
	char text[256];

	if (!rest)
		return;
	snprintf(text, sizeof(text), "... and %" PRIu64 " more %s", rest, what);
	count(c, sev, fix, rest);
	tell(c, sev, fix, obj, ERR_NO_OFF, spec, text);
}
