/* SPDX-License-Identifier: MIT */
/*
 * Another header takes the place of the one in force, at one instant. The
 * header takes two sectors, so it is never changed where it is: a new one is
 * written where nothing is, and the footers, one sector each, are led there.
 *
 * S1  The new header, and all it points to, is durable before a footer names
 *     it; until then the copy at 0 names the old one, and is valid (V1).
 * S2  The footer at the end goes first, and is durable before the copy is
 *     touched. So one of the two is valid whatever becomes of the other, and
 *     where they disagree on the place of the header while both headers are
 *     sound, the switch was interrupted and the one at the end is right
 *     (vhd1_load.h: `switched`).
 * S3  The copy is durable before anything else is done, for it alone counts
 *     once a new block covers the footer at the end.
 *
 * The place: where a former header of this very file is, if it had as much
 * room and nothing is there now; else behind everything else, as for a block.
 */
#include "vhd1_relink.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"
#include "vhd1_parent.h"

/* ---- where it goes ------------------------------------------------------- */

struct search {
	struct file *f;
	const struct vhd1_bat *bat;
	uint64_t need, off; /* off: found, or 0 */
};

static void ignore_bad(void *arg, uint32_t blk, const char *text)
{
	(void)arg;
	(void)blk;
	(void)text;
}

static void look_at_gap(void *arg, uint64_t off, uint64_t len)
{
	struct search *s = arg;

	if (!s->off && len >= s->need &&
	    vhd1_former_len(s->f, s->bat, off, len) >= s->need)
		s->off = off;
}

int vhd1_header_place(struct vhd1 *v, size_t data_len, uint64_t *off,
		      struct vhdx_err *e)
{
	struct search s = { v->img.file, &v->bat, VHD1_HEADER_LEN + data_len,
			    0 };
	int rc = vhd1_bat_audit(&v->bat, v->end_off, ignore_bad, look_at_gap,
				&s, e);

	*off = s.off ? s.off : vhd1_footer_off(v->end_off);
	if (rc || *off <= VHD1_REACH_LEN - s.need)
		return rc;
	return err_set(e, VHDX_E_NOSPC, "%s: a new header would lie at file "
		       "offset %ju, but it has to end by %ju",
		       v->img.file->path, (uintmax_t)*off,
		       (uintmax_t)VHD1_REACH_LEN);
}

/* ---- the switch ---------------------------------------------------------- */

static void fail(struct vhd1 *v, struct vhdx_err *e, int rc)
{
	struct vhdx_err why;

	if (e)
		why = *e;
	else
		(void)err_set(&why, rc, "changing the header");
	vhd1_fail(v, &why);
}

static int put(struct vhd1 *v, uint64_t off, const void *buf, size_t len,
	       bool sync, struct vhdx_err *e)
{
	int rc = file_write(v->img.file, off, buf, len, e);

	if (rc == 0 && sync)
		rc = file_sync(v->img.file, e);
	return rc;
}

/* S1. A host that is full, or any other failure, leaves the old one in force
 * by the copy; closing restores the footer. At the end of the file the old
 * footer goes behind it, to take the space that the new one will need. */
static int write_body(struct vhd1 *v, const struct vhd1_switch *s, bool at_end,
		      struct vhdx_err *e)
{
	size_t len = VHD1_HEADER_LEN + s->data_len;
	int rc;

	vhd1_header_encode(s->header, s->body);
	memcpy(s->body + len, v->footer, VHD1_FOOTER_LEN);
	if (at_end)
		v->footer_stale = true;
	rc = put(v, s->off, s->body, len + (at_end ? VHD1_FOOTER_LEN : 0),
		 !MUTATED(VHD_HEADER_FIRST), e);
	if (rc)
		return err_wrap(e, rc, "writing a new header");
	if (at_end) {
		v->end_off = s->off + len;
		v->footer_stale = false;
	}
	return 0;
}

/* The footer in force is the last thing in the file. */
static int settle_footer(struct vhd1 *v, struct vhdx_err *e)
{
	uint64_t off = vhd1_footer_off(v->end_off);
	int rc = 0;

	if (v->footer_stale)
		rc = put(v, off, v->footer, VHD1_FOOTER_LEN, true, e);
	if (rc == 0 && v->img.file->size > off + VHD1_FOOTER_LEN)
		rc = file_truncate(v->img.file, off + VHD1_FOOTER_LEN, e);
	if (rc == 0)
		v->footer_stale = false;
	return rc ? err_wrap(e, rc, "writing the footer") : 0;
}

/* S2, S3. After a failure here nobody knows which header is in force. */
static int lead_footers(struct vhd1 *v, const uint8_t *footer,
			struct vhdx_err *e)
{
	uint64_t end = vhd1_footer_off(v->end_off);
	int rc = put(v, end, footer, VHD1_FOOTER_LEN, !MUTATED(VHD_END_FIRST),
		     e);

	if (rc == 0 && !MUTATED(VHD_COPY_FOLLOWS))
		rc = put(v, 0, footer, VHD1_FOOTER_LEN, true, e);
	if (rc) {
		rc = err_wrap(e, rc, "changing the footers");
		fail(v, e, rc);
		return rc;
	}
	memcpy(v->footer, footer, VHD1_FOOTER_LEN);
	return 0;
}

int vhd1_switch_header(struct vhd1 *v, struct vhd1_switch *s,
		       struct vhdx_err *e)
{
	uint8_t footer[VHD1_FOOTER_LEN];
	bool at_end = s->off == vhd1_footer_off(v->end_off);
	int rc = at_end ? 0 : settle_footer(v, e);

