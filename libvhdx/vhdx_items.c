/* SPDX-License-Identifier: MIT */
/*
 * An edit is planned as a whole on a copy of the table before the file is
 * touched: what does not fit is refused without a trace. Then the table's and
 * the items' pages change together, in one log entry (vhdx_pages.h). Hence an
 * item may move to where another of the same edit was: no reader ever sees one
 * without the other.
 *
 * What is more than one entry carries goes ahead of the table, to places that
 * the old one does not name: nobody sees it there until the table does.
 */
#include "vhdx_items.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "mutation.h"
#include "vhdx_pages.h"

#define ITEM_ALIGN 8u
#define AHEAD_LEN (64 * KIB)

struct plan {
	struct vhdx_image *vi;
	const struct item_edit *items;
	unsigned cnt;
	bool *same;		  /* owned; items that need no change */
	struct fmt_meta_table *t; /* owned; the new table */
	uint8_t *table;		  /* owned; t as bytes */
	uint32_t cursor;	  /* where the next free place is looked for */
	bool ahead;		  /* items move, and are written first */
};

static uint32_t index_of(const struct fmt_meta_table *t,
			 const struct item_edit *it)
{
	const struct fmt_meta_entry *m = meta_item_find(t, &it->id, it->user);

	return m ? (uint32_t)(m - t->e) : t->cnt;
}

/* ---- what is there ------------------------------------------------------- */

static int is_same(const struct plan *p, const struct item_edit *it, bool *same,
		   struct vhdx_err *e)
{
	const struct fmt_meta_entry *m =
		meta_item_find(p->vi->layout.meta, &it->id, it->user);
	uint8_t *b;
	int rc;

	*same = !m && !it->data;
	if (!m || !it->data || m->len != it->len ||
	    m->vdisk != it->virtual_disk || m->required != it->required)
		return 0;
	b = mem_alloc(u64_max(it->len, 1));
	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory for metadata");
	rc = it->len ? file_read(p->vi->img.file, p->vi->layout.meta_off +
				 m->off, b, it->len, e) : 0;
	*same = !rc && memcmp(b, it->data, it->len) == 0;
	mem_free(b);
	return rc;
}

static int find_same(struct plan *p, bool *all, struct vhdx_err *e)
{
	int rc = 0;

	*all = true;
	for (unsigned i = 0; !rc && i < p->cnt; i++) {
		rc = is_same(p, &p->items[i], &p->same[i], e);
		*all &= p->same[i];
	}
	return rc;
}

/* ---- where everything goes ----------------------------------------------- */

/* An item that would be touched by one of len bytes at off; NULL: none. */
static const struct fmt_meta_entry *in_the_way(const struct fmt_meta_table *t,
					       uint64_t off, uint32_t len)
{
	for (uint32_t i = 0; i < t->cnt; i++)
		if (t->e[i].off < off + len &&
		    off < (uint64_t)t->e[i].off + t->e[i].len)
			return &t->e[i];
	return NULL;
}

/* A free place from `from` on; 0: none. */
static uint32_t find_place(const struct plan *p, uint64_t from, uint32_t len)
{
	const struct fmt_meta_entry *m;
	uint64_t off = align_up(from, ITEM_ALIGN);

	while (off + len <= p->vi->layout.meta_len) {
		m = in_the_way(p->t, off, len);
		if (!m && p->ahead)
			m = in_the_way(p->vi->layout.meta, off, len);
		if (!m)
			return (uint32_t)off;
		off = align_up((uint64_t)m->off + m->len, ITEM_ALIGN);
	}
	return 0;
}

static int region_full(const struct plan *p, uint32_t len, struct vhdx_err *e)
{
	return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_META,
		       p->vi->layout.meta_off, "2.6",
		       "%s: the metadata region of %" PRIu32 " bytes has no "
		       "%" PRIu32 " free ones in a row for a new item",
		       p->vi->img.file->path, p->vi->layout.meta_len, len);
}

