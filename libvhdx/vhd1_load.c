/* SPDX-License-Identifier: MIT */
/*
 * Which footer is in force, and what lies at the end of the file, is the one
 * question of this format that has traps. The footer at the end is the primary
 * one, but a dynamic disk that grew in a session which then crashed ends in
 * payload, and payload may hold anything, a whole VHD file with a valid footer
 * included. So the two copies are compared, and the end loses where it cannot
 * be this disk's. A fixed disk has no copy, and its first sector is payload:
 * there the end wins if the size it names ends exactly where it stands.
 */
#include "vhd1_load.h"

#include "mutation.h"

static int read_copy(struct file *f, uint64_t off, uint32_t len,
		     struct vhd1_copy *c, struct vhdx_err *e)
{
	int rc;

	memset(c, 0, sizeof(*c));
	c->off = off;
	c->len = len;
	rc = file_read(f, off, c->raw, len, e);
	if (rc)
		return err_wrap(e, rc, "reading the footer of %s", f->path);
	c->cookie = memcmp(c->raw, VHD1_COOKIE, VHD1_COOKIE_LEN) == 0;
	c->valid = vhd1_footer_decode(c->raw, off, &c->f, &c->why) == 0;
	return 0;
}

/* 512 bytes, or 511 where only these look like a footer. */
static int read_end(struct file *f, struct vhd1_copy *c, struct vhdx_err *e)
{
	int rc = read_copy(f, f->size - VHD1_FOOTER_LEN, VHD1_FOOTER_LEN, c, e);

	if (rc || c->cookie)
		return rc;
	struct vhd1_copy old;
	rc = read_copy(f, f->size - VHD1_FOOTER_LEN + 1, VHD1_FOOTER_LEN - 1,
		       &old, e);
	if (rc == 0 && old.cookie)
		*c = old;
	return rc;
}

/* ---- a fixed disk whose growth was cut short ---------------------------- */

#define LOOK_LEN MIB

/* The end of the last range of the file that the host does not know to be
 * zeros. */
static int last_data_end(struct file *f, uint64_t *end, struct vhdx_err *e)
{
	uint64_t low = 0, high = f->size, off, len = 1;
	int rc = 0;

	while (!rc && high - low > VHD1_SECTOR) {
		uint64_t mid = low + (high - low) / 2;

		rc = file_next_data(f, mid, &off, &len, e);
		if (len)
			low = u64_min(u64_max(mid, off), high);
		else
			high = mid;
	}
	for (*end = low, len = 1; !rc && len;) {
		rc = file_next_data(f, *end, &off, &len, e);
		if (!rc && len)
			*end = off + len;
	}
	return rc;
}

/* The sector of the last byte that is not 0 before `end`, if near. */
static int last_sector(struct file *f, uint64_t end, uint64_t *off, bool *found,
		       struct vhdx_err *e)
{
	uint64_t stop = end > LOOK_LEN ? end - LOOK_LEN : 0;
	uint8_t b[4096];

	*found = false;
	while (end > stop) {
		uint64_t at = align_down(end - 1, sizeof(b));
		size_t len = (size_t)(end - at);
		int rc = file_read(f, at, b, len, e);

		if (rc)
			return rc;
		while (len && !b[len - 1])
			len--;
		*found = len > 0;
		*off = align_down(at + len - *found, VHD1_SECTOR);
		if (*found)
			return 0;
		end = at;
	}
	return 0;
}

static bool all_zero(const uint8_t *b, size_t len)
{
	while (len && !b[len - 1])
		len--;
	return len == 0;
}

int vhd1_find_lost_footer(struct file *f, struct vhd1_copy *c, bool *found,
			  struct vhdx_err *e)
{
	uint64_t end, off;
	int rc;

