/* SPDX-License-Identifier: MIT */
/*
 * Examining a VHD: both footers, the dynamic header, every BAT entry, every
 * sector bitmap, and whatever space nothing refers to.
 *
 * What is mended: a bad footer copy, from the good one; the end of the file
 * behind the last block, which is given back. Opening for writing does the
 * same. What is not: a BAT entry or a header, of which there is only one copy;
 * footers that disagree on what matters; and nothing at the end of the file
 * while an entry of the BAT is damaged, for what it lost may be there.
 *
 * Memory: the BAT (see vhd1_load.h) and a fixed buffer.
 */
#include <string.h>

#include "mem.h"
#include "vhd1_check.h"

#define SPEC VHD1_SPEC
#define BUF_LEN ((size_t)(256 * KIB))
#define FEATURE_RESERVED 2u

/* Damage is a finding; only what keeps us from looking is an error. */
static int found(struct vhd1_check *k, int rc, const struct vhdx_err *why,
		 struct vhdx_err *e)
{
	if (rc != VHDX_E_CORRUPT)
		return err_copy(e, why, rc);
	check_say_err(k->c, VHDX_SEV_ERROR, CHECK_NO_FIX, why);
	return 0;
}

/* ---- the footer's fields ------------------------------------------------- */

static void check_sizes(struct vhd1_check *k)
{
	const struct vhd1_copy *u = k->ft.use;
	uint64_t chs = vhd1_chs_len(u->f.chs);

	if (u->f.current_len < VHD1_SECTOR)
		check_error(k->c, VHDX_OBJ_FOOTER, u->off + 48, SPEC,
			    "the size of the disk is %ju bytes: not even one "
			    "sector", (uintmax_t)u->f.current_len);
	else if (u->f.current_len % VHD1_SECTOR)
		check_warn(k->c, VHDX_OBJ_FOOTER, u->off + 48, SPEC,
			   "the size of the disk, %ju bytes, is not a multiple "
			   "of 512", (uintmax_t)u->f.current_len);
	if (u->f.current_len > VHD1_SIZE_MAX)
		check_warn(k->c, VHDX_OBJ_FOOTER, u->off + 48, SPEC,
			   "the size of the disk, %ju bytes, is above the "
			   "format's limit of 2040 GiB",
			   (uintmax_t)u->f.current_len);
	if (chs != k->size_len && !vhd1_chs_is_max(u->f.chs))
		check_note(k->c, VHDX_OBJ_FOOTER, u->off + 56, SPEC,
			   "the geometry gives %ju bytes, the size is %ju: "
			   "programs that go by the geometry see a disk of "
			   "another size", (uintmax_t)chs,
			   (uintmax_t)k->size_len);
}

static void check_flags(struct vhd1_check *k)
{
	const struct vhd1_copy *u = k->ft.use;

	if (!(u->f.features & FEATURE_RESERVED))
		check_note(k->c, VHDX_OBJ_FOOTER, u->off + 8, SPEC,
			   "the features field is 0x%08x: bit 1 has to be set",
			   u->f.features);
	if (u->f.saved_state)
		check_note(k->c, VHDX_OBJ_FOOTER, u->off + 84, SPEC,
			   "a saved state of a virtual machine goes with this "
			   "disk");
	if (u->len != VHD1_FOOTER_LEN)
		check_note(k->c, VHDX_OBJ_FOOTER, u->off, SPEC,
			   "the footer has the old form of 511 bytes");
	else if (!is_aligned(u->off, VHD1_SECTOR))
		check_warn(k->c, VHDX_OBJ_FOOTER, u->off, SPEC,
			   "the footer is at file offset %ju, which is not a "
			   "multiple of 512", (uintmax_t)u->off);
}

