/* SPDX-License-Identifier: MIT */
#include "part.h"

#include <stdlib.h>

#include "parttab.h"
#include "report.h"
#include "say.h"

static int read_disk(void *arg, uint64_t off, void *buf, size_t len,
		     struct vhdx_err *e)
{
	return vhdx_blk_read(arg, off, buf, len, e);
}

static void take(struct mnt *m, const struct parttab *t)
{
	tree_parts_begin(&m->tree);
	for (unsigned i = 0; i < t->part_cnt; i++) {
		const struct parttab_part *p = &t->parts[i];
		bool whole = p->off % m->geo.sector_len == 0 &&
			     p->len % m->geo.sector_len == 0;
		if (!p->extended && whole &&
		    !tree_part(&m->tree, p->nr, p->off, p->len))
			say_note(NULL, "out of memory: p%u is left out", p->nr);
	}
	tree_parts_end(&m->tree);
}

void part_scan(struct mnt *m)
{
	struct parttab *t = calloc(1, sizeof(*t));
	struct vhdx_err err;
	m->table_touched = false;
	if (!m->tree.info) { /* the disk alone */
		free(t);
		return;
	}
	if (!t)
		say_note(NULL, "partitions: out of memory");
	else if (parttab_load(read_disk, m->blk, m->geo.size_len,
			      m->geo.sector_len, t, &err))
		say_note(m->dev.image, "partitions: %s", err.text);
	else
		take(m, t);
	if (t && t->kind == VHDX_TABLE_DAMAGED)
		say_note(m->dev.image, "no partitions: %s", t->why.text);
	free(t);
	if (!report_make_info(m))
		say_note(NULL, "info.json: out of memory");
}

void part_refresh(struct mnt *m)
{
	if (m->table_touched)
		part_scan(m);
}

json_t *part_report(const struct mnt *m)
{
	json_t *list = json_array();
	for (const struct node *n = m->tree.first; n; n = n->next) {
		if (n->kind != NODE_PART || n->gone)
			continue;
		(void)json_array_append_new(list, json_pack(
			"{s:s, s:i, s:I, s:I}", "name", n->name, "number",
			(int)n->part_nr, "offset", (json_int_t)n->off,
			"length", (json_int_t)n->len));
	}
	return list;
}
