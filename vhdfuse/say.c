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

static bool in_background;

void say_in_background(void)
{
	openlog("vhdfuse", LOG_PID, LOG_DAEMON);
	in_background = true;
}

static bool is_known(int code)
{
	return code >= 0 && (size_t)code < sizeof(meaning) / sizeof(meaning[0]);
}

int say_exit_status(int code)
{
	return is_known(code) ? meaning[code].status : STATUS_FAILED;
}

int say_errno(const struct vhdx_err *e)
{
	return is_known(e->code) ? meaning[e->code].en : EIO;
}

/* One line whatever the text holds: a file name must not be able to move the
 * cursor or to fake a second message. */
static void print(int priority, const char *subject, const char *fmt,
		  va_list ap)
{
	int saved = errno;
	char text[1024], line[4096 + sizeof(text)];
	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "%s%s%s", subject ? subject : "",
		 subject ? ": " : "", text);
	for (char *p = line; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c == 0x7f)
			*p = '?';
	}
	if (in_background)
		syslog(priority, "%s", line);
	else
		fprintf(stderr, "vhdfuse: %s\n", line);
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
static const char *without_path(const char *path, const char *text)
{
	size_t n = strlen(path);
	bool named = strncmp(text, path, n) == 0 &&
		     strncmp(text + n, ": ", 2) == 0;
	return named ? text + n + 2 : text;
}

void say_from_library(void *path, const char *text)
{
	say_note(path, "%s", without_path(path, text));
}

int say_err(const char *path, const struct vhdx_err *e)
{
	const char *text = without_path(path, e->text);
	if (e->spec[0] && e->off != UINT64_MAX)
		say_fail(0, path, "%s (%s at offset %ju, section %s)", text,
			 vhdx_obj_name(e->obj), (uintmax_t)e->off, e->spec);
	else
		say_fail(0, path, "%s", text);
	if (e->code == VHDX_E_CORRUPT)
		say_note(NULL, "to see everything that is wrong: vhdtool check "
			 "IMAGE");
	return say_exit_status(e->code);
}