static void check_fixed(struct vhd1_check *k)
{
	const struct vhd1_copy *end = &k->ft.end;

	if (k->size_len > end->off) {
		check_error(k->c, VHDX_OBJ_FOOTER, end->off, SPEC,
			    "the disk has %ju bytes, but only %ju come before "
			    "the footer", (uintmax_t)k->size_len,
			    (uintmax_t)end->off);
		return;
	}
	k->c->result->leaked_len = end->off - k->size_len;
	if (end->off > k->size_len)
		check_warn(k->c, VHDX_OBJ_PAYLOAD, k->size_len, SPEC,
			   "%ju bytes between the end of the disk and the "
			   "footer are not used",
			   (uintmax_t)(end->off - k->size_len));
}

/* A growth that was cut short (vhd1_resize_fixed.c, F3). */
static int check_behind(struct vhd1_check *k, struct vhdx_err *e)
{
	uint64_t end = k->ft.end.off + k->ft.end.len, len;
	enum check_fix fix = check_fix_state(k->c);
	int rc = 0;

	if (k->f->size <= end)
		return 0;
	len = k->f->size - end;
	if (fix == CHECK_FIXED)
		rc = file_truncate(k->f, end, e);
	else
		k->c->result->leaked_len += len;
	if (!rc && fix == CHECK_FIXED)
		rc = file_sync(k->f, e);
	if (rc)
		return rc;
	check_say(k->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_PAYLOAD, end, SPEC,
		  "%ju bytes behind the footer belong to nothing: the disk was "
		  "to grow, but its footer did not move", (uintmax_t)len);
	return 0;
}

/* ---- footers and the end of the file ------------------------------------- */

static void check_missing(struct vhd1_check *k, enum check_fix fix)
{
	const struct vhd1_copy *bad = k->ft.end.valid ? &k->ft.head
						      : &k->ft.end;

	check_say_err(k->c, VHDX_SEV_ERROR, fix, &bad->why);
}

static void check_differing(struct vhd1_check *k, bool grave,
			    enum check_fix fix)
{
	if (k->ft.switched)
		check_say(k->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_FOOTER, 16,
			  SPEC, "the footer copy at file offset 0 names the "
			  "dynamic disk header at %ju, the footer in force the "
			  "one at %ju: a change of the header was interrupted",
			  (uintmax_t)k->ft.head.f.data_off,
			  (uintmax_t)k->ft.end.f.data_off);
	else if (grave)
		check_error(k->c, VHDX_OBJ_FOOTER, k->ft.end.off, SPEC,
			    "the footer at file offset %ju and its copy at 0 "
			    "disagree on the size, the type or the place of "
			    "the header; which of them is right cannot be "
			    "told", (uintmax_t)k->ft.end.off);
	else
		check_say(k->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_FOOTER, 0,
			  SPEC, "the footer copy at file offset 0 differs "
			  "from the footer at %ju, though not in anything "
			  "that matters", (uintmax_t)k->ft.end.off);
}

static void check_tail(struct vhd1_check *k, uint64_t tail, enum check_fix fix)
{
	check_say(k->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_PAYLOAD,
		  k->bat.whole_end, SPEC, "%ju bytes behind the last block, "
		  "from file offset %ju on, belong to nothing: the file was "
		  "not closed properly", (uintmax_t)tail,
		  (uintmax_t)k->bat.whole_end);
}

/* Mending moves the end of the file, so the BAT must be in order: with an
 * entry that cannot be right, where the blocks end is not known. */
static int check_end(struct vhd1_check *k, struct vhdx_err *e)
{
	struct vhd1_footers *ft = &k->ft;
	uint64_t tail = vhd1_tail_len(k->f, ft, &k->bat), off;
	bool missing = !ft->end.valid || !ft->head.valid, grave;
	bool differ = vhd1_footers_differ(ft, &grave);
	bool known = !k->bat.bad_cnt && !k->bat.stray_cnt && !grave;
	enum check_fix fix = known ? check_fix_state(k->c) : CHECK_NO_FIX;
	int rc = 0;

	if (fix == CHECK_FIXED && differ)
		ft->head.valid = false; /* the end is in force */
	if (fix == CHECK_FIXED)
		rc = vhd1_mend(k->f, ft, &k->bat, &off, e);
	if (rc)
		return rc;
	if (missing)
		check_missing(k, fix);
	if (differ)
		check_differing(k, grave, fix);
	if (tail)
		check_tail(k, tail, fix);
	if (tail && fix != CHECK_FIXED)
		k->c->result->leaked_len += tail;
	return 0;
}

