/* SPDX-License-Identifier: MIT */
#include "blank.h"

struct step {
	struct image_map m;
	bool done;
};

static void finished(struct image_map *m)
{
	container_of(m, struct step, m)->done = true;
}

static void begin(struct step *s, struct image *img, uint64_t voff,
		  uint64_t len)
{
	*s = (struct step){ .m = { .img = img, .voff = voff, .len = len,
				   .done = finished } };
}

/* `ended`: what the image's call returned. */
static int wait(struct step *s, bool ended, struct vhdx_err *e)
{
	while (!ended && !s->done)
		loop_turn(s->m.img->file->loop, -1);
	s->done = false;
	return s->m.res ? err_copy(e, &s->m.err, s->m.res) : 0;
}

/* One extent as for a write, of zeros. *len: as far as it went. */
static int write_zeros(struct image *img, uint64_t voff, uint64_t *len,
		       struct vhdx_err *e)
{
	struct step s;
	int rc, end_rc;

	begin(&s, img, voff, *len);
	rc = wait(&s, img->ops->map_write(img, &s.m), e);
	if (rc)
		return rc;
	*len = s.m.len;
	rc = file_blank(s.m.file, s.m.file_off, s.m.len, e);
	end_rc = wait(&s, img->ops->end_write(img, &s.m, rc == 0),
		      rc ? NULL : e);
	return rc ? rc : end_rc;
}

int blank_range(struct image *img, uint64_t from, uint64_t to,
		bool hide_parent, struct vhdx_err *e)
{
	struct step s;
	int rc = 0;

	while (!rc && from < to) {
		begin(&s, img, from, to - from);
		rc = wait(&s, img->ops->map_read(img, &s.m), e);
		if (!rc && (s.m.kind == MAP_DATA ||
			    (s.m.kind == MAP_PARENT && hide_parent)))
			rc = write_zeros(img, from, &s.m.len, e);
		from += s.m.len;
	}
	return rc;
}
