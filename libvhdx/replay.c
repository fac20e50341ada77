/* SPDX-License-Identifier: MIT */
/* R1..R3 stand in replay.h; R1 is replay_find.c's. */
#include "replay.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

#define PAGE_LEN FMT_LOG_SECTOR
#define DESC_BUF_LEN (16u * FMT_LOG_SECTOR)
#define RUN_LEN MIB /* of data sectors that are read at once */

/* ---- walking the sequence ------------------------------------------------ */

/* As replay_walk's fn; data_off: file offset of a data descriptor's sector. */
typedef int walk_fn(void *arg, uint64_t log_off,
		    const struct fmt_log_entry *entry,
		    const struct fmt_log_desc *desc, uint64_t data_off,
		    struct vhdx_err *e);

struct walk {
	struct file *f;
	const struct fmt_header *hdr;
	walk_fn *fn;
	void *arg;
	uint8_t *buf; /* DESC_BUF_LEN */
};

static uint64_t ring_pos(const struct fmt_header *hdr, uint64_t pos)
{
	return pos % hdr->log_len;
}

/* len bytes from `pos` in the ring on, across its end where need be. */
static int ring_read(const struct walk *w, uint64_t pos, size_t len,
		     struct vhdx_err *e)
{
	uint64_t start = ring_pos(w->hdr, pos);
	size_t first = (size_t)u64_min(len, w->hdr->log_len - start);
	int rc = file_read(w->f, w->hdr->log_off + start, w->buf, first, e);

	if (!rc && first < len)
		rc = file_read(w->f, w->hdr->log_off, w->buf + first,
			       len - first, e);
	return rc;
}

static int walk_descs(struct walk *w, uint64_t pos,
		      const struct fmt_log_entry *n, struct vhdx_err *e)
{
	uint64_t data = pos + (uint64_t)log_desc_sectors(n->desc_cnt) *
		FMT_LOG_SECTOR;
	uint64_t off = FMT_LOG_HEADER_LEN, base = 0;
	struct fmt_log_desc d;
	int rc;

	for (uint32_t i = 0; i < n->desc_cnt; i++, off += FMT_LOG_DESC_LEN) {
		if (i == 0 || off - base == DESC_BUF_LEN) {
			base = align_down(off, FMT_LOG_SECTOR);
			rc = ring_read(w, pos + base,
				       (size_t)u64_min(DESC_BUF_LEN,
						       n->len - base), e);
			if (rc)
				return rc;
		}
		rc = log_desc_decode(w->buf + (off - base), w->hdr->log_off +
				     ring_pos(w->hdr, pos + off), n->seq, &d,
				     e);
		if (!rc)
			rc = w->fn(w->arg, pos, n, &d, w->hdr->log_off +
				   ring_pos(w->hdr, data), e);
		if (rc)
			return rc;
		if (!d.zero)
			data += FMT_LOG_SECTOR;
	}
	return 0;
}

static int walk_entries(struct walk *w, const struct replay_seq *s,
			struct vhdx_err *e)
{
	uint64_t pos = s->tail_off;
	struct fmt_log_entry n;
	int rc = 0;

	for (uint64_t i = 0; i < s->entry_cnt && !rc; i++) {
		rc = ring_read(w, pos, FMT_LOG_SECTOR, e);
		if (!rc)
			rc = log_entry_decode(w->buf, w->hdr->log_off + pos,
					      w->hdr->log_len, &n, e);
		if (!rc)
			rc = w->fn(w->arg, pos, &n, NULL, 0, e);
		if (!rc)
			rc = walk_descs(w, pos, &n, e);
		if (!rc)
			pos = ring_pos(w->hdr, pos + n.len);
	}
	return rc;
}

static int walk(struct file *f, const struct fmt_header *hdr,
		const struct replay_seq *s, walk_fn *fn, void *arg,
		struct vhdx_err *e)
{
	struct walk w = { .f = f, .hdr = hdr, .fn = fn, .arg = arg,
			  .buf = mem_aligned(FMT_LOG_SECTOR, DESC_BUF_LEN) };
	int rc;

