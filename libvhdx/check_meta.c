/* SPDX-License-Identifier: MIT */
/*
 * The metadata table: header, every entry by itself, every pair of entries.
 * The table has no checksum and no second copy, so nothing in it is mended.
 */
#include "vhdx_check.h"

#include <inttypes.h>

#include "mem.h"

struct table {
	uint8_t *b; /* FMT_META_TABLE_LEN, owned */
	struct fmt_meta_table *t; /* owned */
	bool good[FMT_META_MAX]; /* entry i keeps all rules */
};

static uint64_t entry_off(const struct vck *v, uint32_t i)
{
	return v->meta->off + FMT_META_ENTRY_LEN * ((uint64_t)i + 1);
}

static void say_entries(struct vck *v, struct table *m)
{
	struct check_many bad = { 0 };
	struct vhdx_err why;
	unsigned users = 0;

	for (uint32_t i = 0; i < m->t->cnt; i++) {
		const uint8_t *b = m->b + FMT_META_ENTRY_LEN * ((size_t)i + 1);

		m->good[i] = meta_entry_decode(b, entry_off(v, i),
					       v->meta->len, &m->t->e[i],
					       &why) == 0;
		users += m->t->e[i].user;
		if (!m->good[i] && check_in_full(&bad))
			check_error(v->c, why.obj, why.off, why.spec,
				    "%s (entry %" PRIu32 ")", why.text, i);
	}
	check_rest(v->c, &bad, VHDX_SEV_ERROR, CHECK_NO_FIX, VHDX_OBJ_META,
		   "2.6.1.2", "bad metadata entries");
	if (users > FMT_META_USER_MAX)
		check_error(v->c, VHDX_OBJ_META, v->meta->off, "2.6.1.2",
			    "the metadata table has %u user entries, at most "
			    "%u are allowed", users, FMT_META_USER_MAX);
}

/* What is wrong between entries k < i, or NULL. */
static const char *conflict(const struct fmt_meta_entry *k,
			    const struct fmt_meta_entry *i)
{
	if (guid_eq(&k->id, &i->id) && k->user == i->user)
		return "have the same ItemId";
	/* Empty items lie at 0..0 and touch nothing. */
	if (k->off < i->off + i->len && i->off < k->off + k->len)
		return "overlap";
	return NULL;
}

static void say_pairs(struct vck *v, struct table *m)
{
	struct check_many bad = { 0 };

	for (uint32_t i = 0; i < m->t->cnt; i++) {
		const struct fmt_meta_entry *a = &m->t->e[i];

		for (uint32_t k = 0; m->good[i] && k < i; k++) {
			const struct fmt_meta_entry *b = &m->t->e[k];
			const char *how = m->good[k] ? conflict(b, a) : NULL;

			if (how && check_in_full(&bad))
				check_error(v->c, VHDX_OBJ_META,
					    entry_off(v, i), "2.6.1.2",
					    "metadata entries %" PRIu32 " (%"
					    PRIu32 "+%" PRIu32 ") and %" PRIu32
					    " (%" PRIu32 "+%" PRIu32 ") %s", k,
					    b->off, b->len, i, a->off, a->len,
					    how);
		}
	}
	check_rest(v->c, &bad, VHDX_SEV_ERROR, CHECK_NO_FIX, VHDX_OBJ_META,
		   "2.6.1.2", "pairs of entries that conflict");
}

static int examine(struct vck *v, struct table *m, struct vhdx_err *e)
{
	struct vhdx_err why;
	int rc = file_read(v->file, v->meta->off, m->b, FMT_META_TABLE_LEN, e);

	if (rc)
		return rc;
	if (meta_header_decode(m->b, v->meta->off, &m->t->cnt, &why)) {
		check_say_err(v->c, VHDX_SEV_ERROR, CHECK_NO_FIX, &why);
		return 0;
	}
	say_entries(v, m);
	say_pairs(v, m);
	return vck_items(v, m->t, m->good, e);
}

int vck_meta(struct vck *v, struct vhdx_err *e)
{
	struct table *m;
	int rc;

	if (!v->meta)
		return 0;
	m = mem_zalloc(sizeof(*m));
	if (m) {
		m->b = mem_alloc(FMT_META_TABLE_LEN);
		m->t = mem_zalloc(sizeof(*m->t));
	}
	if (!m || !m->b || !m->t)
		rc = err_set(e, VHDX_E_NOMEM, "no memory for a metadata table");
	else
		rc = examine(v, m, e);
	if (m) {
		mem_free(m->b);
		mem_free(m->t);
	}
	mem_free(m);
	return rc;
}
