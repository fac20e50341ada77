/* SPDX-License-Identifier: MIT */
/*
 * The metadata items: those that MS-VHDX 2.6.2 defines must be there, with the
 * right flags, length and value; of the others it matters whether a reader may
 * ignore them. What the BAT's geometry depends on is kept for later.
 */
#include "vhdx_check.h"

#include <inttypes.h>

#include "le.h"
#include "mem.h"

struct known {
	const struct guid *id;
	const char *name;
	const char *spec;
	uint32_t len; /* 0: any */
	bool vdisk;
	bool documented; /* flags and length are specified */
	bool must;
	/* b: the item's bytes, at file offset off */
	void (*value)(struct vck *v, const uint8_t *b, uint32_t len,
		      uint64_t off);
};

/* ---- values -------------------------------------------------------------- */

static void file_params(struct vck *v, const uint8_t *b, uint32_t len,
			uint64_t off)
{
	uint32_t block = get_le32(b), bits = get_le32(b + 4);

	(void)len;
	v->have_params = true;
	v->has_parent = bits & 2;
	v->fixed = (bits & 1) && !v->has_parent;
	if (is_pow2(block) && block >= FMT_BLOCK_MIN && block <= FMT_BLOCK_MAX)
		v->block_len = block;
	else
		check_error(v->c, VHDX_OBJ_META, off, "2.6.2.1",
			    "BlockSize is %" PRIu32 ", must be a power of 2 "
			    "from 1 MiB to 256 MiB", block);
	if (bits & ~UINT32_C(3))
		check_error(v->c, VHDX_OBJ_META, off + 4, "2.6.2.1",
			    "the file parameters are 0x%" PRIx32 ", bits 2 to "
			    "31 must be 0", bits);
	if ((bits & 3) == 3)
		check_note(v->c, VHDX_OBJ_META, off + 4, "2.6.2.1",
			   "LeaveBlockAllocated is set, but ignored because "
			   "the file has a parent");
}

static void sector_len(struct vck *v, const uint8_t *b, uint32_t len,
		       uint64_t off)
{
	uint32_t val = get_le32(b);

	(void)len;
	if (val == 512 || val == 4096)
		v->sector_len = val;
	else
		check_error(v->c, VHDX_OBJ_META, off, "2.6.2.4",
			    "LogicalSectorSize is %" PRIu32 ", must be 512 or "
			    "4096", val);
}

static void physical_len(struct vck *v, const uint8_t *b, uint32_t len,
			 uint64_t off)
{
	uint32_t val = get_le32(b);

	(void)len;
	if (val != 512 && val != 4096)
		check_error(v->c, VHDX_OBJ_META, off, "2.6.2.5",
			    "PhysicalSectorSize is %" PRIu32 ", must be 512 or "
			    "4096", val);
	else if (val < v->sector_len)
		check_warn(v->c, VHDX_OBJ_META, off, "2.6.2.5",
			   "PhysicalSectorSize is %" PRIu32 ", less than the "
			   "LogicalSectorSize of %" PRIu32, val,
			   v->sector_len);
}

/* Comes after the sector size, of which it is a multiple. */
static void disk_size(struct vck *v, const uint8_t *b, uint32_t len,
		      uint64_t off)
{
	uint64_t val = get_le64(b);

	(void)len;
	if (val > FMT_SIZE_MAX || val == 0)
		check_error(v->c, VHDX_OBJ_META, off, "2.6.2.2",
			    "VirtualDiskSize is %" PRIu64 ", must be 1 sector "
			    "to 64 TiB", val);
	else if (v->sector_len && !is_aligned(val, v->sector_len))
		check_error(v->c, VHDX_OBJ_META, off, "2.6.2.2",
			    "VirtualDiskSize is %" PRIu64 ", must be a "
			    "multiple of the sector size of %" PRIu32, val,
			    v->sector_len);
	else
		v->size_len = val;
}

static void disk_id(struct vck *v, const uint8_t *b, uint32_t len,
		    uint64_t off)
{
	(void)len;
	if (get_le64(b) == 0 && get_le64(b + 8) == 0)
		check_note(v->c, VHDX_OBJ_META, off, "2.6.2.3",
			   "VirtualDiskId is zero: guests cannot tell this "
			   "disk from others by its identity");
}

static void locator(struct vck *v, const uint8_t *b, uint32_t len,
		    uint64_t off)
{
	if (v->have_params && !v->has_parent)
		check_error(v->c, VHDX_OBJ_LOCATOR, off, "2.6.2.6",
			    "there is a parent locator, but HasParent is not "
			    "set: if that is wrong, zeros are read in place of "
			    "the parent's data");
	vck_locator(v, b, len, off);
}

static void incomplete(struct vck *v, const uint8_t *b, uint32_t len,
		       uint64_t off)
{
	(void)b;
	(void)len;
	check_error(v->c, VHDX_OBJ_META, off, "",
		    "the file carries the mark of an image whose creation was "
		    "not finished");
}

