/* SPDX-License-Identifier: MIT */
#include "guids.h"

#include "file_mem.h"
#include "header.h"

static bool load(struct loop *l, const struct memimg *img,
		 struct header_pair *p)
{
	struct memimg copy;
	struct file *f;
	int rc;

	memimg_clone(&copy, img);
	if (file_mem_new(l, "headers", &copy, &f, NULL))
		abort();
	rc = header_load(f, p, NULL);
	file_close(f);
	memimg_free(&copy);
	return rc == 0;
}

void guids_add(struct guids *g, struct loop *l, const struct memimg *img,
	       uint64_t pos)
{
	struct guids_session *s = &g->s[g->cnt];
	struct header_pair p;

	ASSERT(g->cnt < GUIDS_SESSIONS);
	if (!load(l, img, &p))
		return; /* not a VHDX image */
	s->file_write = p.cur.file_write;
	s->data_write = p.cur.data_write;
	s->pos = pos;
	memimg_clone(&s->img, img);
	g->cnt++;
}

void guids_free(struct guids *g)
{
	while (g->cnt)
		memimg_free(&g->s[--g->cnt].img);
}

static void verify_untouched(const struct memimg *now,
			     const struct memimg *then, struct verdict *v)
{
	struct memimg a, b;
	uint64_t diff;

	memimg_clone(&a, now);
	memimg_clone(&b, then);
	memimg_zero(&a, FMT_HEADER_OFF(0), 2 * FMT_HEADER_OFF(0));
	memimg_zero(&b, FMT_HEADER_OFF(0), 2 * FMT_HEADER_OFF(0));
	if (!memimg_eq(&a, &b, &diff))
		verdict_set(v, "G1: byte %ju has changed, FileWriteGuid has "
			    "not", (uintmax_t)diff);
	memimg_free(&a);
	memimg_free(&b);
}

void guids_verify(const struct guids *g, struct loop *l,
		  const struct memimg *img, struct expect *x,
		  struct verdict *v)
{
	struct header_pair p;

	if (!g->cnt)
		return;
	if (!load(l, img, &p)) {
		verdict_set(v, "no header is valid");
		return;
	}
	for (unsigned i = 0; i < g->cnt && !v->bad; i++) {
		const struct guids_session *s = &g->s[i];

		if (s->pos <= x->pos &&
		    guid_eq(&s->file_write, &p.cur.file_write))
			verify_untouched(img, &s->img, v);
		if (guid_eq(&s->data_write, &p.cur.data_write))
			x->pos = u64_min(x->pos, s->pos);
	}
}

void guids_verify_recovery(struct loop *l, const struct memimg *before,
			   const struct memimg *after, struct verdict *v)
{
	struct header_pair a, b;

	if (!load(l, before, &a) || !load(l, after, &b))
		return;
	if (!guid_eq(&a.cur.data_write, &b.cur.data_write))
		verdict_set(v, "G3: recovery has changed DataWriteGuid");
}
