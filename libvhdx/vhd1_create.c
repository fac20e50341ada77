/* SPDX-License-Identifier: MIT */
/*
 * Writing empty VHDs. The size given is the size the disk gets, everywhere:
 * programs that believe the geometry instead of CurrentSize know by the
 * creator application which images are meant which way. None of the known
 * codes says "neither Windows nor Virtual PC"; "qem2" is the one whose
 * whole meaning is "CurrentSize counts, by whomever", so it is what we write.
 *
 * Layout of a dynamic disk: footer copy, header, BAT, footer. Of a differencing
 * one: the same, with room for two parent locators between header and BAT; as
 * much for any path, so that the length of the file is known beforehand. The
 * creation is not crash-safe by itself; the caller gives the file its name when
 * it is complete.
 */
#include <string.h>

#include "guid.h"
#include "image.h"
#include "mem.h"
#include "vhd1_parent.h"

#define FEATURES UINT32_C(2) /* a reserved bit that is always set */
#define VERSION_1_0 UINT32_C(0x00010000)
#define HEADER_END (VHD1_FOOTER_LEN + VHD1_HEADER_LEN)

static int check_opts(const struct vhdx_create_opts *o, struct vhdx_err *e)
{
	if (o->sector_len != VHD1_SECTOR ||
	    o->physical_sector_len != VHD1_SECTOR)
		return err_set(e, VHDX_E_INVAL,
			       "sector size %u/%u: the VHD format has 512 only",
			       o->sector_len, o->physical_sector_len);
	if (o->size_len == 0 || o->size_len % VHD1_SECTOR ||
	    o->size_len > VHD1_SIZE_MAX)
		return err_set(e, VHDX_E_INVAL,
			       "size %ju: a VHD's must be a multiple of 512 "
			       "and at most %ju (2040 GiB)",
			       (uintmax_t)o->size_len,
			       (uintmax_t)VHD1_SIZE_MAX);
	if (o->type != VHDX_TYPE_FIXED && !is_pow2(o->block_len))
		return err_set(e, VHDX_E_INVAL,
			       "block size %u is not a power of two",
			       o->block_len);
	return 0;
}

static void make_footer(const struct vhdx_create_opts *o,
			uint8_t b[VHD1_FOOTER_LEN])
{
	static const enum vhd1_type types[] = {
		[VHDX_TYPE_FIXED] = VHD1_FIXED,
		[VHDX_TYPE_DYNAMIC] = VHD1_DYNAMIC,
		[VHDX_TYPE_DIFFERENCING] = VHD1_DIFFERENCING,
	};
	bool fixed = o->type == VHDX_TYPE_FIXED;
	struct vhd1_footer f = {
		.features = FEATURES,
		.version = VERSION_1_0,
		.data_off = fixed ? VHD1_NO_OFF : VHD1_FOOTER_LEN,
		.timestamp = vhd1_time_encode(time(NULL)),
		.creator_app = { 'q', 'e', 'm', '2' },
		.creator_version = VERSION_1_0,
		.host_os = { 'W', 'i', '2', 'k' },
		.original_len = o->size_len,
		.current_len = o->size_len,
		.chs = vhd1_chs_of(o->size_len),
		.type = types[o->type],
	};
	struct guid id;

	guid_random(&id);
	vhd1_uuid_swap(id.b, f.uuid);
	vhd1_footer_encode(&f, b);
}

static int create_fixed(struct file *f, const struct vhdx_create_opts *o,
			struct vhdx_err *e)
{
	uint8_t footer[VHD1_FOOTER_LEN];
	int rc = file_truncate(f, o->size_len + VHD1_FOOTER_LEN, e);

	if (rc == 0)
		rc = file_reserve(f, 0, o->size_len + VHD1_FOOTER_LEN, e);
	if (rc)
		return rc;
	make_footer(o, footer);
	rc = file_write(f, o->size_len, footer, sizeof(footer), e);
	return rc ? rc : file_sync(f, e);
}

static int write_empty_bat(struct file *f, uint64_t off, uint64_t len,
			   struct vhdx_err *e)
{
	uint8_t buf[64 * KIB];
	int rc = 0;

	memset(buf, 0xff, sizeof(buf));
	for (uint64_t pos = 0; pos < len && rc == 0; pos += sizeof(buf))
		rc = file_write(f, off + pos, buf,
				(size_t)u64_min(len - pos, sizeof(buf)), e);
	return rc;
}

/* All but the locators' data. h has what is the parent's already. */
static int create_mapped(struct file *f, const struct vhdx_create_opts *o,
			 struct vhd1_header *h, struct vhdx_err *e)
{
	uint8_t footer[VHD1_FOOTER_LEN], header[VHD1_HEADER_LEN];
	uint64_t bat_len;
	int rc;

	h->version = VERSION_1_0;
	h->bat_cnt = (uint32_t)div_up(o->size_len, o->block_len);
	h->block_len = o->block_len;
	bat_len = align_up((uint64_t)h->bat_cnt * 4, VHD1_SECTOR);
	make_footer(o, footer);
	vhd1_header_encode(h, header);
	rc = file_write(f, 0, footer, sizeof(footer), e);
	if (rc == 0)
		rc = file_write(f, VHD1_FOOTER_LEN, header, sizeof(header), e);
	if (rc == 0)
		rc = write_empty_bat(f, h->bat_off, bat_len, e);
	if (rc == 0)
		rc = file_write(f, h->bat_off + bat_len, footer,
				sizeof(footer), e);
	return rc ? rc : file_sync(f, e);
}

int vhd1_image_create(struct file *f, const struct vhdx_create_opts *opts,
		      struct vhdx_err *e)
{
	struct vhd1_header h = { .bat_off = HEADER_END };
	int rc = check_opts(opts, e);

	if (rc)
		return rc;
	if (opts->type == VHDX_TYPE_FIXED)
		return create_fixed(f, opts, e);
	return create_mapped(f, opts, &h, e);
}

int vhd1_image_create_child(struct file *f, const char *path,
			    const struct vhdx_create_opts *opts,
			    struct image *parent, struct vhdx_err *e)
{
	struct vhd1_header h = { .bat_off = HEADER_END + VHD1_ROOM_LEN };
	uint8_t *room = mem_alloc(VHD1_ROOM_LEN);
	int rc = room ? check_opts(opts, e)
		      : err_set(e, VHDX_E_NOMEM, "no memory for a locator");

	if (rc == 0)
		rc = vhd1_parent_record(path, opts->parent, &h, HEADER_END,
					room, e);
	memcpy(h.parent_uuid, parent->identity.b, sizeof(h.parent_uuid));
	if (rc == 0)
		rc = file_write(f, HEADER_END, room, VHD1_ROOM_LEN, e);
	if (rc == 0)
		rc = create_mapped(f, opts, &h, e);
	mem_free(room);
	return rc;
}
