/* SPDX-License-Identifier: MIT */
/*
 * Which entries of a log are valid, and which of them are the active sequence.
 *
 * The scan is one pass over the ring that feeds sector after sector to the
 * entry being checked. That is enough because in a valid entry only the first
 * sector starts with "loge": descriptor sectors start with a descriptor, data
 * sectors with "data". So no valid entry contains the start of another, every
 * sector belongs to at most one, and a hostile log cannot make us check the
 * same bytes again and again. An entry that crosses the end of the ring is
 * finished in a second visit to the ring's beginning.
 *
 * The steps of 2.3.3 try every 4 KiB as a beginning. A sequence extends from
 * its beginning in one way only (the next entry lies where the last one ends
 * and has the next number), so the entries fall into disjoint runs; all
 * beginnings within a run end at the same head, and the longest, the run
 * itself, is valid if any is. Looking at whole runs gives the same answer.
 */
#include "replay.h"

#include <string.h>

#include "crc32c.h"
#include "mem.h"
#include "mutation.h"

#define CHUNK_LEN MIB

/* A valid entry; places and lengths in sectors of the ring. */
struct found {
	uint64_t seq;
	uint32_t pos, len, tail;
};

struct scan {
	struct file *f;
	const struct fmt_header *hdr;
	uint32_t ring_len; /* sectors */
	struct found *v;   /* in ascending order of pos */
	size_t cnt, cap;

	/* The entry being checked. */
	bool open;
	struct fmt_log_entry entry;
	uint32_t pos, fed;	     /* sectors */
	uint32_t desc_sectors, descs_left, data_cnt;
	uint32_t crc, stored_crc;
};

/* ---- one entry ----------------------------------------------------------- */

static bool take_descs(struct scan *s, const uint8_t *b, uint32_t max)
{
	uint32_t cnt = (uint32_t)u64_min(s->descs_left, max);
	struct fmt_log_desc d;

	for (uint32_t i = 0; i < cnt; i++) {
		if (log_desc_decode(b + (size_t)i * FMT_LOG_DESC_LEN, 0,
				    s->entry.seq, &d, NULL) != 0)
			return false;
		s->data_cnt += !d.zero;
	}
	s->descs_left -= cnt;
	return true;
}

static bool begin_entry(struct scan *s, const uint8_t *b, uint32_t pos)
{
	if (log_entry_decode(b, 0, s->hdr->log_len, &s->entry, NULL) != 0 ||
	    !guid_eq(&s->entry.log, &s->hdr->log))
		return false;
	s->pos = pos;
	s->fed = 1;
	s->desc_sectors = log_desc_sectors(s->entry.desc_cnt);
	s->descs_left = s->entry.desc_cnt;
	s->data_cnt = 0;
	s->stored_crc = log_entry_stored_crc(b);
	s->crc = log_entry_crc(b, FMT_LOG_SECTOR);
	return take_descs(s, b + FMT_LOG_HEADER_LEN,
			  (FMT_LOG_SECTOR - FMT_LOG_HEADER_LEN) /
			  FMT_LOG_DESC_LEN);
}

static bool continue_entry(struct scan *s, const uint8_t *b)
{
	s->crc = crc32c(s->crc, b, FMT_LOG_SECTOR);
	if (s->fed++ < s->desc_sectors)
		return take_descs(s, b, FMT_LOG_SECTOR / FMT_LOG_DESC_LEN);
	return log_data_verify(b, 0, s->entry.seq, NULL) == 0;
}

/* Whether the length fits is known as soon as the descriptors are. */
static bool length_is_right(const struct scan *s)
{
	return s->fed < s->desc_sectors ||
	       s->entry.len / FMT_LOG_SECTOR == s->desc_sectors + s->data_cnt;
}

static int add_found(struct scan *s, struct vhdx_err *e)
{
	if (s->cnt == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct found *v = mem_resize(s->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, VHDX_E_NOMEM,
				       "no memory for the log's entries");
		s->v = v;
		s->cap = cap;
	}
	s->v[s->cnt++] = (struct found){
		.seq = s->entry.seq,
		.pos = s->pos,
		.len = s->entry.len / FMT_LOG_SECTOR,
		.tail = s->entry.tail / FMT_LOG_SECTOR,
	};
	return 0;
}

/* `last`: this is the second visit, where entries only end. */
static int feed(struct scan *s, const uint8_t *b, uint32_t pos, bool last,
		struct vhdx_err *e)
{
	if (memcmp(b, "loge", 4) == 0)
		s->open = !last && begin_entry(s, b, pos);
	else if (s->open)
		s->open = continue_entry(s, b);
	s->open = s->open && length_is_right(s);
	if (!s->open || s->fed < s->entry.len / FMT_LOG_SECTOR)
		return 0;
	s->open = false;
	if (s->crc != s->stored_crc && !MUTATED(REPLAY_IGNORES_CRC))
		return 0;
	return add_found(s, e);
}

/* ---- the ring ------------------------------------------------------------ */

/* The next part of the ring from *pos on that may hold anything but zeros;
 * *cnt sectors, 0: none. Zeros end an entry being checked. */
static int next_part(struct scan *s, uint32_t *pos, uint32_t *cnt,
		     struct vhdx_err *e)
{
	uint64_t off = s->hdr->log_off + (uint64_t)*pos * FMT_LOG_SECTOR;
	uint64_t end_off = s->hdr->log_off + s->hdr->log_len;
	uint64_t data_off, len;
	int rc = file_next_data(s->f, off, &data_off, &len, e);

