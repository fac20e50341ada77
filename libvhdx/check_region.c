/* SPDX-License-Identifier: MIT */
/*
 * The two copies of the region table, and the place of everything that has a
 * fixed one: header area, log, regions. Those are the first owners in the map
 * that the blocks are checked against later.
 */
#include "vhdx_check.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"

struct copy {
	uint8_t *b; /* FMT_REGION_LEN, owned */
	struct fmt_region_table *t; /* owned */
	struct vhdx_err why;
	bool good;
	bool intact; /* signature and checksum are right */
};

/* ---- the pair ------------------------------------------------------------ */

static int copy_load(struct vck *v, int i, struct copy *c, struct vhdx_err *e)
{
	int rc;

	c->b = mem_alloc(FMT_REGION_LEN);
	c->t = mem_zalloc(sizeof(*c->t));
	if (!c->b || !c->t)
		return err_set(e, VHDX_E_NOMEM,
			       "no memory for a region table");
	rc = file_read(v->file, FMT_REGION_OFF(i), c->b, FMT_REGION_LEN, e);
	if (rc)
		return rc;
	c->intact = regions_intact(c->b);
	c->good = regions_decode(c->b, FMT_REGION_OFF(i), c->t, &c->why) == 0;
	return 0;
}

static void copy_free(struct copy *c)
{
	mem_free(c->b);
	mem_free(c->t);
}

static bool same_region(const struct fmt_region *a, const struct fmt_region *b)
{
	return guid_eq(&a->id, &b->id) && a->off == b->off &&
	       a->len == b->len && a->required == b->required;
}

static void say_different(struct vck *v, const struct fmt_region_table *a,
			  const struct fmt_region_table *b)
{
	uint32_t i = 0;

	while (i < a->cnt && i < b->cnt && same_region(&a->e[i], &b->e[i]))
		i++;
	if (i < a->cnt || i < b->cnt)
		check_error(v->c, VHDX_OBJ_REGION, FMT_REGION_OFF(1), "2.2.3",
			    "both copies of the region table have good "
			    "checksums, but differ from entry %" PRIu32 " on; "
			    "nothing tells which is right, the first one is "
			    "used", i);
}

/* A copy that is intact, but breaks a rule, was written so: it is not for us to
 * say that the other one is right (K4). */
static bool is_mendable(const struct vck *v, const struct copy c[2], int bad)
{
	return v->may_mend && c[!bad].good && !c[bad].intact;
}

/* The bad copy is overwritten with the bytes of the good one. Written in
 * place, not through the log: the log is empty (K1), no reader uses the bad
 * copy, and the good one stays untouched (K3). */
static int mend_copy(struct vck *v, int bad, const struct copy *good,
		     struct vhdx_err *e)
{
	int rc = vck_begin_mending(v, e);

	if (!rc)
		rc = file_write(v->c->file, FMT_REGION_OFF(bad), good->b,
				FMT_REGION_LEN, e);
	return rc ? rc : file_sync(v->c->file, e);
}

static int say_bad_copies(struct vck *v, const struct copy c[2],
			  struct vhdx_err *e)
{
	for (int i = 0; i < 2; i++) {
		bool other = c[!i].good;
		int rc = 0;

		if (c[i].good)
			continue;
		if (is_mendable(v, c, i) && vck_mends(v))
			rc = mend_copy(v, i, &c[!i], e);
		if (rc)
			return rc;
		check_say(v->c, VHDX_SEV_ERROR,
			  is_mendable(v, c, i) ? vck_fix(v) : CHECK_NO_FIX,
			  c[i].why.obj, c[i].why.off, c[i].why.spec,
			  "%s (copy %d of 2%s)",
			  c[i].why.text, i + 1,
			  other ? "; the other one is used" : "");
	}
	return 0;
}

/* ---- the entries --------------------------------------------------------- */

static uint64_t entry_off(const struct vck *v, uint32_t i)
{
	return v->regions_off + 16 + 32 * (uint64_t)i;
}

#define NAME_LEN (GUID_TEXT_LEN + 16)

static const char *region_name(const struct fmt_region *r, char buf[NAME_LEN])
{
	char id[GUID_TEXT_LEN];

	if (guid_eq(&r->id, &FMT_REGION_BAT))
		return "BAT region";
	if (guid_eq(&r->id, &FMT_REGION_META))
		return "metadata region";
	guid_format(&r->id, id);
	snprintf(buf, NAME_LEN, "region %s", id);
	return buf;
}

