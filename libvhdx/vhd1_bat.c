/* SPDX-License-Identifier: MIT */
/*
 * The block allocation table: loaded as a whole, and audited. For the audit
 * everything that takes space is a key: its first sector above, its number
 * below. Sorted, each is compared with the one that reaches furthest so far.
 */
#include "vhd1_load.h"

#include "le.h"
#include "mem.h"

/* ---- loading ------------------------------------------------------------- */

static int check_table(const struct file *f, const struct vhd1_header *h,
		       uint64_t header_off, uint64_t need, struct vhdx_err *e)
{
	uint64_t max = u64_min(f->size, VHD1_REACH_LEN);
	uint64_t at = header_off + 16, end;

	if (h->bat_off < VHD1_FOOTER_LEN ||
	    !is_aligned(h->bat_off, VHD1_SECTOR) ||
	    ckd_add(h->bat_off, (uint64_t)h->bat_cnt * 4, &end) || end > max)
		return err_corrupt(e, VHDX_OBJ_DYNHEADER, at, "VHD",
				   "the BAT is said to be at file offset %ju "
				   "with %u entries: it must start at a "
				   "multiple of 512, from 512 up, and end by "
				   "%ju", (uintmax_t)h->bat_off, h->bat_cnt,
				   (uintmax_t)max);
	if (need > h->bat_cnt)
		return err_corrupt(e, VHDX_OBJ_DYNHEADER, header_off + 28,
				   "VHD", "the BAT has %u entries, but the "
				   "disk's size takes %ju blocks of %u bytes",
				   h->bat_cnt, (uintmax_t)need, h->block_len);
	if (need > VHD1_BAT_MAX)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_DYNHEADER,
			       header_off + 28, "VHD", "%ju blocks of %u "
			       "bytes: this version handles at most %u blocks",
			       (uintmax_t)need, h->block_len, VHD1_BAT_MAX);
	return 0;
}

static int read_entries(struct file *f, struct vhd1_bat *b, struct vhdx_err *e)
{
	uint8_t buf[64 * KIB];

	for (uint64_t i = 0; i < b->loaded;) {
		uint64_t n = u64_min(b->loaded - i, sizeof(buf) / 4);
		int rc = file_read(f, b->off + i * 4, buf, n * 4, e);

		if (rc)
			return err_wrap(e, rc, "reading the BAT");
		for (uint64_t k = 0; k < n; k++)
			b->entry[i + k] = get_be32(buf + 4 * k);
		i += n;
	}
	return 0;
}

/* What they want to take; whether they may is for the audit to say. */
void vhd1_bat_note_locators(struct vhd1_bat *b, const struct vhd1_header *h)
{
	memset(b->loc, 0, sizeof(b->loc));
	for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++) {
		const struct vhd1_locator *l = &h->locators[i];

		if (l->len == 0)
			continue;
		b->loc[i].off = align_down(l->off, VHD1_SECTOR);
		b->loc[i].len = align_up(l->off % VHD1_SECTOR +
					 u64_max(l->len, vhd1_locator_space(l)),
					 VHD1_SECTOR);
	}
}

int vhd1_bat_load(struct file *f, const struct vhd1_footers *ft,
		  const struct vhd1_header *h, uint64_t size_len,
		  struct vhd1_bat *out, struct vhdx_err *e)
{
	uint64_t header_off = ft->use->f.data_off;
	uint64_t need = div_up(size_len, h->block_len);
	int rc;

	memset(out, 0, sizeof(*out));
	rc = check_table(f, h, header_off, need, e);
	if (rc)
		return rc;
	out->need = (uint32_t)need;
	out->cnt = (uint32_t)u64_min(h->bat_cnt, VHD1_BAT_MAX);
	out->loaded = (uint32_t)align_up(out->cnt, VHD1_BAT_PER_SECTOR);
	out->off = h->bat_off;
	out->table_len = (uint64_t)h->bat_cnt * 4;
	out->header_off = header_off;
	out->block_len = h->block_len;
	out->bitmap_len = vhd1_bitmap_len(h->block_len);
	out->size_len = size_len;
	out->entry = mem_array(out->loaded, sizeof(*out->entry));
	out->flags = mem_array(out->loaded, 1);
	if (!out->entry || !out->flags)
		rc = err_set(e, VHDX_E_NOMEM, "no memory for a BAT of %u "
			     "entries", out->loaded);
	else
		rc = read_entries(f, out, e);
	if (rc) {
		vhd1_bat_free(out);
		return rc;
	}
	for (uint32_t i = 0; i < out->cnt; i++)
		if (out->entry[i] != VHD1_ABSENT)
			out->flags[i] = VHD1_SYNCED;
	if (ft->use->f.type == VHD1_DIFFERENCING)
		vhd1_bat_note_locators(out, h);
	return 0;
}