	if (!w.buf)
		return err_set(e, VHDX_E_NOMEM, "no memory to read the log");
	rc = walk_entries(&w, s, e);
	mem_free(w.buf);
	return rc;
}

struct public_walk {
	int (*fn)(void *arg, uint64_t log_off,
		  const struct fmt_log_entry *entry,
		  const struct fmt_log_desc *desc);
	void *arg;
};

static int call_public(void *arg, uint64_t log_off,
		       const struct fmt_log_entry *entry,
		       const struct fmt_log_desc *desc, uint64_t data_off,
		       struct vhdx_err *e)
{
	struct public_walk *p = arg;

	(void)data_off;
	(void)e;
	return p->fn(p->arg, log_off, entry, desc);
}

int replay_walk(struct file *f, const struct fmt_header *hdr,
		const struct replay_seq *s,
		int (*fn)(void *arg, uint64_t log_off,
			  const struct fmt_log_entry *entry,
			  const struct fmt_log_desc *desc),
		void *arg, struct vhdx_err *e)
{
	struct public_walk p = { fn, arg };

	return walk(f, hdr, s, call_public, &p, e);
}

/* ---- items --------------------------------------------------------------- */

struct collect {
	const struct fmt_header *hdr;
	struct replay_seq *s;
	uint64_t desc_cnt; /* of the entries seen so far */
};

static int make_room(struct collect *c, const struct fmt_log_entry *n,
		     uint64_t off, struct vhdx_err *e)
{
	struct replay_item *items;

	c->desc_cnt += n->desc_cnt;
	if (c->desc_cnt > REPLAY_ITEM_MAX)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_LOG, off,
			       "2.3.3", "the log's active sequence has more "
			       "than %u descriptors", REPLAY_ITEM_MAX);
	if (c->desc_cnt == 0)
		return 0;
	items = mem_resize(c->s->items, (size_t)c->desc_cnt, sizeof(*items));
	if (!items)
		return err_set(e, VHDX_E_NOMEM, "no memory for the log");
	c->s->items = items;
	return 0;
}

static int verify_target(const struct collect *c, const struct replay_item *it,
			 uint64_t seq, uint64_t off, struct vhdx_err *e)
{
	uint64_t log_end = c->hdr->log_off + c->hdr->log_len;

	if (it->file_off < FMT_REGION_OFF(0))
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3",
				   "log entry %llu writes to offset %llu, but "
				   "nothing below %llu goes through the log",
				   (unsigned long long)seq,
				   (unsigned long long)it->file_off,
				   (unsigned long long)FMT_REGION_OFF(0));
	if (it->file_off < log_end &&
	    it->file_off + it->len > c->hdr->log_off)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3",
				   "log entry %llu writes to offset %llu+%llu, "
				   "into the log itself (%llu+%u)",
				   (unsigned long long)seq,
				   (unsigned long long)it->file_off,
				   (unsigned long long)it->len,
				   (unsigned long long)c->hdr->log_off,
				   c->hdr->log_len);
	return 0;
}

static int add_item(void *arg, uint64_t log_off, const struct fmt_log_entry *n,
		    const struct fmt_log_desc *d, uint64_t data_off,
		    struct vhdx_err *e)
{
	struct collect *c = arg;
	uint64_t off = c->hdr->log_off + log_off;
	struct replay_item *it;
	int rc;

	if (!d)
		return make_room(c, n, off, e);
	if (d->zero && d->zero_len == 0)
		return 0;
	it = &c->s->items[c->s->item_cnt];
	*it = (struct replay_item){
		.file_off = d->file_off,
		.len = d->zero ? d->zero_len : PAGE_LEN,
		.data_off = d->zero ? 0 : data_off,
	};
	memcpy(it->leading, d->leading, sizeof(it->leading));
	memcpy(it->trailing, d->trailing, sizeof(it->trailing));
	rc = verify_target(c, it, n->seq, off, e); /* R3 */
	if (!rc)
		c->s->item_cnt++;
	return rc;
}