	if (rc == 0)
		rc = write_body(v, s, at_end, e);
	if (rc == 0 && at_end)
		rc = settle_footer(v, e);
	if (rc)
		return rc;
	memcpy(footer, s->footer, sizeof(footer));
	vhd1_footer_lead(footer, s->off);
	rc = lead_footers(v, footer, e);
	if (rc)
		return rc;
	if (at_end)
		v->kept_end = v->end_off;
	v->header = *s->header;
	v->bat.header_off = s->off;
	return 0;
}

int vhd1_switch_footers(struct vhd1 *v, const uint8_t *footer,
			struct vhdx_err *e)
{
	int rc = settle_footer(v, e);

	return rc ? rc : lead_footers(v, footer, e);
}

/* ---- the parent ---------------------------------------------------------- */

/* The header and its locators have left the end of the file: closing gives
 * back what they took. */
static void free_end(struct vhd1 *v, uint64_t was_off)
{
	if (was_off >= v->end_off || v->kept_end != v->end_off)
		return;
	if (was_off + vhd1_former_len(v->img.file, &v->bat, was_off,
				      v->end_off - was_off) == v->end_off)
		v->kept_end = was_off;
}

/* Does the file hold this locator already, data included? */
static bool is_recorded(struct vhd1 *v, const struct vhd1_locator *was,
			const struct vhd1_locator *l, const uint8_t *data)
{
	uint8_t buf[512];

	if (memcmp(was->code, l->code, sizeof(l->code)) != 0 ||
	    was->len != l->len)
		return false;
	for (uint32_t pos = 0; pos < l->len; pos += sizeof(buf)) {
		size_t n = (size_t)u64_min(l->len - pos, sizeof(buf));
		uint64_t off;

		if (ckd_add(was->off, pos, &off) ||
		    file_read(v->img.file, off, buf, n, NULL) ||
		    memcmp(buf, data + pos, n) != 0)
			return false;
	}
	return true;
}

/* h's locators count from the start of room. */
static bool is_same(struct vhd1 *v, const struct vhd1_header *h,
		    const uint8_t *room)
{
	const struct vhd1_header *was = &v->header;

	if (memcmp(was->parent_uuid, h->parent_uuid, 16) != 0 ||
	    was->parent_timestamp != h->parent_timestamp ||
	    memcmp(was->name, h->name, sizeof(h->name)) != 0)
		return false;
	for (size_t i = 0; room && i < VHD1_LOCATOR_CNT; i++)
		if (!is_recorded(v, &was->locators[i], &h->locators[i],
				 room + h->locators[i].off))
			return false;
	return true;
}

static int switch_parent(struct vhd1 *v, struct vhd1_header *h, uint8_t *body,
			 bool moved, struct vhdx_err *e)
{
	uint64_t was_off = v->bat.header_off;
	struct vhd1_switch s = { .header = h, .footer = v->footer,
				 .body = body,
				 .data_len = moved ? VHD1_ROOM_LEN : 0 };
	int rc = vhd1_header_place(v, s.data_len, &s.off, e);

	if (rc)
		return rc;
	for (size_t i = 0; moved && i < VHD1_LOCATOR_CNT; i++)
		if (h->locators[i].len)
			h->locators[i].off += s.off + VHD1_HEADER_LEN;
	rc = vhd1_switch_header(v, &s, e);
	if (rc)
		return rc;
	vhd1_bat_note_locators(&v->bat, h);
	if (moved)
		free_end(v, was_off);
	return 0;
}

/* *changed: false if all of it was recorded already. */
static int write_parent(struct vhd1 *v, const struct parent_edit *p,
			uint8_t *body, bool *changed, struct vhdx_err *e)
{
	uint8_t *room = p->path ? body + VHD1_HEADER_LEN : NULL;
	struct vhd1_header h = v->header;

	if (room) {
		int rc = vhd1_parent_record(v->img.file->path, p->path, &h, 0,
					    room, e);
		if (rc)
			return rc;
	}
	memcpy(h.parent_uuid, p->linkage.b, sizeof(h.parent_uuid));
	*changed = !is_same(v, &h, room);
	return *changed ? switch_parent(v, &h, body, room, e) : 0;
}

int vhd1_set_parent(struct image *img, const struct parent_edit *p,
		    struct vhdx_err *e)
{
	struct vhd1 *v = container_of(img, struct vhd1, img);
	struct parent_ref *ref;
	bool changed = false;
	uint8_t *body;
	int rc;

	if (!vhd1_has_parent(v))
		return err_set(e, VHDX_E_INVAL, "%s: is not a differencing "
			       "disk: it has no parent", img->file->path);
	rc = vhd1_settle(v, e);
	if (rc)
		return rc;
	body = mem_alloc(vhd1_switch_len(VHD1_ROOM_LEN));
	if (!body)
		return err_set(e, VHDX_E_NOMEM, "no memory for a new header");
	rc = write_parent(v, p, body, &changed, e);
	mem_free(body);
	if (rc || !changed)
		return rc;
	rc = vhd1_parent_load(img->file, &v->header, v->bat.header_off, true,
			      &ref, e);
	if (rc)
		return rc;
	parent_ref_free(img->parent);
	img->parent = ref;
	return 0;
}

/* A VHD has nothing that goes with the virtual disk from file to file: its
 * unique id is what its children know it by, so it stays with the file, and the
 * rest says how this file was made. */
int vhd1_adopt(struct image *img, struct image *from, struct vhdx_err *e)
{
	(void)img;
	(void)from;
	(void)e;
	return 0;
}
