/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCK STDIN_FILENO
#define LINE_LEN (64u << 10)
#define LINES 64u

static uint64_t size_len;
static uint32_t sector_len;

/* File systems ask for little at a time, often for the same. */
static struct line {
	bool valid;
	uint64_t nr;
	uint8_t data[LINE_LEN];
} cache[LINES];

static void get(void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(SOCK, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(3);
		p += n;
		len -= (size_t)n;
	}
}

static void put(const struct fsmap_msg *m)
{
	const char *p = (const char *)m;
	size_t len = sizeof(*m);

	while (len) {
		ssize_t n = write(SOCK, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(3);
		p += n;
		len -= (size_t)n;
	}
}

void disk_hello(void)
{
	struct fsmap_msg m;

	get(&m, sizeof(m));
	if (m.type != FSMAP_HELLO || m.len < 512 || m.len > 4096)
		_exit(3);
	size_len = m.off;
	sector_len = (uint32_t)m.len;
}

uint64_t disk_len(void)
{
	return size_len;
}

uint32_t disk_sector_len(void)
{
	return sector_len;
}

static bool ask(uint64_t off, void *buf, uint64_t len)
{
	struct fsmap_msg m = { .type = FSMAP_READ, .off = off, .len = len };

	put(&m);
	get(&m, sizeof(m));
	if (m.type != FSMAP_DATA || (m.len && m.len != len))
		_exit(3);
	if (!m.len)
		return false;
	get(buf, len);
	return true;
}

static struct line *load(uint64_t nr)
{
	struct line *l = &cache[nr % LINES];
	uint64_t left = size_len - nr * LINE_LEN;

	if (l->valid && l->nr == nr)
		return l;
	l->nr = nr;
	l->valid = ask(nr * LINE_LEN, l->data, left < LINE_LEN ? left
							       : LINE_LEN);
	return l->valid ? l : NULL;
}

bool disk_read(uint64_t off, void *buf, uint64_t len)
{
	char *p = buf;

	if (off > size_len || len > size_len - off)
		return false;
	while (len) {
		struct line *l = load(off / LINE_LEN);
		uint64_t at = off % LINE_LEN, n = LINE_LEN - at;

		if (!l)
			return false;
		n = n < len ? n : len;
		memcpy(p, l->data + at, n);
		p += n;
		off += n;
		len -= n;
	}
	return true;
}

bool part_read(struct part *p, uint64_t off, void *buf, uint64_t len)
{
	if (off <= p->len && len <= p->len - off &&
	    disk_read(p->off + off, buf, len))
		return true;
	p->bad = true;
	return false;
}

/* ---- what was found ----------------------------------------------------- */

static void tell(uint32_t type, const char *fmt, va_list ap)
{
	struct fsmap_msg m = { .type = type };

	vsnprintf(m.text, sizeof(m.text), fmt, ap);
	put(&m);
}

void tell_part(const struct part *p)
{
	struct fsmap_msg m = { .type = FSMAP_PART, .off = p->off,
			       .len = p->len };

	snprintf(m.text, sizeof(m.text), "%s", p->name);
	put(&m);
}

void tell_unused(const struct part *p, uint64_t off, uint64_t len)
{
	struct fsmap_msg m = { .type = FSMAP_UNUSED, .off = p->off + off,
			       .len = len };

	if (len >= FSMAP_UNUSED_MIN)
		put(&m);
}

void tell_verdict(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(FSMAP_VERDICT, fmt, ap);
	va_end(ap);
}

void tell_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(FSMAP_NOTE, fmt, ap);
	va_end(ap);
}

void tell_done(void)
{
	struct fsmap_msg m = { .type = FSMAP_DONE };

	put(&m);
}
