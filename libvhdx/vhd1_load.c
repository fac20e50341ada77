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

#include "le.h"
#include "mem.h"
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

/* ---- the block allocation table ------------------------------------------ */

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

/* ---- audit --------------------------------------------------------------
 *
 * Everything that takes space is a key: its first sector above, its number
 * below. Sorted, each is compared with the one that reaches furthest so far. */

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
