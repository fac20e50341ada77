/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "msg.h"
#include "progress.h"

static const int exit_status_of[] = {
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

int msg_exit_status(int code)
{
	size_t cnt = sizeof(exit_status_of) / sizeof(exit_status_of[0]);
	if (code < 0 || (size_t)code >= cnt)
		return STATUS_FAILED;
	return exit_status_of[code];
}

/* One line whatever the text holds: a file name or a library's text must not
 * be able to move the cursor or fake a second message. */
static void print_clean(const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		putc(c < 0x20 || c == 0x7f ? '?' : c, stderr);
	}
}

static void vprint(const char *subject, const char *fmt, va_list ap)
{
	int saved = errno;
	char text[1024];
	vsnprintf(text, sizeof(text), fmt, ap);
	progress_clear();
	fputs("vhdtool: ", stderr);
	if (subject) {
		print_clean(subject);
		fputs(": ", stderr);
	}
	print_clean(text);
	putc('\n', stderr);
	errno = saved;
}

int msg_fail(int status, const char *subject, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vprint(subject, fmt, ap);
	va_end(ap);
	return status;
}

int msg_usage(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vprint(NULL, fmt, ap);
	va_end(ap);
	return STATUS_USAGE;
}

void msg_note(const char *subject, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vprint(subject, fmt, ap);
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

void msg_from_library(void *path, const char *text)
{
	msg_note(path, "%s", without_path(path, text));
}

/* Control characters as $'\012', which every common shell but the smallest
 * knows: the command must stay one line. */
static void quote(const char *path, char *buf, size_t cap)
{
	bool escape = false;
	for (const char *p = path; *p; p++)
		escape |= (unsigned char)*p < 0x20 || *p == 0x7f;
	size_t n = 0;
	if (escape)
		buf[n++] = '$';
	buf[n++] = '\'';
	for (const char *p = path; *p && n < cap - 8; p++) {
		unsigned char c = (unsigned char)*p;
		if (escape && (c < 0x20 || c == 0x7f))
			n += (size_t)snprintf(buf + n, 5, "\\%03o", c);
		else if (escape && (c == '\'' || c == '\\'))
			n += (size_t)snprintf(buf + n, 3, "\\%c", c);
		else if (c == '\'')
			n += (size_t)snprintf(buf + n, 5, "'\\''");
		else
			buf[n++] = *p;
	}
	buf[n++] = '\'';
	buf[n] = '\0';
}

const char *msg_shell_word(const char *path)
{
	static char bufs[4][4 * PATH_MAX + 16];
	static unsigned turn;
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_@%+=:,./-";
	char *buf = bufs[turn++ % 4];
	bool dash = path[0] == '-'; /* or it would be taken for an option */
	if (*path && path[strspn(path, plain)] == '\0') {
		if (!dash)
			return path;
		snprintf(buf, sizeof(bufs[0]), "./%s", path);
		return buf;
	}
	if (dash)
		memcpy(buf, "./", 2);
	size_t at = dash ? 2 : 0;
	quote(path, buf + at, sizeof(bufs[0]) - at);
	return buf;
}

static void print_next_step(const char *path, const struct vhdx_err *e)
{
	const char *word = msg_shell_word(path);
	switch (e->code) {
	case VHDX_E_CORRUPT:
		msg_note(NULL, "to see everything that is wrong: "
			 "vhdtool check %s", word);
		break;
	case VHDX_E_NEEDS_REPLAY:
		msg_note(NULL, "to bring the file up to date: "
			 "vhdtool log replay %s", word);
		break;
	case VHDX_E_NOSPC:
		msg_note(NULL, "free some space on the host and try again");
		break;
	case VHDX_E_EXISTS:
		msg_note(NULL, "to replace it, add --force");
		break;
	default:
		break;
	}
}

int msg_err(const char *path, const struct vhdx_err *e)
{
	const char *text = without_path(path, e->text);
	bool placed = e->spec[0] && e->off != UINT64_MAX;
	if (placed)
		msg_fail(0, path, "%s (%s at offset %ju, section %s)", text,
			 vhdx_obj_name(e->obj), (uintmax_t)e->off, e->spec);
	else
		msg_fail(0, path, "%s", text);
	print_next_step(path, e);
	return msg_exit_status(e->code);
}