void vhd1_bat_free(struct vhd1_bat *b)
{
	mem_free(b->entry);
	mem_free(b->flags);
	memset(b, 0, sizeof(*b));
}

/* ---- audit --------------------------------------------------------------- */

#define ID_COPY UINT32_C(0xffffffff)
#define ID_HEADER UINT32_C(0xfffffffe)
#define ID_TABLE UINT32_C(0xfffffffd)
#define ID_FIRST (ID_TABLE - VHD1_LOCATOR_CNT) /* the first locator */

struct audit {
	struct vhd1_bat *b;
	vhd1_bad_fn *fn;
	vhd1_gap_fn *gap;
	void *arg;
	uint64_t *key;
	size_t cnt;
};

static bool is_locator(uint32_t id)
{
	return id >= ID_FIRST && id < ID_TABLE;
}

static uint64_t whole_len(const struct vhd1_bat *b, uint32_t id)
{
	switch (id) {
	case ID_COPY:
		return VHD1_FOOTER_LEN;
	case ID_HEADER:
		return VHD1_HEADER_LEN;
	case ID_TABLE:
		return align_up(b->table_len, VHD1_SECTOR);
	default:
		if (is_locator(id))
			return b->loc[id - ID_FIRST].len;
		return (uint64_t)b->bitmap_len + b->block_len;
	}
}

/* Without the part of the last block that lies beyond the disk's end. */
static uint64_t used_len(const struct vhd1_bat *b, uint32_t id)
{
	if (id >= ID_FIRST)
		return whole_len(b, id);
	return b->bitmap_len + align_up(vhd1_bat_used_len(b, id), VHD1_SECTOR);
}

static const char *id_text(uint32_t id, char *buf, size_t len)
{
	switch (id) {
	case ID_COPY:
		return "the footer copy";
	case ID_HEADER:
		return "the dynamic disk header";
	case ID_TABLE:
		return "the BAT";
	default: /* locators overlap nothing */
		snprintf(buf, len, "block %u", id);
		return buf;
	}
}

/* Millions of entries can be bad: only the first ones of either kind, those
 * that the disk uses and the others, are put into words. */
static bool mark_bad(struct audit *a, uint32_t blk)
{
	struct vhd1_bat *b = a->b;
	uint64_t cnt;

	if (b->flags[blk] & VHD1_BAD)
		return false;
	b->flags[blk] |= VHD1_BAD;
	cnt = blk < b->need ? ++b->bad_cnt : ++b->stray_cnt;
	if (cnt <= VHD1_BAD_WORDS)
		return true;
	a->fn(a->arg, blk, NULL);
	return false;
}

static void bad_place(struct audit *a, uint32_t blk, uint64_t limit)
{
	struct vhd1_bat *b = a->b;
	char text[256];

	if (!mark_bad(a, blk))
		return;
	snprintf(text, sizeof(text), "BAT entry %u: the block is said to be at "
		 "file offset %ju and takes %ju bytes, but the space for "
		 "blocks ends at %ju", blk, (uintmax_t)vhd1_bat_off(b, blk),
		 (uintmax_t)used_len(b, blk), (uintmax_t)limit);
	a->fn(a->arg, blk, text);
}

static void bad_overlap(struct audit *a, uint32_t id, uint32_t other)
{
	char text[256], n[32];

	if (id >= ID_FIRST || !mark_bad(a, id))
		return;
	snprintf(text, sizeof(text), "BAT entry %u: the block is said to be at "
		 "file offset %ju, which overlaps %s", id,
		 (uintmax_t)vhd1_bat_off(a->b, id),
		 id_text(other, n, sizeof(n)));
	a->fn(a->arg, id, text);
}

static void add_key(struct audit *a, uint64_t off, uint32_t id)
{
	a->key[a->cnt++] = (off / VHD1_SECTOR) << 32 | id;
}

