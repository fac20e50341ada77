/* SPDX-License-Identifier: MIT */
#include "part.h"

#include <semaphore.h>
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

static void use(struct mnt *m, const struct parttab *t, int rc,
		const struct vhdx_err *err)
{
	if (rc)
		say_note(m->dev.image, "partitions: %s", err->text);
	else
		take(m, t);
	if (t->kind == VHDX_TABLE_DAMAGED)
		say_note(m->dev.image, "no partitions: %s", t->why.text);
	if (!report_make_info(m))
		say_note(NULL, "info.json: out of memory");
}

static int load(const struct mnt *m, parttab_read_fn *read, void *arg,
		struct parttab *t, struct vhdx_err *err)
{
	return parttab_load(read, arg, m->geo.size_len, m->geo.sector_len, t,
			    err);
}

void part_scan(struct mnt *m)
{
	struct parttab *t;
	struct vhdx_err err;
	if (!m->tree.info)
		return; /* the disk alone */
	t = calloc(1, sizeof(*t));
	if (t)
		use(m, t, load(m, read_disk, m->blk, t, &err), &err);
	else
		say_note(NULL, "partitions: out of memory");
	free(t);
}

/* ---- again, on the side ------------------------------------------------- */

struct scan {
	struct aside_job job;
	struct mnt *m;
	uint64_t seq; /* of the last change that it sees */
	int rc;
	struct vhdx_err err;
	struct parttab t;
};

/* A read that is asked for on the side, and done by the loop. */
struct far_read {
	struct vhdx_req req;
	sem_t over;
};

static void far_read_done(struct vhdx_req *req)
{
	sem_post(&((struct far_read *)req->opaque)->over);
}

static int far_read(void *arg, uint64_t off, void *buf, size_t len,
		    struct vhdx_err *e)
{
	struct iovec iov = { buf, len };
	struct far_read r = { .req = {
		.op = VHDX_OP_READ, .voff = off, .len = len,
		.iov = &iov, .iov_cnt = 1, .err = e,
		.done = far_read_done, .opaque = &r,
	} };
	sem_init(&r.over, 0, 0);
	vhdx_blk_post(arg, &r.req);
	while (sem_wait(&r.over) != 0)
		;
	sem_destroy(&r.over);
	return r.req.result;
}

static void scan_work(struct aside_job *j)
{
	struct scan *s = (struct scan *)j;
	s->rc = load(s->m, far_read, s->m->blk, &s->t, &s->err);
}

/* Those who wait for no later change than this; not ok: all. */
static void answer(struct mnt *m, uint64_t seq, bool ok)
{
	struct part_wait *list = m->part_waits, **end = &m->part_waits;
	m->part_waits = NULL;
	while (list) {
		struct part_wait *w = list;
		list = w->next;
		if (ok && w->seq > seq) {
			w->next = NULL;
			*end = w;
			end = &w->next;
		} else {
			w->go(w, ok);
		}
	}
}

static void begin(struct mnt *m);

static void scan_done(struct aside_job *j)
{
	struct scan *s = (struct scan *)j;
	struct mnt *m = s->m;
	m->scanning = false;
	m->table_scanned = s->seq;
	use(m, &s->t, s->rc, &s->err);
	free(s);
	answer(m, m->table_scanned, true);
	if (m->part_waits)
		begin(m);
}

static void begin(struct mnt *m)
{
	struct scan *s = calloc(1, sizeof(*s));
	if (s) {
		s->job.work = scan_work;
		s->job.done = scan_done;
		s->m = m;
		s->seq = m->table_seq;
		m->scanning = aside_do(m->aside, &s->job);
	}
	if (!m->scanning) {
		free(s);
		answer(m, 0, false);
	}
}

void part_touch(struct mnt *m)
{
	m->table_seq += m->tree.info != NULL;
}

bool part_is_current(const struct mnt *m)
{
	return m->table_scanned == m->table_seq;
}

void part_when_current(struct mnt *m, struct part_wait *w)
{
	struct part_wait **end = &m->part_waits;
	while (*end)
		end = &(*end)->next;
	w->next = NULL;
	w->seq = m->table_seq;
	*end = w;
	if (!m->scanning)
		begin(m);
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