static void say_region(struct vck *v, uint32_t i)
{
	const struct fmt_region *r = &v->regions->e[i];
	uint64_t off = entry_off(v, i);
	bool bat = guid_eq(&r->id, &FMT_REGION_BAT);
	bool meta = guid_eq(&r->id, &FMT_REGION_META);
	char buf[NAME_LEN];
	const char *name = region_name(r, buf);

	if (bat)
		v->bat = r;
	if (meta)
		v->meta = r;
	if ((bat || meta) && !r->required) /* Hyper-V makes such files */
		check_note(v->c, VHDX_OBJ_REGION, off, "2.2.3.2",
			   "the %s is not marked as required", name);
	else if (!bat && !meta && r->required)
		check_error(v->c, VHDX_OBJ_REGION, off, "2.2.3",
			    "the %s at %" PRIu64 "+%" PRIu32 " is unknown, but "
			    "required to read the file", name, r->off, r->len);
	else if (!bat && !meta)
		check_note(v->c, VHDX_OBJ_REGION, off, "2.2.3",
			   "the %s at %" PRIu64 "+%" PRIu32 " is unknown; its "
			   "space is left alone", name, r->off, r->len);
	if (r->off + r->len > v->file->size)
		check_error(v->c, VHDX_OBJ_REGION, off, "2.2.3.2",
			    "the %s at %" PRIu64 "+%" PRIu32 " ends beyond the "
			    "end of the file at %" PRIu64, name, r->off,
			    r->len, v->file->size);
}

static void say_log_place(struct vck *v)
{
	const struct fmt_header *h = &v->hdr.cur;
	uint64_t off = FMT_HEADER_OFF(v->found.cur_slot);

	if (h->log_off + h->log_len > v->file->size)
		check_error(v->c, VHDX_OBJ_LOG, off, "2.2.2",
			    "the log at %" PRIu64 "+%" PRIu32 " ends beyond "
			    "the end of the file at %" PRIu64, h->log_off,
			    h->log_len, v->file->size);
}

/* The decoder has refused regions that overlap each other. */
static void take_places(struct vck *v)
{
	const struct fmt_header *h = &v->hdr.cur;
	uint64_t mib;

	mibmap_take(&v->map, 0, FMT_FIRST_OFF, &mib);
	if (v->have_hdr) {
		say_log_place(v);
		mibmap_take(&v->map, h->log_off, h->log_len, &mib);
	}
	for (uint32_t i = 0; v->have_regions && i < v->regions->cnt; i++) {
		const struct fmt_region *r = &v->regions->e[i];
		char buf[NAME_LEN];

		if (!mibmap_take(&v->map, r->off, r->len, &mib))
			check_error(v->c, VHDX_OBJ_REGION, entry_off(v, i),
				    "2.2.3.2", "the %s at %" PRIu64 "+%" PRIu32
				    " overlaps the log at %" PRIu64 "+%" PRIu32,
				    region_name(r, buf), r->off, r->len,
				    h->log_off, h->log_len);
	}
}

const char *vck_structure_at(const struct vck *v, uint64_t off, uint64_t len)
{
	const struct fmt_header *h = &v->hdr.cur;

	if (off < FMT_FIRST_OFF)
		return "the header area";
	if (v->have_hdr && off < h->log_off + h->log_len &&
	    h->log_off < off + len)
		return "the log";
	for (uint32_t i = 0; v->have_regions && i < v->regions->cnt; i++) {
		const struct fmt_region *r = &v->regions->e[i];

		if (off >= r->off + r->len || r->off >= off + len)
			continue;
		return r == v->bat ? "the BAT" :
		       r == v->meta ? "the metadata region" :
				      "a region of unknown kind";
	}
	return NULL;
}

static void say_reserved(struct vck *v, const struct copy c[2])
{
	static const uint8_t zero[4];

	for (int i = 0; i < 2; i++)
		if (c[i].good && memcmp(c[i].b + 12, zero, 4) != 0)
			check_note(v->c, VHDX_OBJ_REGION,
				   FMT_REGION_OFF(i) + 12, "2.2.3.1",
				   "region table (copy %d of 2): the reserved "
				   "field is not 0; it is ignored", i + 1);
}

static int examine(struct vck *v, struct copy c[2], struct vhdx_err *e)
{
	int used = c[0].good ? 0 : 1;
	int rc = say_bad_copies(v, c, e);

	if (rc)
		return rc;
	say_reserved(v, c);
	if (c[0].good && c[1].good)
		say_different(v, c[0].t, c[1].t);
	v->have_regions = c[used].good;
	if (!v->have_regions)
		return 0;
	v->regions_off = FMT_REGION_OFF(used);
	v->regions = c[used].t;
	c[used].t = NULL;
	for (uint32_t i = 0; i < v->regions->cnt; i++)
		say_region(v, i);
	if (!v->bat)
		check_error(v->c, VHDX_OBJ_REGION, v->regions_off,
			    "2.2.3.2", "the region table has no BAT region");
	if (!v->meta)
		check_error(v->c, VHDX_OBJ_REGION, v->regions_off,
			    "2.2.3.2",
			    "the region table has no metadata region");
	return 0;
}

int vck_regions(struct vck *v, struct vhdx_err *e)
{
	struct copy c[2] = { 0 };
	int rc = copy_load(v, 0, &c[0], e);

	if (!rc)
		rc = copy_load(v, 1, &c[1], e);
	if (!rc)
		rc = examine(v, c, e);
	if (!rc)
		take_places(v);
	copy_free(&c[0]);
	copy_free(&c[1]);
	return rc;
}