	*cnt = 0;
	if (rc)
		return rc;
	data_off = align_down(data_off, FMT_LOG_SECTOR);
	if (len == 0 || data_off >= end_off) {
		s->open = false;
		return 0;
	}
	if (data_off > off) {
		s->open = false;
		*pos += (uint32_t)((data_off - off) / FMT_LOG_SECTOR);
	}
	*cnt = (uint32_t)(u64_min(CHUNK_LEN, end_off - data_off) /
			  FMT_LOG_SECTOR);
	return 0;
}

static int visit_ring(struct scan *s, uint8_t *buf, bool last,
		      struct vhdx_err *e)
{
	uint32_t pos = 0, cnt;
	int rc = 0;

	while (pos < s->ring_len && !rc && (s->open || !last)) {
		rc = next_part(s, &pos, &cnt, e);
		if (rc || cnt == 0)
			return rc;
		rc = file_read(s->f, s->hdr->log_off +
			       (uint64_t)pos * FMT_LOG_SECTOR, buf,
			       (size_t)cnt * FMT_LOG_SECTOR, e);
		for (uint32_t i = 0; i < cnt && !rc; i++)
			rc = feed(s, buf + (size_t)i * FMT_LOG_SECTOR, pos + i,
				  last, e);
		pos += cnt;
	}
	return rc;
}

static int find_entries(struct scan *s, struct vhdx_err *e)
{
	uint8_t *buf = mem_aligned(FMT_LOG_SECTOR, CHUNK_LEN);
	int rc;

	if (!buf)
		return err_set(e, VHDX_E_NOMEM, "no memory to read the log");
	rc = visit_ring(s, buf, false, e);
	if (!rc && s->open)
		rc = visit_ring(s, buf, true, e);
	mem_free(buf);
	return rc;
}

/* ---- the active sequence ------------------------------------------------- */

/* Does entry i continue with the one that follows it in the ring? */
static bool linked(const struct scan *s, size_t i)
{
	const struct found *a = &s->v[i], *b = &s->v[(i + 1) % s->cnt];

	return b->pos == (a->pos + a->len) % s->ring_len &&
	       b->seq == a->seq + 1;
}

/* The run that begins at entry i: sets *cnt to its length and *tail to how
 * many entries from its beginning the one lies that its head names as tail.
 * False if it does not lie in the run. */
static bool examine_run(const struct scan *s, size_t i, size_t *cnt,
			size_t *tail)
{
	const struct found *head;

	for (*cnt = 1; linked(s, (i + *cnt - 1) % s->cnt); (*cnt)++)
		;
	head = &s->v[(i + *cnt - 1) % s->cnt];
	for (*tail = 0; *tail < *cnt; (*tail)++)
		if (s->v[(i + *tail) % s->cnt].pos == head->tail)
			return true;
	return false;
}

static void choose_run(const struct scan *s, struct replay_seq *out)
{
	for (size_t i = 0; i < s->cnt; i++) {
		size_t cnt, tail;
		const struct found *h, *t;

		if (linked(s, (i + s->cnt - 1) % s->cnt))
			continue; /* not the beginning of its run */
		if (!examine_run(s, i, &cnt, &tail))
			continue;
		h = &s->v[(i + cnt - 1) % s->cnt];
		t = &s->v[(i + tail) % s->cnt]; /* R1 */
		if (out->found && h->seq <= out->last_seq)
			continue;
		out->found = true;
		out->head_off = (uint64_t)h->pos * FMT_LOG_SECTOR;
		out->tail_off = (uint64_t)t->pos * FMT_LOG_SECTOR;
		out->first_seq = t->seq;
		out->last_seq = h->seq;
		out->entry_cnt = cnt - tail;
	}
}

static int take_head(struct scan *s, struct replay_seq *out,
		     struct vhdx_err *e)
{
	uint64_t off = s->hdr->log_off + out->head_off;
	uint8_t b[FMT_LOG_HEADER_LEN];
	struct fmt_log_entry head;
	int rc = file_read(s->f, off, b, sizeof(b), e);

	if (!rc)
		rc = log_entry_decode(b, off, s->hdr->log_len, &head, e);
	if (rc)
		return rc;
	out->flushed_len = head.flushed_len;
	out->last_len = head.last_len;
	if (s->f->size >= head.flushed_len)
		return 0;
	return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.3",
			   "the file has been truncated: it has %llu bytes, "
			   "the log says that it had at least %llu",
			   (unsigned long long)s->f->size,
			   (unsigned long long)head.flushed_len);
}

int replay_find(struct file *f, const struct fmt_header *hdr,
		struct replay_seq *out, struct vhdx_err *e)
{
	struct scan s = { .f = f, .hdr = hdr,
			  .ring_len = hdr->log_len / FMT_LOG_SECTOR };
	int rc = find_entries(&s, e);

	memset(out, 0, sizeof(*out));
	if (!rc && s.cnt)
		choose_run(&s, out);
	if (!rc && !out->found)
		rc = err_corrupt(e, VHDX_OBJ_LOG, hdr->log_off, "2.3.3",
				 "the log is marked as in use, but holds no "
				 "complete sequence (valid entries: %zu)",
				 s.cnt);
	mem_free(s.v);
	if (!rc)
		rc = take_head(&s, out, e);
	return rc;
}
