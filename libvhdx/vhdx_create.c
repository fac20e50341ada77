/* SPDX-License-Identifier: MIT */
/*
 * Makes an empty VHDX image: log, metadata and BAT in this order from 1 MiB
 * on, then, for a fixed disk, every block in its order.
 *
 * N1  The file becomes a VHDX image by one write, that of the headers, and
 *     everything else is durable before it: a creation that is cut short
 *     leaves a file that nothing opens.
 * N2  The log is written, not left as a hole: a commit to it must not be what
 *     finds the host's disk full.
 * N3  Apart from the log, a dynamic image is as sparse as it is empty.
 */
#include "vhdx_create.h"

#include <string.h>

#include "image.h"
#include "le.h"
#include "mem.h"
#include "utf16.h"
#include "version.h"

#define LOG_LEN_MAX (8 * MIB)
#define META_LEN MIB
#define CHUNK_LEN MIB /* of what is written at once */

/* The BAT region has room for the few entries more that a differencing file
 * of the same size needs. The log grows with the BAT: the more pages there are
 * to scatter over, the more go into one commit. */
void create_place_init(struct create_place *p,
		       const struct vhdx_create_opts *o)
{
	struct bat_geom room;
	bool fixed = o->type == VHDX_TYPE_FIXED;

	bat_geom_init(&p->geom, o->size_len, o->block_len, o->sector_len,
		      false);
	bat_geom_init(&room, o->size_len, o->block_len, o->sector_len, true);
	p->bat_len = (uint32_t)align_up(room.entry_cnt * 8, MIB);
	p->meta_len = META_LEN;
	p->log_len = (uint32_t)u64_min(p->bat_len, LOG_LEN_MAX);
	p->log_off = FMT_FIRST_OFF;
	p->meta_off = p->log_off + p->log_len;
	p->bat_off = p->meta_off + p->meta_len;
	p->data_off = p->bat_off + p->bat_len;
	p->file_len = p->data_off +
		      (fixed ? p->geom.block_cnt * o->block_len : 0);
}

static int write_log(struct file *f, const struct create_place *p,
		     uint8_t *buf, struct vhdx_err *e)
{
	int rc = 0;

	memset(buf, 0, CHUNK_LEN);
	for (uint64_t pos = 0; pos < p->log_len && !rc; pos += CHUNK_LEN)
		/* N2 */
		rc = file_write(f, p->log_off + pos, buf, CHUNK_LEN, e);
	return rc;
}

/* ---- metadata ------------------------------------------------------------ */

struct meta_build {
	struct fmt_meta_table *t;
	uint8_t *region; /* META_LEN bytes */
	uint32_t end;	 /* of the last item, in the region */
};

/* Room for an item of len bytes, zeroed; NULL: the region is full. */
static uint8_t *add_item(struct meta_build *mb, const struct guid *id,
			 uint32_t len, bool vdisk)
{
	struct fmt_meta_entry *m = &mb->t->e[mb->t->cnt];
	uint32_t off = mb->end;

	if (mb->t->cnt == FMT_META_MAX || len > META_LEN - off)
		return NULL;
	*m = (struct fmt_meta_entry){ .id = *id, .off = len ? off : 0,
				      .len = len, .vdisk = vdisk,
				      .required = true };
	mb->t->cnt++;
	mb->end += len;
	return mb->region + off;
}

static void add_known_items(struct meta_build *mb,
			    const struct vhdx_create_opts *o,
			    const struct create_child *child)
{
	struct guid disk_id;
	uint8_t *b = add_item(mb, &FMT_META_FILE_PARAMS, 8, false);

	put_le32(b, o->block_len);
	put_le32(b + 4, child ? 2 : o->type == VHDX_TYPE_FIXED);
	b = add_item(mb, &FMT_META_DISK_SIZE, 8, true);
	put_le64(b, o->size_len);
	b = add_item(mb, &FMT_META_DISK_ID, 16, true);
	guid_random(&disk_id);
	memcpy(b, child ? child->parent->disk_id.b : disk_id.b, 16);
	b = add_item(mb, &FMT_META_LSS, 4, true);
	put_le32(b, o->sector_len);
	b = add_item(mb, &FMT_META_PSS, 4, true);
	put_le32(b, o->physical_sector_len);
}

