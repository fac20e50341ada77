/* SPDX-License-Identifier: MIT */
#include "damage_cmd.h"

#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "le.h"

int damage_dirty(struct damage *d, const struct damage_args *a,
		 struct vhdx_err *e)
{
	struct header_pair p;
	int rc = header_load(d->file, &p, e);

	if (rc)
		return rc;
	memset(p.cur.log.b, (int)a->n[1], sizeof(p.cur.log.b));
	return header_update(d->file, &p, e);
}

/* ---- reading and writing around the end of the ring ---------------------- */

static int ring(struct damage *d, uint64_t at, uint8_t *b, uint64_t len,
		bool write, struct vhdx_err *e)
{
	int rc = 0;

	for (uint64_t pos = 0; pos < len && !rc; pos += FMT_LOG_SECTOR) {
		uint64_t off = d->log_off + (at + pos) % d->log_len;

		rc = write ? file_write(d->file, off, b + pos, FMT_LOG_SECTOR,
					e)
			   : file_read(d->file, off, b + pos, FMT_LOG_SECTOR,
				       e);
	}
	return rc;
}

int damage_seal(struct damage *d, const struct damage_args *a,
		struct vhdx_err *e)
{
	uint8_t head[FMT_LOG_SECTOR], *b;
	uint32_t len;
	int rc = ring(d, a->n[1], head, sizeof(head), false, e);

	if (rc)
		return rc;
	len = get_le32(head + 8);
	if (!len || len > d->log_len || len % FMT_LOG_SECTOR)
		len = FMT_LOG_SECTOR;
	b = malloc(len);
	rc = ring(d, a->n[1], b, len, false, e);
	log_entry_seal(b, len);
	if (!rc)
		rc = ring(d, a->n[1], b, len, true, e);
	free(b);
	return rc;
}

/* ---- making an entry ----------------------------------------------------- */

struct making {
	struct fmt_log_entry head;
	uint8_t *b; /* as large as the log */
	uint32_t desc_cnt, data_cnt, desc_sectors;
};

/* key=WHERE:VALUE */
static bool pair(const struct damage *d, const char *arg, const char *key,
		 uint64_t *where, uint64_t *value)
{
	char buf[128], *colon;
	size_t n = strlen(key);

	if (strncmp(arg, key, n) != 0 || strlen(arg) >= sizeof(buf))
		return false;
	strcpy(buf, arg + n);
	colon = strchr(buf, ':');
	if (!colon)
		return false;
	*colon = '\0';
	return damage_number(d, buf, where) &&
	       damage_number(d, colon + 1, value);
}

static void add(struct making *m, struct fmt_log_desc *desc,
		const uint8_t *page)
{
	uint8_t *sector = m->b + FMT_LOG_SECTOR *
				 ((size_t)m->desc_sectors + m->data_cnt);

	desc->seq = m->head.seq;
	if (page) {
		log_data_encode(page, m->head.seq, desc, sector);
		m->data_cnt++;
	}
	log_desc_encode(desc, m->b + FMT_LOG_HEADER_LEN +
				      (size_t)FMT_LOG_DESC_LEN * m->desc_cnt++);
}

static int add_arg(struct damage *d, struct making *m, const char *arg,
		   struct vhdx_err *e)
{
	uint8_t page[FMT_LOG_SECTOR];
	struct fmt_log_desc desc = { 0 };
	uint64_t where, value, pos;
	int rc = 0;

	if (pair(d, arg, "bat=", &where, &value)) {
		pos = d->bat_off + 8 * where;
		desc.file_off = align_down(pos, FMT_LOG_SECTOR);
		rc = file_read(d->file, desc.file_off, page, sizeof(page), e);
		put_le64(page + (pos - desc.file_off), value);
		add(m, &desc, page);
	} else if (pair(d, arg, "fill=", &where, &value)) {
		desc.file_off = where;
		memset(page, (int)value, sizeof(page));
		add(m, &desc, page);
	} else if (pair(d, arg, "zero=", &where, &value)) {
		desc.file_off = where;
		desc.zero = true;
		desc.zero_len = value;
		add(m, &desc, NULL);
	}
	return rc;
}

static uint32_t count_descs(const struct damage_args *a)
{
	uint32_t n = 0;

	for (int i = 2; i < a->cnt; i++)
		n += strncmp(a->v[i], "bat=", 4) == 0 ||
		     strncmp(a->v[i], "fill=", 5) == 0 ||
		     strncmp(a->v[i], "zero=", 5) == 0;
	return n;
}

int damage_entry(struct damage *d, const struct damage_args *a,
		 struct vhdx_err *e)
{
	uint64_t tail = a->n[1], seq = 0, guid = 0;
	struct making m = { .b = calloc(1, d->log_len) };
	struct header_pair p;
	int rc = header_load(d->file, &p, e);

	m.head.flushed_len = m.head.last_len = align_up(d->file->size, MIB);
	damage_option(d, a, "seq", &seq);
	damage_option(d, a, "tail", &tail);
	damage_option(d, a, "flushed", &m.head.flushed_len);
	damage_option(d, a, "last", &m.head.last_len);
	m.head.seq = seq;
	m.head.tail = (uint32_t)tail;
	m.head.log = p.cur.log;
	if (damage_option(d, a, "guid", &guid))
		memset(m.head.log.b, (int)guid, sizeof(m.head.log.b));
	m.desc_sectors = log_desc_sectors(count_descs(a));
	for (int i = 2; i < a->cnt && !rc; i++)
		rc = add_arg(d, &m, a->v[i], e);
	m.head.desc_cnt = m.desc_cnt;
	m.head.len = FMT_LOG_SECTOR * (m.desc_sectors + m.data_cnt);
	log_entry_encode(&m.head, m.b);
	log_entry_seal(m.b, m.head.len);
	if (!rc)
		rc = ring(d, a->n[1], m.b, m.head.len, true, e);
	free(m.b);
	return rc;
}
