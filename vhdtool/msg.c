/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "msg.h"

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
		say_note(NULL, "to see everything that is wrong: "
			 "vhdtool check %s", word);
		break;
	case VHDX_E_NEEDS_REPLAY:
		say_note(NULL, "to bring the file up to date: "
			 "vhdtool log replay %s", word);
		break;
	case VHDX_E_NOSPC:
		say_note(NULL, "free some space on the host and try again");
		break;
	case VHDX_E_EXISTS:
		say_note(NULL, "to replace it, add --force");
		break;
	default:
		break;
	}
}

int msg_err(const char *path, const struct vhdx_err *e)
{
	int status = say_err_only(path, e);
	print_next_step(path, e);
	return status;
}