/* In the order in which the values depend on each other. */
static const struct known known[] = {
	{ &FMT_META_INCOMPLETE, "Incomplete File", "", 0, false, false, false,
	  incomplete },
	{ &FMT_META_FILE_PARAMS, "File Parameters", "2.6.2.1", 8, false, true,
	  true, file_params },
	{ &FMT_META_LSS, "Logical Sector Size", "2.6.2.4", 4, true, true, true,
	  sector_len },
	{ &FMT_META_PSS, "Physical Sector Size", "2.6.2.5", 4, true, true,
	  true, physical_len },
	{ &FMT_META_DISK_SIZE, "Virtual Disk Size", "2.6.2.2", 8, true, true,
	  true, disk_size },
	{ &FMT_META_DISK_ID, "Virtual Disk ID", "2.6.2.3", 16, true, true,
	  true, disk_id },
	{ &FMT_META_LOCATOR, "Parent Locator", "2.6.2.6", 0, false, true,
	  false, locator },
	{ &FMT_META_CHS, "CHS Parameters", "", 0, false, false, false, NULL },
	{ &FMT_META_PMEM, "PMEM Label Area", "", 0, false, false, false,
	  NULL },
};

/* ---- the table ----------------------------------------------------------- */

static const struct fmt_meta_entry *find(const struct fmt_meta_table *t,
					 const bool *good,
					 const struct guid *id, uint64_t *pos)
{
	for (uint32_t i = 0; i < t->cnt; i++) {
		if (!good[i] || t->e[i].user || !guid_eq(&t->e[i].id, id))
			continue;
		*pos = FMT_META_ENTRY_LEN * ((uint64_t)i + 1);
		return &t->e[i];
	}
	return NULL;
}

static void say_flags(struct vck *v, const struct known *k,
		      const struct fmt_meta_entry *m, uint64_t off)
{
	if (!k->documented || (m->vdisk == k->vdisk && m->required))
		return;
	check_warn(v->c, VHDX_OBJ_META, off, "2.6.2",
		   "the %s item has IsVirtualDisk %d and IsRequired %d, must "
		   "have %d and 1", k->name, m->vdisk, m->required, k->vdisk);
}

static int say_value(struct vck *v, const struct known *k,
		     const struct fmt_meta_entry *m, struct vhdx_err *e)
{
	uint64_t off = v->meta->off + m->off;
	uint8_t *b;
	int rc;

	if (!k->value)
		return 0;
	b = mem_alloc(m->len);
	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory for the %s item",
			       k->name);
	rc = m->len ? file_read(v->file, off, b, m->len, e) : 0;
	if (!rc)
		k->value(v, b, m->len, off);
	mem_free(b);
	return rc;
}

static int say_known(struct vck *v, const struct known *k,
		     const struct fmt_meta_table *t, const bool *good,
		     struct vhdx_err *e)
{
	uint64_t pos;
	const struct fmt_meta_entry *m = find(t, good, k->id, &pos);
	bool must = k->must || (k->id == &FMT_META_LOCATOR && v->has_parent);

	if (!m) {
		if (must)
			check_error(v->c, VHDX_OBJ_META, v->meta->off, k->spec,
				    "the metadata has no (valid) %s item",
				    k->name);
		return 0;
	}
	pos += v->meta->off;
	say_flags(v, k, m, pos);
	if (k->len && m->len != k->len) {
		check_error(v->c, VHDX_OBJ_META, pos, k->spec,
			    "the %s item is %" PRIu32 " bytes long, must be "
			    "%" PRIu32, k->name, m->len, k->len);
		return 0;
	}
	return say_value(v, k, m, e);
}

static bool is_known(const struct fmt_meta_entry *m)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!m->user && guid_eq(&m->id, known[i].id))
			return true;
	return false;
}

static void say_unknown(struct vck *v, const struct fmt_meta_table *t,
			const bool *good)
{
	for (uint32_t i = 0; i < t->cnt; i++) {
		const struct fmt_meta_entry *m = &t->e[i];
		uint64_t off = v->meta->off +
			       FMT_META_ENTRY_LEN * ((uint64_t)i + 1);
		char id[GUID_TEXT_LEN];

		if (!good[i] || is_known(m))
			continue;
		guid_format(&m->id, id);
		if (m->required)
			check_error(v->c, VHDX_OBJ_META, off, "2.6.1.2",
				    "the %s metadata item %s is unknown, but "
				    "required to read the file",
				    m->user ? "user" : "system", id);
		else if (!m->user)
			check_note(v->c, VHDX_OBJ_META, off, "2.6.1.2",
				   "the system metadata item %s (%" PRIu32
				   " bytes) is unknown; it is left alone", id,
				   m->len);
	}
}

int vck_items(struct vck *v, const struct fmt_meta_table *t, const bool *good,
	      struct vhdx_err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		int rc = say_known(v, &known[i], t, good, e);

		if (rc)
			return rc;
	}
	say_unknown(v, t, good);
	return 0;
}