/* ---- the BAT ------------------------------------------------------------- */

static void tell_bad(void *arg, uint32_t blk, const char *text)
{
	struct vhd1_check *k = arg;
	bool in_use = blk < k->bat.need;

	if (check_in_full(in_use ? &k->bad : &k->stray) && text)
		check_say(k->c, in_use ? VHDX_SEV_ERROR : VHDX_SEV_WARNING,
			  CHECK_NO_FIX, VHDX_OBJ_BAT,
			  k->bat.off + (uint64_t)blk * 4, SPEC, "%s", text);
}

static void tell_gap(void *arg, uint64_t off, uint64_t len)
{
	struct vhd1_check *k = arg;

	if (len >= VHD1_SLACK_LEN && k->ft.use->f.type == VHD1_DIFFERENCING)
		len -= vhd1_former_len(k->f, &k->bat, off, len);
	if (len < VHD1_SLACK_LEN)
		return; /* or kept for the header's next change */
	/* A writer that crashed leaves such places, and Xen a map behind the
	 * BAT: nothing is wrong. */
	k->c->result->leaked_len += len;
	if (check_in_full(&k->gaps))
		check_note(k->c, VHDX_OBJ_PAYLOAD, off, SPEC,
			   "%ju bytes at file offset %ju belong to nothing",
			   (uintmax_t)len, (uintmax_t)off);
}

static void check_beyond(struct vhd1_check *k)
{
	uint64_t cnt = 0;

	for (uint32_t i = k->bat.need; i < k->bat.cnt; i++)
		cnt += k->bat.entry[i] != VHD1_ABSENT;
	if (cnt)
		check_note(k->c, VHDX_OBJ_BAT,
			   k->bat.off + (uint64_t)k->bat.need * 4, SPEC,
			   "%ju blocks are allocated beyond the size of the "
			   "disk", (uintmax_t)cnt);
}

static int audit_bat(struct vhd1_check *k, struct vhdx_err *e)
{
	int rc;

	rc = vhd1_bat_audit(&k->bat, vhd1_limit(k->f, &k->ft), tell_bad,
			    tell_gap, k, e);
	if (rc)
		return rc;
	check_rest(k->c, &k->bad, VHDX_SEV_ERROR, CHECK_NO_FIX, VHDX_OBJ_BAT,
		   SPEC, "damaged BAT entries");
	check_rest(k->c, &k->stray, VHDX_SEV_WARNING, CHECK_NO_FIX,
		   VHDX_OBJ_BAT, SPEC, "entries beyond the disk's size");
	check_rest(k->c, &k->gaps, VHDX_SEV_NOTE, CHECK_NO_FIX,
		   VHDX_OBJ_PAYLOAD, SPEC, "ranges that belong to nothing");
	k->c->result->blocks_allocated = k->bat.used_cnt;
	check_beyond(k);
	vhd1_footers_settle(&k->ft, k->bat.data_end);
	return 0;
}

/* ---- sector bitmaps ------------------------------------------------------ */

static bool is_zero(const uint8_t *b, size_t len)
{
	return b[0] == 0 && memcmp(b, b + 1, len - 1) == 0;
}

/* Counts sectors that hold data under a clear bit. */
static int count_hidden(struct vhd1_check *k, uint32_t blk, uint64_t *cnt,
			struct vhdx_err *e)
{
	uint64_t at = vhd1_bat_off(&k->bat, blk) + k->bat.bitmap_len;
	uint64_t len = vhd1_bat_used_len(&k->bat, blk);

	*cnt = 0;
	for (uint64_t pos = 0; pos < len;) {
		uint64_t data, run;
		int rc = file_next_data(k->f, at + pos, &data, &run, e);

		if (rc == 0 && (run == 0 || data - at >= len))
			return 0; /* zeros to the end */
		pos = align_down(data - at, VHD1_SECTOR);
		size_t n = (size_t)u64_min(BUF_LEN, len - pos);
		if (rc == 0)
			rc = file_read(k->f, at + pos, k->buf, n, e);
		if (rc)
			return err_wrap(e, rc, "reading block %u", blk);
		for (size_t i = 0; i < n; i += VHD1_SECTOR)
			if (!vhd1_bit(k->bits, (pos + i) / VHD1_SECTOR) &&
			    !is_zero(k->buf + i, VHD1_SECTOR))
				++*cnt;
		pos += n;
	}
	return 0;
}

