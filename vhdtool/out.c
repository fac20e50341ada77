/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "msg.h"
#include "out.h"

const char *out_human(uint64_t len, char buf[OUT_SIZE_LEN])
{
	static const char units[] = "KMGTPE";
	if (len < 1024) {
		snprintf(buf, OUT_SIZE_LEN, "%ju bytes", (uintmax_t)len);
		return buf;
	}
	int u = 0;
	uint64_t unit = 1024;
	while (len / unit >= 1024) {
		unit *= 1024;
		u++;
	}
	if (len % unit == 0)
		snprintf(buf, OUT_SIZE_LEN, "%ju %ciB",
			 (uintmax_t)(len / unit), units[u]);
	else
		snprintf(buf, OUT_SIZE_LEN, "%.2f %ciB",
			 (double)len / (double)unit, units[u]);
	return buf;
}

const char *out_size(uint64_t len, char buf[OUT_SIZE_LEN])
{
	char human[OUT_SIZE_LEN];
	if (len < 1024)
		snprintf(buf, OUT_SIZE_LEN, "%ju", (uintmax_t)len);
	else
		snprintf(buf, OUT_SIZE_LEN, "%ju (%.24s)", (uintmax_t)len,
			 out_human(len, human));
	return buf;
}

const char *out_count(uint64_t cnt, const char *one, const char *many,
		      char buf[OUT_SIZE_LEN])
{
	snprintf(buf, OUT_SIZE_LEN, "%ju %s", (uintmax_t)cnt,
		 cnt == 1 ? one : many);
	return buf;
}

const char *out_guid(const uint8_t id[16], enum vhdx_format format,
		     char buf[OUT_GUID_LEN])
{
	static const uint8_t mixed[16] = { 3, 2, 1, 0, 5, 4, 7, 6,
					   8, 9, 10, 11, 12, 13, 14, 15 };
	char *p = buf;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		uint8_t b = id[format == VHDX_FORMAT_VHD ? i : mixed[i]];
		p += snprintf(p, 3, "%02x", b);
	}
	return buf;
}

const char *out_clean(const char *text)
{
	static char bufs[4][PATH_MAX];
	static unsigned turn;
	char *buf = bufs[turn++ % 4];
	size_t n = 0;
	for (const char *p = text; *p && n < sizeof(bufs[0]) - 1; p++) {
		unsigned char c = (unsigned char)*p;
		buf[n++] = c < 0x20 || c == 0x7f ? '?' : *p;
	}
	buf[n] = '\0';
	return buf;
}

json_t *out_u64(uint64_t v)
{
	if (v <= INT64_MAX)
		return json_integer((json_int_t)v);
	char text[24];
	snprintf(text, sizeof(text), "%ju", (uintmax_t)v);
	return json_string(text);
}

json_t *out_string(const char *text)
{
	json_t *j = json_string(text);
	if (j)
		return j;
	char *copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	j = json_string(copy);
	free(copy);
	return j;
}

static int dump(json_t *j, size_t flags)
{
	if (!j)
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	int rc = json_dumpf(j, stdout, flags | JSON_PRESERVE_ORDER |
					JSON_REAL_PRECISION(9));
	json_decref(j);
	/* A write error shows in ferror(stdout), for out_close(). */
	return rc && !ferror(stdout)
		       ? say_fail(STATUS_FAILED, NULL, "cannot print JSON")
		       : STATUS_OK;
}

json_t *out_error(const struct vhdx_err *e)
{
	json_t *j = json_object();
	json_object_set_new(j, "code", json_string(vhdx_code_name(e->code)));
	json_object_set_new(j, "text", out_string(e->text));
	return j;
}

int out_json(json_t *j)
{
	int rc = dump(j, JSON_INDENT(2));
	putchar('\n');
	return rc;
}

int out_json_line(json_t *j)
{
	return dump(j, 0);
}

int out_close(int status)
{
	/* Closing finds what a network file system reports only then. */
	errno = 0;
	bool bad = ferror(stdout) != 0;
	if (fclose(stdout) != 0 || bad) {
		const char *why = errno ? strerror(errno) : "write error";
		say_fail(STATUS_FAILED, "standard output", "%s", why);
		return status == STATUS_OK ? STATUS_FAILED : status;
	}
	return status;
}

bool out_bytes(const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			say_fail(STATUS_FAILED, "standard output", "%s",
				 strerror(errno));
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}