static int cmp_key(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static void sort_keys(struct audit *a)
{
	for (size_t i = 1; i < a->cnt; i++)
		if (a->key[i] < a->key[i - 1]) {
			qsort(a->key, a->cnt, sizeof(*a->key), cmp_key);
			return;
		}
}

static bool is_taken(const struct audit *a, uint64_t off, uint64_t len)
{
	for (size_t i = 0; i < a->cnt; i++) {
		uint64_t at = (a->key[i] >> 32) * VHD1_SECTOR;

		if (at < off + len &&
		    off < at + used_len(a->b, (uint32_t)a->key[i]))
			return true;
	}
	return false;
}

/* After everything else: what they say is worth less than a block. */
static void add_locators(struct audit *a, uint64_t limit)
{
	for (uint32_t i = 0; i < VHD1_LOCATOR_CNT; i++) {
		struct vhd1_span *s = &a->b->loc[i];
		uint64_t end;

		if (s->len == 0)
			continue;
		s->lost = ckd_add(s->off, s->len, &end) ||
			  end > u64_min(limit, VHD1_REACH_LEN) ||
			  is_taken(a, s->off, s->len);
		if (!s->lost)
			add_key(a, s->off, ID_FIRST + i);
	}
}

static void sweep(struct audit *a)
{
	uint32_t far_id = 0;
	uint64_t far_end = 0, whole_end = 0, data_end = 0;

	for (size_t i = 0; i < a->cnt; i++) {
		uint64_t off = (a->key[i] >> 32) * VHD1_SECTOR;
		uint32_t id = (uint32_t)a->key[i];
		uint64_t end = off + used_len(a->b, id);

		if (off < far_end) {
			bad_overlap(a, id, far_id);
			bad_overlap(a, far_id, id);
		} else if (off > whole_end && a->gap) {
			a->gap(a->arg, whole_end, off - whole_end);
		}
		if (end > far_end) {
			far_end = end;
			far_id = id;
		}
		if (!is_locator(id))
			data_end = u64_max(data_end, end);
		whole_end = u64_max(whole_end, off + whole_len(a->b, id));
	}
	a->b->data_end = data_end;
	a->b->whole_end = whole_end;
}

int vhd1_bat_audit(struct vhd1_bat *b, uint64_t limit, vhd1_bad_fn *fn,
		   vhd1_gap_fn *gap, void *arg, struct vhdx_err *e)
{
	struct audit a = { .b = b, .fn = fn, .gap = gap, .arg = arg };

	b->used_cnt = 0;
	for (uint32_t i = 0; i < b->cnt; i++)
		b->used_cnt += b->entry[i] != VHD1_ABSENT;
	a.key = mem_array((size_t)b->used_cnt + 3 + VHD1_LOCATOR_CNT,
			  sizeof(*a.key));
	if (!a.key)
		return err_set(e, VHDX_E_NOMEM, "no memory to examine %ju "
			       "blocks", (uintmax_t)b->used_cnt);
	add_key(&a, 0, ID_COPY);
	add_key(&a, b->header_off, ID_HEADER);
	add_key(&a, b->off, ID_TABLE);
	for (uint32_t i = 0; i < b->cnt; i++) {
		if (b->entry[i] == VHD1_ABSENT)
			continue;
		if (vhd1_bat_off(b, i) + used_len(b, i) > limit)
			bad_place(&a, i, limit);
		else
			add_key(&a, vhd1_bat_off(b, i), i);
	}
	add_locators(&a, limit);
	sort_keys(&a);
	sweep(&a);
	mem_free(a.key);
	return 0;
}

uint64_t vhd1_former_len(struct file *f, const struct vhd1_bat *b,
			 uint64_t off, uint64_t len)
{
	const struct vhd1_footer ft = { .data_off = off };
	struct vhd1_bat was = { .off = 0 };
	struct vhd1_header h;
	uint64_t end = VHD1_HEADER_LEN;

	if (len < VHD1_HEADER_LEN || vhd1_header_load(f, &ft, &h, NULL) ||
	    h.bat_off != b->off || (uint64_t)h.bat_cnt * 4 != b->table_len ||
	    h.block_len != b->block_len)
		return 0;
	vhd1_bat_note_locators(&was, &h);
	for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++)
		if (was.loc[i].len && was.loc[i].off == off + end &&
		    was.loc[i].len <= len - end)
			end += was.loc[i].len;
	return end;
}
