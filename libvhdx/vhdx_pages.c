/* SPDX-License-Identifier: MIT */
/* Blocking access to metadata pages; the rules stand in vhdx_pages.h. */
#include "vhdx_pages.h"

#include <string.h>

struct pin {
	struct mcache_wait w;
	bool done;
	struct vhdx_err err;
};

static void pin_done(struct mcache_wait *w)
{
	struct pin *p = container_of(w, struct pin, w);

	if (w->res)
		p->err = *w->err;
	p->done = true;
}

static int pin_page(struct vhdx_image *vi, uint64_t off, struct mpage **out,
		    struct vhdx_err *e)
{
	struct pin p = { .w.fn = pin_done };

	if (mcache_get(vi->mc, off, &p.w))
		pin_done(&p.w);
	while (!p.done)
		loop_turn(vi->img.file->loop, -1);
	*out = p.w.page;
	return err_copy(e, &p.err, p.w.res);
}

static struct mpage *find(const struct vhdx_pages *s, uint64_t off)
{
	for (unsigned i = 0; i < s->cnt; i++)
		if (s->p[i]->off == align_down(off, MPAGE_LEN))
			return s->p[i];
	return NULL;
}

static int too_many(const struct vhdx_pages *s, struct vhdx_err *e)
{
	return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_LOG,
		       s->vi->hdr.cur.log_off, "2.3.1",
		       "%s: this change takes more than the %u pages of "
		       "4 KiB that one log entry can carry",
		       s->vi->img.file->path, s->cnt);
}

int pages_cover(struct vhdx_pages *s, uint64_t off, uint64_t len,
		struct vhdx_err *e)
{
	uint64_t pos = align_down(off, MPAGE_LEN);
	int rc = 0;

	for (; !rc && pos < off + len; pos += MPAGE_LEN) {
		struct mpage *p;

		if (find(s, pos))
			continue;
		if (s->cnt == PAGES_MAX)
			return too_many(s, e);
		rc = pin_page(s->vi, pos, &p, e);
		if (rc)
			break;
		if (!mcache_claim(s->vi->mc, p)) {
			mcache_put(s->vi->mc, p);
			return too_many(s, e);
		}
		s->p[s->cnt++] = p;
	}
	return rc;
}

void pages_write(struct vhdx_pages *s, uint64_t off, const void *data,
		 uint64_t len)
{
	const uint8_t *in = data;

	while (len) {
		struct mpage *p = find(s, off);
		uint64_t at = off % MPAGE_LEN;
		uint64_t n = u64_min(len, MPAGE_LEN - at);

		ASSERT(p);
		if (memcmp(p->data + at, in, n) != 0) {
			memcpy(p->data + at, in, n);
			mcache_dirty(s->vi->mc, p);
		}
		in += n;
		off += n;
		len -= n;
	}
}

const uint8_t *pages_at(const struct vhdx_pages *s, uint64_t off)
{
	const struct mpage *p = find(s, off);

	ASSERT(p);
	return p->data;
}

void pages_end(struct vhdx_pages *s)
{
	while (s->cnt) {
		struct mpage *p = s->p[--s->cnt];

		mcache_unclaim(s->vi->mc, p);
		mcache_put(s->vi->mc, p);
	}
}