/* The entry takes its new form; one that has to move has no place yet. */
static int plan_entry(struct plan *p, const struct item_edit *it,
		      struct vhdx_err *e)
{
	uint32_t i = index_of(p->t, it);
	struct fmt_meta_entry *m = &p->t->e[i];

	if (!it->data) {
		memmove(m, m + 1, (p->t->cnt - i - 1) * sizeof(*m));
		p->t->cnt--;
		return 0;
	}
	if (it->len > FMT_META_ITEM_MAX)
		return err_obj(e, VHDX_E_INVAL, VHDX_OBJ_META, ERR_NO_OFF,
			       "2.6.1.2", "a metadata item of %" PRIu32
			       " bytes; at most 1 MiB is allowed", it->len);
	if (i == FMT_META_MAX)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_META,
			       p->vi->layout.meta_off, "2.6.1.1",
			       "%s: the metadata table has its %u entries",
			       p->vi->img.file->path, FMT_META_MAX);
	if (i == p->t->cnt)
		*m = (struct fmt_meta_entry){ .id = it->id, .user = it->user };
	if (i == p->t->cnt)
		p->t->cnt++;
	m->vdisk = it->virtual_disk;
	m->required = it->required;
	if (m->len != it->len || p->ahead)
		m->off = m->len = 0;
	return 0;
}

static int plan_place(struct plan *p, const struct item_edit *it,
		      struct vhdx_err *e)
{
	struct fmt_meta_entry *m = &p->t->e[index_of(p->t, it)];
	uint32_t off;

	if (!it->data || m->len == it->len)
		return 0;
	off = find_place(p, p->cursor, it->len);
	if (!off)
		off = find_place(p, FMT_META_TABLE_LEN, it->len);
	if (!off)
		return region_full(p, it->len, e);
	m->off = off;
	m->len = it->len;
	p->cursor = off + it->len;
	return 0;
}

static int verify_users(const struct plan *p, struct vhdx_err *e)
{
	unsigned users = 0;

	for (uint32_t i = 0; i < p->t->cnt; i++)
		users += p->t->e[i].user;
	if (users <= FMT_META_USER_MAX)
		return 0;
	return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_META,
		       p->vi->layout.meta_off, "2.6.1.2",
		       "%s: there would be %u user items, at most %u are "
		       "allowed", p->vi->img.file->path, users,
		       FMT_META_USER_MAX);
}

static int make_plan(struct plan *p, struct vhdx_err *e)
{
	int rc = 0;

	memcpy(p->t, p->vi->layout.meta, sizeof(*p->t));
	p->cursor = FMT_META_TABLE_LEN;
	for (unsigned i = 0; !rc && i < p->cnt; i++)
		if (!p->same[i])
			rc = plan_entry(p, &p->items[i], e);
	for (unsigned i = 0; !rc && i < p->cnt; i++)
		if (!p->same[i])
			rc = plan_place(p, &p->items[i], e);
	if (!rc)
		rc = verify_users(p, e);
	if (!rc)
		meta_table_encode(p->t, p->table);
	return rc;
}

/* Header and entries, old and new ones; what lies behind is nobody's. */
static uint64_t table_len(const struct plan *p)
{
	return FMT_META_ENTRY_LEN *
	       (1 + u64_max(p->t->cnt, p->vi->layout.meta->cnt));
}

static uint64_t item_off(const struct plan *p, const struct item_edit *it)
{
	return p->vi->layout.meta_off + p->t->e[index_of(p->t, it)].off;
}

/* Pages that one entry would have to carry, or a few more. */
static uint64_t page_cnt(const struct plan *p)
{
	uint64_t cnt = div_up(table_len(p), MPAGE_LEN), last = 0;

	for (unsigned i = 0; i < p->cnt; i++) {
		const struct item_edit *it = &p->items[i];
		uint64_t off, end;

		if (p->same[i] || !it->data || !it->len)
			continue;
		off = item_off(p, it) / MPAGE_LEN;
		end = div_up(item_off(p, it) + it->len, MPAGE_LEN);
		cnt += end - off - (off == last);
		last = end - 1;
	}
	return cnt;
}