static bool is_known(const struct meta_build *mb,
		     const struct fmt_meta_entry *m)
{
	for (uint32_t i = 0; i < mb->t->cnt; i++)
		if (guid_eq(&mb->t->e[i].id, &m->id) &&
		    mb->t->e[i].user == m->user)
			return true;
	return false;
}

/* What belongs to the virtual disk goes with it (2.6.1.2). */
static int add_inherited(struct meta_build *mb,
			 const struct create_child *child, struct vhdx_err *e)
{
	const struct layout *l = child->parent;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < l->meta->cnt; i++) {
		const struct fmt_meta_entry *m = &l->meta->e[i];
		uint8_t *b;

		if (!m->vdisk || is_known(mb, m))
			continue;
		b = add_item(mb, &m->id, m->len, true);
		if (!b)
			return err_set(e, VHDX_E_UNSUPPORTED,
				       "the parent's metadata does not fit "
				       "into %u bytes", (unsigned)META_LEN);
		mb->t->e[mb->t->cnt - 1].user = m->user;
		mb->t->e[mb->t->cnt - 1].required = m->required;
		if (m->len)
			rc = file_read(child->parent_file, l->meta_off + m->off,
				       b, m->len, e);
	}
	return rc;
}

static int add_child_items(struct meta_build *mb,
			   const struct create_child *child, struct vhdx_err *e)
{
	uint8_t *b = add_item(mb, &FMT_META_LOCATOR, child->locator_len, false);

	ASSERT(b); /* the first MiB after five small items */
	memcpy(b, child->locator, child->locator_len);
	return add_inherited(mb, child, e);
}

static int write_meta(struct file *f, const struct create_place *p,
		      const struct vhdx_create_opts *o,
		      const struct create_child *child, uint8_t *buf,
		      struct vhdx_err *e)
{
	struct meta_build mb = { mem_zalloc(sizeof(*mb.t)), buf,
				 FMT_META_TABLE_LEN };
	int rc = 0;

	if (!mb.t)
		return err_set(e, VHDX_E_NOMEM, "no memory for metadata");
	memset(buf, 0, META_LEN);
	add_known_items(&mb, o, child);
	if (child)
		rc = add_child_items(&mb, child, e);
	meta_table_encode(mb.t, buf);
	mem_free(mb.t);
	return rc ? rc : file_write(f, p->meta_off, buf,
				    align_up(mb.end, FMT_LOG_SECTOR), e);
}

/* ---- BAT ----------------------------------------------------------------- */

/* A fixed disk's BAT: its blocks lie in the file one behind the other. */
static int write_bat(struct file *f, const struct create_place *p,
		     const struct vhdx_create_opts *o, uint8_t *buf,
		     struct vhdx_err *e)
{
	const uint64_t per_chunk = CHUNK_LEN / 8;
	uint64_t blk = 0, left_in_chunk = p->geom.chunk_ratio;
	int rc = 0;

	for (uint64_t i = 0; i < p->geom.entry_cnt && !rc; i += per_chunk) {
		uint64_t cnt = u64_min(per_chunk, p->geom.entry_cnt - i);

		memset(buf, 0, CHUNK_LEN);
		for (uint64_t k = 0; k < cnt; k++) {
			if (left_in_chunk == 0) { /* a bitmap's entry: 0 */
				left_in_chunk = p->geom.chunk_ratio;
				continue;
			}
			put_le64(buf + 8 * k,
				 bat_entry_make(BAT_FULLY_PRESENT,
						p->data_off +
						blk * o->block_len));
			blk++;
			left_in_chunk--;
		}
		rc = file_write(f, p->bat_off + 8 * i, buf,
				align_up(8 * cnt, FMT_LOG_SECTOR), e);
	}
	return rc;
}

