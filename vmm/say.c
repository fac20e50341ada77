/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const unsigned char meaning[] = {
	[VHDX_OK] = STATUS_OK,
	[VHDX_E_INVAL] = STATUS_USAGE,
	[VHDX_E_IO] = STATUS_FAILED,
	[VHDX_E_CORRUPT] = STATUS_INTEGRITY,
	[VHDX_E_NEEDS_REPLAY] = STATUS_INTEGRITY,
	[VHDX_E_NOPARENT] = STATUS_NOTFOUND,
	[VHDX_E_LINKAGE] = STATUS_INTEGRITY,
	[VHDX_E_UNSUPPORTED] = STATUS_FAILED,
	[VHDX_E_READONLY] = STATUS_FAILED,
	[VHDX_E_BUSY] = STATUS_BUSY,
	[VHDX_E_NOSPC] = STATUS_NOSPC,
	[VHDX_E_RANGE] = STATUS_FAILED,
	[VHDX_E_NOMEM] = STATUS_FAILED,
	[VHDX_E_CANCELED] = STATUS_FAILED,
	[VHDX_E_FAILED] = STATUS_FAILED,
	[VHDX_E_NOTFOUND] = STATUS_NOTFOUND,
	[VHDX_E_EXISTS] = STATUS_FAILED,
	[VHDX_E_PERM] = STATUS_FAILED,
};

int say_exit_status(int code)
{
	return code >= 0 && (size_t)code < sizeof(meaning) ? meaning[code] :
							     STATUS_FAILED;
}

int say_code_of(const char *name)
{
	for (int code = 0; code < (int)sizeof(meaning); code++)
		if (strcmp(vhdx_code_name(code), name) == 0)
			return code;
	return VHDX_E_FAILED;
}

/* One line whatever the text holds: neither a file name nor a guest must be
 * able to move the cursor or to fake a second message. One write, so that
 * threads do not mix. */
static void print(const char *subject, const char *fmt, va_list ap)
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
	fprintf(stderr, "vmm: %s\n", line);
	errno = saved;
}

int say_fail(int status, const char *subject, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print(subject, fmt, ap);
	va_end(ap);
	return status;
}

void say_note(const char *subject, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print(subject, fmt, ap);
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

int say_err(const char *subject, const struct vhdx_err *e)
{
	const char *text = without(subject, e->text);
	if (e->spec[0] && e->off != UINT64_MAX)
		say_fail(0, subject, "%s (%s at offset %ju, section %s)", text,
			 vhdx_obj_name(e->obj), (uintmax_t)e->off, e->spec);
	else
		say_fail(0, subject, "%s", text);
	if (e->code == VHDX_E_CORRUPT)
		say_note(NULL, "to see everything that is wrong: vhdtool check "
			 "IMAGE");
	return say_exit_status(e->code);
}
