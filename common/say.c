/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static const struct {
	int status, en;
} meaning[] = {
	[VHDX_OK] = { STATUS_OK, 0 },
	[VHDX_E_INVAL] = { STATUS_USAGE, EINVAL },
	[VHDX_E_IO] = { STATUS_FAILED, EIO },
	[VHDX_E_CORRUPT] = { STATUS_INTEGRITY, EIO },
	[VHDX_E_NEEDS_REPLAY] = { STATUS_INTEGRITY, EIO },
	[VHDX_E_NOPARENT] = { STATUS_NOTFOUND, EIO },
	[VHDX_E_LINKAGE] = { STATUS_INTEGRITY, EIO },
	[VHDX_E_UNSUPPORTED] = { STATUS_FAILED, EOPNOTSUPP },
	[VHDX_E_READONLY] = { STATUS_FAILED, EROFS },
	[VHDX_E_BUSY] = { STATUS_BUSY, EBUSY },
	[VHDX_E_NOSPC] = { STATUS_NOSPC, ENOSPC },
	[VHDX_E_RANGE] = { STATUS_FAILED, EINVAL },
	[VHDX_E_NOMEM] = { STATUS_FAILED, ENOMEM },
	[VHDX_E_CANCELED] = { STATUS_FAILED, EINTR },
	[VHDX_E_FAILED] = { STATUS_FAILED, EIO },
	[VHDX_E_NOTFOUND] = { STATUS_NOTFOUND, ENOENT },
	[VHDX_E_EXISTS] = { STATUS_FAILED, EEXIST },
	[VHDX_E_PERM] = { STATUS_FAILED, EACCES },
};

#define CODES (sizeof(meaning) / sizeof(meaning[0]))

static const char *program = "vhdkit";
static void (*before_line)(void);
static bool in_background;

void say_init(const char *prog, void (*before)(void))
{
	program = prog;
	before_line = before;
}

void say_in_background(void)
{
	openlog(program, LOG_PID, LOG_DAEMON);
	in_background = true;
}

static bool is_known(int code)
{
	return code >= 0 && (size_t)code < CODES;
}

int say_exit_status(int code)
{
	return is_known(code) ? meaning[code].status : STATUS_FAILED;
}

int say_errno(const struct vhdx_err *e)
{
	return is_known(e->code) ? meaning[e->code].en : EIO;
}

int say_code_of(const char *name)
{
	for (int code = 0; code < (int)CODES; code++)
		if (strcmp(vhdx_code_name(code), name) == 0)
			return code;
	return VHDX_E_FAILED;
}

/* One line whatever the text holds: neither a file name nor a guest must be
 * able to move the cursor or to fake a second message. One write, so that
 * threads do not mix. */
static void print(int priority, const char *subject, const char *fmt,
		  va_list ap)
{
	int saved = errno;
	char text[1024], line[4096 + 3 + sizeof(text)];
	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "%.4096s%s%s", subject ? subject : "",
		 subject ? ": " : "", text);
	for (char *p = line; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c == 0x7f)
			*p = '?';
	}
	if (before_line)
		before_line();
	if (in_background)
		syslog(priority, "%s", line);
	else
		fprintf(stderr, "%s: %s\n", program, line);
	errno = saved;
}

int say_fail(int status, const char *subject, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print(LOG_ERR, subject, fmt, ap);
	va_end(ap);
	return status;
}

int say_usage(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print(LOG_ERR, NULL, fmt, ap);
	va_end(ap);
	return STATUS_USAGE;
}

void say_note(const char *subject, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print(LOG_NOTICE, subject, fmt, ap);
	va_end(ap);
}

/* The library names the file in some of its texts; once is enough. */
static const char *without(const char *path, const char *text)
{
	size_t n = path ? strlen(path) : 0;
	bool named = n && strncmp(text, path, n) == 0 &&
		     strncmp(text + n, ": ", 2) == 0;
	return named ? text + n + 2 : text;
}

void say_from_library(void *path, const char *text)
{
	say_note(path, "%s", without(path, text));
}

void say_tell(void *subject, const char *text)
{
	say_note(subject, "%s", text);
}

int say_err_only(const char *subject, const struct vhdx_err *e)
{
	const char *text = without(subject, e->text);
	if (e->spec[0] && e->off != UINT64_MAX)
		say_fail(0, subject, "%s (%s at offset %ju, section %s)", text,
			 vhdx_obj_name(e->obj), (uintmax_t)e->off, e->spec);
	else
		say_fail(0, subject, "%s", text);
	return say_exit_status(e->code);
}

int say_err(const char *subject, const struct vhdx_err *e)
{
	int status = say_err_only(subject, e);
	if (e->code == VHDX_E_CORRUPT)
		say_note(NULL, "to see everything that is wrong: vhdtool check "
			 "IMAGE");
	return status;
}