/* ---- header section ------------------------------------------------------ */

static int write_regions(struct file *f, const struct create_place *p,
			 uint8_t *buf, struct vhdx_err *e)
{
	struct fmt_region_table *t = mem_zalloc(sizeof(*t));
	int rc;

	if (!t)
		return err_set(e, VHDX_E_NOMEM, "no memory for regions");
	t->cnt = 2;
	t->e[0] = (struct fmt_region){ FMT_REGION_BAT, p->bat_off, p->bat_len,
				       true };
	t->e[1] = (struct fmt_region){ FMT_REGION_META, p->meta_off,
				       p->meta_len, true };
	regions_encode(t, buf);
	mem_free(t);
	rc = file_write(f, FMT_REGION_OFF(0), buf, FMT_REGION_LEN, e);
	if (!rc)
		rc = file_write(f, FMT_REGION_OFF(1), buf, FMT_REGION_LEN, e);
	return rc;
}

static int write_ident(struct file *f, uint8_t *buf, struct vhdx_err *e)
{
	static const char creator[] = "vhdkit " VHDKIT_VERSION;
	struct fmt_ident id = { .creator = { 0 } };

	utf16_from_utf8(creator, sizeof(creator) - 1, id.creator,
			ARRAY_LEN(id.creator) - 1);
	ident_encode(&id, buf);
	return file_write(f, 0, buf, FMT_IDENT_LEN, e);
}

/* The two differ in their numbers only: either will do alone. */
static int write_headers(struct file *f, const struct create_place *p,
			 uint8_t *buf, struct vhdx_err *e)
{
	const size_t second = FMT_HEADER_OFF(1) - FMT_HEADER_OFF(0);
	struct fmt_header h = { .version = 1, .log_off = p->log_off,
				.log_len = p->log_len };

	guid_random(&h.file_write);
	guid_random(&h.data_write);
	memset(buf, 0, 2 * second);
	h.seq = 1;
	header_encode(&h, buf);
	h.seq = 2;
	header_encode(&h, buf + second);
	return file_write(f, FMT_HEADER_OFF(0), buf, 2 * second, e);
}

/* ---- all of it ----------------------------------------------------------- */

static int write_body(struct file *f, const struct create_place *p,
		      const struct vhdx_create_opts *o,
		      const struct create_child *child, uint8_t *buf,
		      struct vhdx_err *e)
{
	bool fixed = o->type == VHDX_TYPE_FIXED;
	int rc = file_truncate(f, p->file_len, e);

	/* First what may not fit: the host's space for a whole disk. */
	if (!rc && fixed)
		rc = file_reserve(f, 0, p->file_len, e);
	if (!rc)
		rc = write_log(f, p, buf, e);
	if (!rc)
		rc = write_meta(f, p, o, child, buf, e);
	if (!rc && fixed)
		rc = write_bat(f, p, o, buf, e);
	if (!rc)
		rc = write_regions(f, p, buf, e);
	if (!rc)
		rc = write_ident(f, buf, e);
	return rc;
}

int vhdx_image_create(struct file *f, const struct vhdx_create_opts *o,
		      struct vhdx_err *e)
{
	return vhdx_child_create(f, o, NULL, e);
}

int vhdx_child_create(struct file *f, const struct vhdx_create_opts *o,
		      const struct create_child *child, struct vhdx_err *e)
{
	struct create_place p;
	uint8_t *buf = mem_aligned(FMT_LOG_SECTOR, CHUNK_LEN);
	int rc;

	if (!buf)
		return err_set(e, VHDX_E_NOMEM, "no memory for a new image");
	create_place_init(&p, o);
	rc = write_body(f, &p, o, child, buf, e);
	if (!rc)
		rc = file_sync(f, e); /* N1 */
	if (!rc)
		rc = write_headers(f, &p, buf, e);
	if (!rc)
		rc = file_sync(f, e);
	mem_free(buf);
	return rc;
}
