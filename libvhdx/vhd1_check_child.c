/* SPDX-License-Identifier: MIT */
/*
 * What only a differencing VHD has. Nothing of it can be mended here: who the
 * parent is, set-parent records; a bit of a sector bitmap is either true or
 * beyond recognition.
 */
#include "vhd1_check.h"

#include <string.h>

#include "mem.h"
#include "vhd1_parent.h"

struct place {
	struct vhd1_check *k;
	const struct vhd1_locator *l;
	uint32_t i;
	uint64_t off; /* of the locator in the file */
	char name[16]; /* its kind, fit to be printed */
};

static void check_id(struct vhd1_check *k, uint64_t header_off)
{
	static const uint8_t zero[16];

	if (memcmp(k->h.parent_uuid, zero, sizeof(zero)) == 0)
		check_error(k->c, VHDX_OBJ_PARENT, header_off + 40, VHD1_SPEC,
			    "the id of the parent is not set: no file can be "
			    "known as it");
	else if (memcmp(k->h.parent_uuid, k->ft.use->f.uuid, 16) == 0)
		check_error(k->c, VHDX_OBJ_PARENT, header_off + 40, VHD1_SPEC,
			    "the id of the parent is the disk's own");
}

/* ---- locators ------------------------------------------------------------ */

static void name_kind(struct place *p)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(p->l->code); i++)
		if (p->l->code[i] > 0x20 && p->l->code[i] < 0x7f)
			p->name[n++] = p->l->code[i];
		else if (p->l->code[i] != ' ')
			p->name[n++] = '?';
	p->name[n] = '\0';
}

/* Whether its data can be read as a path at all. */
static bool check_place(const struct place *p)
{
	const struct vhd1_locator *l = p->l;
	struct check *c = p->k->c;
	uint64_t end;

	if (ckd_add(l->off, l->len, &end) || end > p->k->f->size) {
		check_warn(c, VHDX_OBJ_LOCATOR, p->off, VHD1_SPEC,
			   "parent locator %u (%s): %u bytes at file offset "
			   "%ju are not in the file, which has %ju", p->i,
			   p->name, l->len, (uintmax_t)l->off,
			   (uintmax_t)p->k->f->size);
		return false;
	}
	if (l->len > VHD1_PATH_MAX) {
		check_warn(c, VHDX_OBJ_LOCATOR, p->off, VHD1_SPEC,
			   "parent locator %u (%s): %u bytes are too long for "
			   "a path", p->i, p->name, l->len);
		return false;
	}
	if (l->len > vhd1_locator_space(l))
		check_warn(c, VHDX_OBJ_LOCATOR, p->off, VHD1_SPEC,
			   "parent locator %u (%s): %u bytes of data in a "
			   "space of %ju", p->i, p->name, l->len,
			   (uintmax_t)vhd1_locator_space(l));
	if (p->k->bat.loc[p->i].lost)
		check_warn(c, VHDX_OBJ_LOCATOR, p->off, VHD1_SPEC,
			   "parent locator %u (%s): its space, %ju bytes at "
			   "file offset %ju, is partly another structure's, or "
			   "outside the file", p->i, p->name,
			   (uintmax_t)p->k->bat.loc[p->i].len,
			   (uintmax_t)p->k->bat.loc[p->i].off);
	return true;
}

/* *path: it gives one. */
static int check_locator(const struct place *p, bool *path, struct vhdx_err *e)
{
	char *text;
	int rc;

	if (!vhd1_locator_kind(p->l)) {
		check_note(p->k->c, VHDX_OBJ_LOCATOR, p->off, VHD1_SPEC,
			   "parent locator %u (%s) is of a kind that is not "
			   "used here", p->i, p->name);
		return 0;
	}
	if (!check_place(p))
		return 0;
	rc = vhd1_locator_text(p->k->f, p->l, &text, e);
	if (rc)
		return rc;
	if (!text)
		check_warn(p->k->c, VHDX_OBJ_LOCATOR, p->off, VHD1_SPEC,
			   "parent locator %u (%s): the path is empty", p->i,
			   p->name);
	*path = *path || text;
	mem_free(text);
	return 0;
}

static bool is_used(const struct vhd1_locator *l)
{
	static const char none[4];

	return memcmp(l->code, none, sizeof(none)) != 0 || l->len;
}

static int check_locators(struct vhd1_check *k, uint64_t header_off,
			  struct vhdx_err *e)
{
	bool path = k->h.parent_name[0] != '\0';

	for (uint32_t i = 0; i < VHD1_LOCATOR_CNT; i++) {
		struct place p = { .k = k, .l = &k->h.locators[i], .i = i,
				   .off = header_off + 576 + 24 * i };
		int rc;

		if (!is_used(p.l))
			continue;
		name_kind(&p);
		rc = check_locator(&p, &path, e);
		if (rc)
			return rc;
	}
	if (!path)
		check_error(k->c, VHDX_OBJ_LOCATOR, header_off + 576,
			    VHD1_SPEC, "there is no path to the parent");
	return 0;
}

/* ---- sector bitmaps ------------------------------------------------------ */

/* A block without a bit set is legal: power failed between its birth and its
 * first bits. It only takes space. */
static int check_sectors(struct vhd1_check *k, struct vhdx_err *e)
{
	uint64_t empty = 0;

	for (uint32_t blk = 0; blk < k->bat.need; blk++) {
		uint64_t cnt = vhd1_bat_used_len(&k->bat, blk) / VHD1_SECTOR;
		int rc;

		if (k->bat.entry[blk] == VHD1_ABSENT ||
		    k->bat.flags[blk] & VHD1_BAD)
			continue;
		rc = file_read(k->f, vhd1_bat_off(&k->bat, blk), k->bits,
			       k->bat.bitmap_len, e);
		if (rc)
			return err_wrap(e, rc, "reading the bitmap of block "
					"%u", blk);
		empty += !vhd1_bit(k->bits, 0) &&
			 vhd1_bits_run(k->bits, 0, cnt) == cnt;
	}
	if (empty)
		check_note(k->c, VHDX_OBJ_BITMAP, ERR_NO_OFF, VHD1_SPEC,
			   "%ju block%s no sector of %s own: all of it is the "
			   "parent's", (uintmax_t)empty,
			   empty == 1 ? " holds" : "s hold",
			   empty == 1 ? "its" : "their");
	return 0;
}

int vhd1_check_child(struct vhd1_check *k, struct vhdx_err *e)
{
	uint64_t header_off = k->ft.use->f.data_off;
	int rc;

	if (!k->c->in_chain)
		check_note(k->c, VHDX_OBJ_PARENT, header_off + 64, VHD1_SPEC,
			   "a differencing disk on top of \"%s\"; check "
			   "--chain examines that too", k->h.parent_name);
	check_id(k, header_off);
	rc = check_locators(k, header_off, e);
	return rc ? rc : check_sectors(k, e);
}