static int check_bitmap(struct vhd1_check *k, uint32_t blk, struct vhdx_err *e)
{
	uint64_t off = vhd1_bat_off(&k->bat, blk), cnt;
	int rc = file_read(k->f, off, k->bits, k->bat.bitmap_len, e);

	if (rc)
		return err_wrap(e, rc, "reading the bitmap of block %u", blk);
	if (vhd1_bits_full(k->bits, vhd1_bat_used_len(&k->bat, blk) /
				    VHD1_SECTOR))
		return 0;
	rc = count_hidden(k, blk, &cnt, e);
	if (rc == 0 && cnt && check_in_full(&k->hidden))
		check_warn(k->c, VHDX_OBJ_BITMAP, off, SPEC,
			   "block %u: %ju sectors hold data, but its sector "
			   "bitmap says that they were never written: programs "
			   "that go by the bitmap read zeros there", blk,
			   (uintmax_t)cnt);
	return rc;
}

static int check_bitmaps(struct vhd1_check *k, struct vhdx_err *e)
{
	k->bits = mem_alloc(k->bat.bitmap_len);
	if (!k->bits)
		return err_set(e, VHDX_E_NOMEM, "no memory for a bitmap");
	/* With a parent, a clear bit is an ordinary state. */
	if (k->ft.use->f.type == VHD1_DIFFERENCING)
		return vhd1_check_child(k, e);
	for (uint32_t blk = 0; blk < k->bat.need; blk++) {
		if (k->bat.entry[blk] == VHD1_ABSENT ||
		    k->bat.flags[blk] & VHD1_BAD)
			continue;
		int rc = check_bitmap(k, blk, e);
		if (rc)
			return rc;
	}
	check_rest(k->c, &k->hidden, VHDX_SEV_WARNING, CHECK_NO_FIX,
		   VHDX_OBJ_BITMAP, SPEC, "blocks with such a bitmap");
	return 0;
}

/* ---- all of it ----------------------------------------------------------- */

static int check_map(struct vhd1_check *k, struct vhdx_err *e)
{
	int rc = audit_bat(k, e);

	if (rc == 0)
		rc = check_bitmaps(k, e);
	return rc ? rc : check_end(k, e);
}

static int check_dynamic(struct vhd1_check *k, struct vhdx_err *e)
{
	struct vhdx_err why;
	int rc = vhd1_header_load(k->f, &k->ft.use->f, &k->h, &why);

	if (rc == 0)
		rc = vhd1_bat_load(k->f, &k->ft, &k->h, k->size_len, &k->bat,
				   &why);
	if (rc)
		return found(k, rc, &why, e);
	return check_map(k, e);
}

int vhd1_image_check(struct check *c, struct vhdx_err *e)
{
	struct vhd1_check k = { .c = c, .f = c->file };
	struct vhdx_err why;
	int rc;

	c->result->format = VHDX_FORMAT_VHD;
	rc = vhd1_footers_load(k.f, &k.ft, &why);
	if (rc)
		return found(&k, rc, &why, e);
	k.size_len = align_down(k.ft.use->f.current_len, VHD1_SECTOR);
	k.buf = mem_alloc(BUF_LEN);
	if (!k.buf)
		return err_set(e, VHDX_E_NOMEM, "no memory for a buffer");
	check_sizes(&k);
	check_flags(&k);
	if (k.ft.use->f.type == VHD1_FIXED) {
		check_fixed(&k);
		rc = check_behind(&k, e);
	} else {
		rc = check_dynamic(&k, e);
	}
	vhd1_bat_free(&k.bat);
	mem_free(k.buf);
	mem_free(k.bits);
	return rc;
}