	*found = false;
	if (f->size < 2 * VHD1_FOOTER_LEN)
		return 0;
	rc = read_copy(f, f->size - VHD1_FOOTER_LEN, VHD1_FOOTER_LEN, c, e);
	if (rc || !all_zero(c->raw, sizeof(c->raw)))
		return rc;
	rc = last_data_end(f, &end, e);
	if (!rc)
		rc = last_sector(f, end, &off, found, e);
	if (rc || !*found)
		return rc;
	*found = false;
	if (off > f->size - VHD1_FOOTER_LEN)
		return 0;
	rc = read_copy(f, off, VHD1_FOOTER_LEN, c, e);
	*found = !rc && c->valid && c->f.type == VHD1_FIXED &&
		 c->f.current_len == off;
	return rc;
}

static void reject(struct vhd1_copy *c, const char *why)
{
	c->valid = false;
	err_corrupt(&c->why, VHDX_OBJ_FOOTER, c->off, "VHD",
		    "the footer at file offset %ju %s", (uintmax_t)c->off, why);
}

static void choose(struct vhd1_footers *ft)
{
	struct vhd1_copy *end = &ft->end, *head = &ft->head;

	if (head->valid && head->f.type == VHD1_FIXED)
		reject(head, "is a fixed disk's, which has none there");
	if (end->valid && end->f.type == VHD1_FIXED) {
		bool exact = end->f.current_len == end->off;

		if (head->valid && !exact)
			reject(end, "is not of this disk: the copy at the "
				    "start of the file is a dynamic disk's");
		else
			head->valid = false;
	} else if (end->valid && head->valid &&
		   memcmp(end->f.uuid, head->f.uuid, 16) != 0) {
		reject(end, "is not of this disk: the copy at the start of "
			    "the file has another unique id");
	}
	ft->use = end->valid ? end : head->valid ? head : NULL;
}

static bool is_switched(struct file *f, const struct vhd1_footers *ft)
{
	const struct vhd1_footer *a = &ft->end.f, *b = &ft->head.f;
	struct vhd1_header h;

	return ft->end.valid && ft->head.valid && a->type == b->type &&
	       a->data_off != b->data_off &&
	       vhd1_header_load(f, a, &h, NULL) == 0 &&
	       vhd1_header_load(f, b, &h, NULL) == 0;
}

int vhd1_footers_load(struct file *f, struct vhd1_footers *out,
		      struct vhdx_err *e)
{
	memset(out, 0, sizeof(*out));
	if (f->size < VHD1_FOOTER_LEN)
		return err_corrupt(e, VHDX_OBJ_FOOTER, 0, "VHD",
				   "%s has %ju bytes: too short for a VHD "
				   "footer, which takes %u", f->path,
				   (uintmax_t)f->size, VHD1_FOOTER_LEN);
	int rc = read_end(f, &out->end, e);
	if (rc == 0)
		rc = read_copy(f, 0, VHD1_FOOTER_LEN, &out->head, e);
	if (rc == 0 && !out->end.cookie && !out->head.cookie) {
		struct vhd1_copy lost;
		bool found;

		rc = vhd1_find_lost_footer(f, &lost, &found, e);
		if (rc == 0 && found)
			out->end = lost;
	}
	if (rc)
		return rc;
	choose(out);
	out->switched = is_switched(f, out);
	if (out->use)
		return 0;
	/* Of two bad ones, tell of the one that was a footer once. */
	const struct vhd1_copy *c = out->end.cookie || !out->head.cookie
					    ? &out->end : &out->head;
	return err_copy(e, &c->why, c->why.code);
}

bool vhd1_footers_differ(const struct vhd1_footers *ft, bool *grave)
{
	const struct vhd1_footer *a = &ft->end.f, *b = &ft->head.f;

	*grave = false;
	if (!ft->end.valid || !ft->head.valid ||
	    memcmp(ft->end.raw, ft->head.raw, VHD1_FOOTER_LEN) == 0)
		return false;
	*grave = !ft->switched && (a->current_len != b->current_len ||
				   a->type != b->type ||
				   a->data_off != b->data_off);
	return true;
}