int replay_scan(struct file *f, const struct fmt_header *hdr,
		struct replay_seq *out, struct vhdx_err *e)
{
	struct collect c = { .hdr = hdr, .s = out };
	int rc = replay_find(f, hdr, out, e);

	if (!rc)
		rc = walk(f, hdr, out, add_item, &c, e);
	if (rc)
		replay_free(out);
	return rc;
}

void replay_free(struct replay_seq *s)
{
	mem_free(s->items);
	s->items = NULL;
	s->item_cnt = 0;
}

/* ---- applying ------------------------------------------------------------ */

void replay_patch(const struct replay_item *it, uint8_t sector[4096])
{
	memcpy(sector, it->leading, sizeof(it->leading));
	memcpy(sector + PAGE_LEN - sizeof(it->trailing), it->trailing,
	       sizeof(it->trailing));
}

uint64_t replay_file_len(const struct file *f, const struct replay_seq *s)
{
	uint64_t len = u64_max(f->size, s->last_len);

	for (size_t i = 0; i < s->item_cnt; i++)
		len = u64_max(len, s->items[i].file_off + s->items[i].len);
	return len;
}

/* Items from i on whose data sectors follow each other in the file. */
static size_t data_run(const struct replay_seq *s, size_t i)
{
	size_t n = 1;

	while (i + n < s->item_cnt && n < RUN_LEN / PAGE_LEN &&
	       s->items[i + n].data_off ==
	       s->items[i].data_off + n * PAGE_LEN)
		n++;
	return n;
}

static int write_pages(struct file *f, const struct replay_item *it, size_t cnt,
		       const uint8_t *buf, struct vhdx_err *e)
{
	int rc = 0;

	for (size_t i = 0, n; i < cnt && !rc; i += n) {
		for (n = 1; i + n < cnt && it[i + n].file_off ==
		     it[i].file_off + n * PAGE_LEN; n++)
			;
		rc = file_write(f, it[i].file_off, buf + i * PAGE_LEN,
				n * PAGE_LEN, e);
	}
	return rc;
}

static int apply_data(struct file *f, const struct replay_item *it, size_t cnt,
		      uint8_t *buf, struct vhdx_err *e)
{
	int rc = file_read(f, it->data_off, buf, cnt * PAGE_LEN, e);

	for (size_t i = 0; i < cnt; i++)
		replay_patch(&it[i], buf + i * PAGE_LEN);
	return rc ? rc : write_pages(f, it, cnt, buf, e);
}

/* What lies behind both the old end of the file and every page that has been
 * written is zero already: a descriptor that names terabytes costs nothing. */
static int apply_items(struct file *f, const struct replay_seq *s,
		       uint64_t data_end, uint8_t *buf, struct vhdx_err *e)
{
	int rc = 0;

	for (size_t i = 0, n; i < s->item_cnt && !rc; i += n) {
		const struct replay_item *it = &s->items[i];
		uint64_t end = it->file_off + it->len;

		n = 1;
		if (it->data_off) {
			n = data_run(s, i);
			rc = apply_data(f, it, n, buf, e);
			for (size_t k = 0; k < n; k++)
				data_end = u64_max(data_end, it[k].file_off +
						   PAGE_LEN);
		} else if (it->file_off < data_end) {
			rc = file_zero(f, it->file_off,
				       u64_min(end, data_end) - it->file_off,
				       e);
		}
	}
	return rc;
}

int replay_apply(struct file *f, const struct replay_seq *s,
		 struct vhdx_err *e)
{
	uint64_t old_len = f->size, new_len = replay_file_len(f, s);
	uint8_t *buf = mem_aligned(PAGE_LEN, RUN_LEN);
	int rc = 0;

	if (!buf)
		return err_set(e, VHDX_E_NOMEM, "no memory for the replay");
	if (new_len > old_len)
		rc = file_truncate(f, new_len, e);
	if (!rc)
		rc = apply_items(f, s, old_len, buf, e);
	if (!rc && !MUTATED(REPLAY_SYNC))
		rc = file_sync(f, e);
	mem_free(buf);
	return rc;
}