static int choose_plan(struct plan *p, struct vhdx_err *e)
{
	int rc = make_plan(p, e);

	if (rc || page_cnt(p) <= PAGES_MAX)
		return rc;
	p->ahead = true;
	return make_plan(p, e);
}

/* ---- the change ---------------------------------------------------------- */

static int cover(const struct plan *p, struct vhdx_pages *s,
		 struct vhdx_err *e)
{
	int rc = pages_cover(s, p->vi->layout.meta_off, table_len(p), e);

	for (unsigned i = 0; !rc && !p->ahead && i < p->cnt; i++)
		if (!p->same[i] && p->items[i].data)
			rc = pages_cover(s, item_off(p, &p->items[i]),
					 p->items[i].len, e);
	return rc;
}

static void write_pages(const struct plan *p, struct vhdx_pages *s)
{
	pages_write(s, p->vi->layout.meta_off, p->table, table_len(p));
	if (MUTATED(ITEMS_TOGETHER) && vhdx_settle(p->vi, NULL))
		return;
	for (unsigned i = 0; !p->ahead && i < p->cnt; i++)
		if (!p->same[i] && p->items[i].data)
			pages_write(s, item_off(p, &p->items[i]),
				    p->items[i].data, p->items[i].len);
}

static int write_item_ahead(const struct plan *p, struct vhdx_pages *s,
			    const struct item_edit *it, struct vhdx_err *e)
{
	const uint8_t *data = it->data;
	uint64_t n;
	int rc = 0;

	for (uint64_t at = 0; !rc && at < it->len; at += n) {
		n = u64_min(it->len - at, AHEAD_LEN);
		if (s->cnt + AHEAD_LEN / MPAGE_LEN + 1 > PAGES_MAX) {
			pages_end(s);
			rc = vhdx_settle(p->vi, e);
		}
		if (!rc)
			rc = pages_cover(s, item_off(p, it) + at, n, e);
		if (!rc)
			pages_write(s, item_off(p, it) + at, data + at, n);
	}
	return rc;
}

static int write_ahead(const struct plan *p, struct vhdx_err *e)
{
	struct vhdx_pages s = { .vi = p->vi };
	int rc = 0;

	for (unsigned i = 0; !rc && i < p->cnt; i++)
		if (!p->same[i] && p->items[i].data)
			rc = write_item_ahead(p, &s, &p->items[i], e);
	pages_end(&s);
	return rc ? rc : vhdx_settle(p->vi, e);
}

static int carry_out(const struct plan *p, bool visible, struct vhdx_err *e)
{
	struct vhdx_pages s = { .vi = p->vi };
	int rc = vhdx_session(p->vi, visible, e);

	if (!rc)
		rc = vhdx_settle(p->vi, e);
	if (!rc && p->ahead)
		rc = write_ahead(p, e);
	if (!rc)
		rc = cover(p, &s, e);
	if (!rc)
		write_pages(p, &s);
	pages_end(&s);
	if (!rc)
		rc = vhdx_settle(p->vi, e);
	return rc ? rc : vhdx_reload(p->vi, e);
}

int vhdx_edit_items(struct vhdx_image *vi, const struct item_edit *items,
		    unsigned cnt, bool visible, struct vhdx_err *e)
{
	struct plan p = { .vi = vi, .items = items, .cnt = cnt };
	bool all = true;
	int rc = vhdx_settle(vi, e);

	if (rc)
		return rc;
	p.same = mem_array(u64_max(cnt, 1), sizeof(*p.same));
	p.t = mem_alloc(sizeof(*p.t));
	p.table = mem_alloc(FMT_META_TABLE_LEN);
	if (!p.same || !p.t || !p.table)
		rc = err_set(e, VHDX_E_NOMEM, "no memory to edit metadata");
	if (!rc)
		rc = find_same(&p, &all, e);
	if (!rc && !all)
		rc = choose_plan(&p, e);
	if (!rc && !all)
		rc = carry_out(&p, visible, e);
	mem_free(p.same);
	mem_free(p.t);
	mem_free(p.table);
	return rc;
}