uint64_t vhd1_limit(const struct file *f, const struct vhd1_footers *ft)
{
	return ft->head.valid ? f->size : ft->end.off;
}

void vhd1_footers_settle(struct vhd1_footers *ft, uint64_t data_end)
{
	if (!ft->end.valid || !ft->head.valid || data_end <= ft->end.off)
		return;
	reject(&ft->end, "lies inside a block: it is payload, and the footer "
			 "itself is missing");
	ft->use = &ft->head;
	ft->switched = false;
}

int vhd1_header_load(struct file *f, const struct vhd1_footer *ft,
		     struct vhd1_header *out, struct vhdx_err *e)
{
	uint8_t b[VHD1_HEADER_LEN];
	uint64_t end, max = u64_min(f->size, VHD1_REACH_LEN);

	if (ft->data_off < VHD1_FOOTER_LEN ||
	    !is_aligned(ft->data_off, VHD1_SECTOR) ||
	    ckd_add(ft->data_off, VHD1_HEADER_LEN, &end) || end > max)
		return err_corrupt(e, VHDX_OBJ_FOOTER, 16, "VHD",
				   "the footer puts the dynamic disk header at "
				   "file offset %ju: it must be a multiple of "
				   "512, from 512 up, and end by %ju",
				   (uintmax_t)ft->data_off, (uintmax_t)max);
	int rc = file_read(f, ft->data_off, b, sizeof(b), e);
	if (rc)
		return err_wrap(e, rc, "reading the dynamic disk header");
	return vhd1_header_decode(b, ft->data_off, out, e);
}

/* ---- putting the end of the file in order -------------------------------- */

/* Is what lies behind whole_end known to be nothing? Not if an entry or a
 * locator is damaged or could not be looked at; and Xen keeps a map of its own
 * behind the BAT, which can be the last thing in the file. */
static bool end_is_known(const struct vhd1_footers *ft,
			 const struct vhd1_bat *b)
{
	for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++)
		if (b->loc[i].lost)
			return false;
	return memcmp(ft->use->f.creator_app, "tap", 4) != 0 &&
	       !b->bad_cnt && !b->stray_cnt &&
	       (uint64_t)b->cnt * 4 == b->table_len;
}

uint64_t vhd1_tail_len(const struct file *f, const struct vhd1_footers *ft,
		       const struct vhd1_bat *b)
{
	uint64_t end = ft->end.valid ? ft->end.off : f->size;

	if (!end_is_known(ft, b) || end < b->whole_end + VHD1_SLACK_LEN)
		return 0;
	return end - b->whole_end;
}

static int put_footer(struct file *f, const struct vhd1_footers *ft,
		      uint64_t off, struct vhdx_err *e)
{
	int rc = file_write(f, off, ft->use->raw, VHD1_FOOTER_LEN, e);

	if (rc == 0)
		rc = file_sync(f, e);
	return rc ? err_wrap(e, rc, "restoring the footer") : 0;
}

int vhd1_mend(struct file *f, const struct vhd1_footers *ft,
	      const struct vhd1_bat *b, uint64_t *footer_off,
	      struct vhdx_err *e)
{
	uint64_t off = ft->end.off;
	int rc = 0;

	*footer_off = off;
	if (!ft->head.valid || ft->switched)
		rc = put_footer(f, ft, 0, e);
	if (rc || (ft->end.valid && !vhd1_tail_len(f, ft, b)))
		return rc;
	off = vhd1_footer_off(end_is_known(ft, b)
				      ? b->whole_end
				      : u64_max(b->whole_end, f->size));
	rc = put_footer(f, ft, off, e);
	if (rc == 0 && f->size > off + VHD1_FOOTER_LEN &&
	    !MUTATED(VHD_TAIL_CUT)) {
		rc = file_truncate(f, off + VHD1_FOOTER_LEN, e);
		if (rc == 0)
			rc = file_sync(f, e);
	}
	*footer_off = off;
	return rc ? err_wrap(e, rc, "giving back the end of %s", f->path) : 0;
}
